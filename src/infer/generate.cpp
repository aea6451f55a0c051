#include "microemo/infer/generate.h"

#include <algorithm>
#include <map>

#include <ATen/core/grad_mode.h>

#include "greedy.h"
#include "microemo/base/error.h"

namespace microemo::infer {
namespace {

/// A prompt and the place of its question.
struct Row {
  Prompt prompt;
  size_t question = 0;
};

/// The rows of one clip's questions. Built alone, a clip is padded to nobody else's length.
std::vector<Row> rows_of_clip(const model::MicroEmo& model, const data::BatchBuilder& builder, const data::Sample& sample,
                              const std::vector<data::Question>& questions, const std::vector<size_t>& asked) {
  std::vector<data::Question> of_clip;
  for (const size_t question : asked) of_clip.push_back({0, questions[question].utterance});
  const model::ClipBatch batch = builder.build({&sample}, of_clip, data::Purpose::generate, {}, 0);
  const at::Tensor tokens_RLC = model.splice(batch, model.media_tokens(batch));
  std::vector<Row> rows;
  for (size_t i = 0; i < asked.size(); ++i) {
    const int64_t row = int64_t(i), length = batch.lengths_R[row].item<int64_t>();
    const int64_t utterance = batch.utterance_RL[row][length - 1].item<int64_t>();
    rows.push_back({{tokens_RLC[row].slice(0, 0, length), utterance}, asked[i]});
  }
  return rows;
}

/// The text that closes an answer where it is no token of its own ("###"), looked for as the answer grows.
class EndText {
 public:
  EndText(const text::Tokenizer& tokenizer, std::string text, size_t rows) : text_(std::move(text)), written_(rows) {
    for (size_t row = 0; row < rows; ++row) streams_.emplace_back(tokenizer);
  }
  bool ends(size_t row, int64_t id) {
    const std::string added = streams_[row].add(id);
    std::string& written = written_[row];
    const size_t from = written.size() < text_.size() ? 0 : written.size() - text_.size() + 1;
    written += added;
    return written.find(text_, from) != std::string::npos;
  }
  std::string before(const std::string& answer) const {
    const std::string cut = answer.substr(0, answer.find(text_));
    return cut.substr(0, cut.find_last_not_of(' ') + 1);
  }

 private:
  std::string text_;
  std::vector<std::string> written_;
  std::vector<text::TextStream> streams_;
};

struct Generator {
  const model::MicroEmo& model;
  const text::Tokenizer& tokenizer;
  const std::string& end_text;
  const GenerateOptions& options;
  std::vector<Answer>& answers;

  /// Answers rows whose prompts are equally long.
  void answer(int64_t length, const std::vector<Row>& rows) const {
    // The last token of an answer is not read again, so one more than there is room for can be written.
    const int64_t limit = std::min(options.max_new_tokens, model.options().decoder.max_tokens - length + 1);
    for (size_t first = 0; first < rows.size(); first += decode_rows) {
      std::vector<Prompt> prompts;
      for (size_t i = first; i < std::min(rows.size(), first + decode_rows); ++i) prompts.push_back(rows[i].prompt);
      EndText end_text_of_rows(tokenizer, end_text, prompts.size());
      GreedyEnd end{tokenizer.end_id(), limit, tokenizer.size()};
      if (!end_text.empty()) end.ends_text = [&](size_t row, int64_t id) { return end_text_of_rows.ends(row, id); };
      const auto continued = continue_greedily(model.decoder(), prompts, end);
      for (size_t i = 0; i < prompts.size(); ++i) {
        const std::string text = tokenizer.decode(continued[i].ids);
        answers[rows[first + i].question] = {continued[i].ids, end_text.empty() ? text : end_text_of_rows.before(text),
                                             continued[i].log_probability, continued[i].ended};
      }
    }
  }
};

}  // namespace

std::vector<Answer> generate_answers(const model::MicroEmo& model, const data::BatchBuilder& builder,
                                     const std::vector<const data::Sample*>& samples,
                                     const std::vector<data::Question>& questions, const GenerateOptions& options) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<size_t>> asked(samples.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    MICROEMO_CHECK(questions[i].sample >= 0 && size_t(questions[i].sample) < samples.size(), "question about clip {} of {}",
                   questions[i].sample, samples.size());
    const size_t utterances = samples[size_t(questions[i].sample)]->clip.utterances.size();
    MICROEMO_CHECK(questions[i].utterance >= 0 && size_t(questions[i].utterance) < utterances,
                   "question about utterance {} of {}", questions[i].utterance, utterances);
    asked[size_t(questions[i].sample)].push_back(i);
  }
  std::vector<Answer> answers(questions.size());
  const std::string end_text = builder.end_text();
  const Generator generator{model, builder.tokenizer(), end_text, options, answers};
  for (size_t first = 0; first < samples.size(); first += size_t(options.batch_clips)) {
    std::map<int64_t, std::vector<Row>> by_length;
    for (size_t clip = first; clip < std::min(samples.size(), first + size_t(options.batch_clips)); ++clip) {
      if (asked[clip].empty()) continue;
      for (Row& row : rows_of_clip(model, builder, *samples[clip], questions, asked[clip]))
        by_length[row.prompt.tokens_LC.size(0)].push_back(std::move(row));
    }
    for (const auto& [length, rows] : by_length) generator.answer(length, rows);
  }
  return answers;
}

}  // namespace microemo::infer
