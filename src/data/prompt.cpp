#include "prompt.h"

#include <fmt/format.h>

#include "microemo/data/sample.h"

namespace microemo::data {

std::string time_text(double seconds) { return fmt::format("This frame is sampled at {:.1f} second.", seconds); }

std::string utterance_header(const Utterance& utterance) {
  return fmt::format("from {:.1f} to {:.1f} seconds:", utterance.start_s, utterance.end_s);
}

std::string question_text(const Utterance& utterance) {
  if (!utterance.question.empty()) return utterance.question;
  return fmt::format("What does the person feel from {:.1f} to {:.1f} seconds?", utterance.start_s, utterance.end_s);
}

std::string answer_text(const Utterance& utterance) {
  if (!utterance.answer.empty() || utterance.labels.empty()) return utterance.answer;
  std::string list = utterance.labels.front();
  for (size_t i = 1; i < utterance.labels.size(); ++i)
    list += (i + 1 == utterance.labels.size() ? " and " : ", ") + utterance.labels[i];
  return fmt::format("The person feels {}.", list);
}

std::vector<std::string> prompt_sentences() {
  std::vector<std::string> sentences = {time_text(0), std::string(clip_header), question_text({})};
  for (int digit = 0; digit < 10; ++digit) {
    Utterance utterance;
    utterance.start_s = digit * 11.1;
    utterance.end_s = digit * 11.1 + 1;
    sentences.push_back(utterance_header(utterance));
    sentences.push_back(time_text(digit * 1.1));
  }
  return sentences;
}

}  // namespace microemo::data
