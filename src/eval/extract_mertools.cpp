#include "microemo/eval/extract_mertools.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "microemo/eval/labels.h"
#include "text.h"

namespace microemo::eval {

std::string mertools_label_prompt(std::string_view answer) {
  return fmt::format(
      "You are an expert in recognizing emotions. The text below describes a person in a video. Name the emotional states of the "
      "main character; the main character is the one who is described with the most clues. Write the states as a list in "
      "brackets, separated by commas. When no state can be told, write an empty list. Write nothing but the list.\n"
      "Example of a text without any emotional state: []\n"
      "Example of a text with several: [joyful, surprised, grateful]\n"
      "Input: {}\n"
      "Output:",
      answer);
}

std::string mertools_sentiment_prompt(std::string_view answer) {
  return fmt::format(
      "You are an expert in recognizing emotions. The text below describes a person in a video. Say whether the feeling of the "
      "main character is positive, negative or neutral; the main character is the one who is described with the most clues. "
      "Answer directly with one of these three words.\n"
      "Input: {}\n"
      "Output:",
      answer);
}

std::string clean_output(std::string_view output) {
  constexpr std::array<std::string_view, 8> leads{"输入",   "输出",   "翻译",  "让我们来翻译一下：",
                                                  "output", "Output", "input", "Input"};
  output = strip(output);
  if (const auto lead = std::ranges::find_if(leads, [&](std::string_view word) { return output.starts_with(word); });
      lead != leads.end())
    output = strip(output.substr(lead->size()));
  for (const std::string_view colon : {":", "："})
    if (output.starts_with(colon)) {
      output = strip(output.substr(colon.size()));
      break;
    }
  std::string text(output);
  std::erase(text, '\n');
  return std::string(strip(text));
}

std::vector<std::string> labels_of_output(std::string_view output) {
  std::vector<std::string> labels;
  for (const std::string& entry : string_to_list(clean_output(output)))
    if (std::string label = normalise_label(entry); !label.empty() && std::ranges::find(labels, label) == labels.end())
      labels.push_back(std::move(label));
  return labels;
}

std::string sentiment_of_output(std::string_view output) { return clean_output(output); }

}  // namespace microemo::eval
