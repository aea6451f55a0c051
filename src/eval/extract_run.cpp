#include "microemo/eval/extract_run.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/eval/extract_mertools.h"
#include "microemo/eval/predictions.h"
#include "microemo/eval/scores.h"
#include "text.h"

namespace microemo::eval {
namespace {

constexpr size_t most_failures_in_a_row = 3, most_listed = 10;

/// Asks for the line of one answer.
Json ask(const Answer& answer, Endpoint& endpoint, const std::string& model, int64_t repeat, bool sentiment) {
  const bool empty = strip(answer.text).empty();
  const std::string labels = empty ? "" : endpoint.answer(mertools_label_prompt(answer.text), repeat);
  Json line = {{"id", answer.id}, {"labels", labels_of_output(labels)}};
  Json output = {{"labels", labels}};
  if (sentiment) {
    const std::string text = empty ? "" : endpoint.answer(mertools_sentiment_prompt(answer.text), repeat);
    line["sentiment"] = sentiment_of_output(text);
    output["sentiment"] = text;
  }
  line["extractor"] = model_extractor_name(model);
  line["output"] = std::move(output);
  return line;
}

struct Failures {
  std::vector<std::string> ids;
  std::string last, place;
  size_t in_a_row = 0;
};

Error missing_replies(const AnswerFile& file, const Failures& failures, size_t answered) {
  std::vector<std::string> first = failures.ids;
  first.resize(std::min(first.size(), most_listed));
  return EnvironmentError("{} of {} answers of {} have no reply: {}{}; the last reason: {}", file.answers.size() - answered,
                          file.answers.size(), file.path.string(), fmt::join(first, ", "),
                          file.answers.size() - answered > first.size() ? ", …" : "", failures.last)
      .at(failures.place)
      .hint("run the same command again: it goes on where it stopped, with the replies that were kept");
}

}  // namespace

std::vector<Json> extract_by_rules(const AnswerFile& file, const Lexicon& lexicon, bool sentiment, const Done& done) {
  const std::string extractor = rules_extractor_name(lexicon);
  std::vector<Json> lines;
  for (const Answer& answer : file.answers) {
    lines.push_back(extraction_json(answer, find_mentions(answer.text, lexicon), extractor, sentiment));
    done();
  }
  return lines;
}

std::vector<Json> read_outputs(const AnswerFile& file, bool sentiment, const Done& done) {
  std::vector<Json> lines;
  for (const Answer& answer : file.answers) {
    Json line = {{"id", answer.id}};
    if (sentiment)
      line["sentiment"] = sentiment_of_output(answer.text);
    else
      line["labels"] = labels_of_output(answer.text);
    line["extractor"] = mertools_extractor;
    lines.push_back(std::move(line));
    done();
  }
  return lines;
}

std::string model_extractor_name(const std::string& model) { return fmt::format("{}:{}", mertools_extractor, model); }

std::vector<Json> extract_by_model(const AnswerFile& file, Endpoint& endpoint, const std::string& model, int64_t repeat,
                                   bool sentiment, const Done& done) {
  std::vector<Json> lines;
  Failures failures;
  for (const Answer& answer : file.answers) {
    try {
      lines.push_back(ask(answer, endpoint, model, repeat, sentiment));
      failures.in_a_row = 0;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::environment) throw;
      failures.ids.push_back(answer.id);
      failures.last = error.message();
      failures.place = error.place();
      if (++failures.in_a_row == most_failures_in_a_row) break;
    }
    done();
  }
  if (!failures.ids.empty()) throw missing_replies(file, failures, lines.size());
  return lines;
}

std::filesystem::path repeat_path(const std::filesystem::path& out, int64_t repeat, int64_t repeats) {
  if (repeats == 1) return out;
  std::filesystem::path path = out;
  return path.replace_filename(fmt::format("{}.{}{}", out.stem().string(), repeat + 1, out.extension().string()));
}

Spread spread_of(const std::vector<double>& values) {
  MICROEMO_CHECK(!values.empty(), "no values have a mean");
  const auto count = static_cast<double>(values.size());
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / count;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (count - 1)) : std::numeric_limits<double>::quiet_NaN()};
}

double f_of_labels(const std::filesystem::path& labels, const std::filesystem::path& truths, const EmotionWheel& wheel) {
  const std::vector<LabelPair> pairs = match_labels(read_label_file(labels), read_label_file(truths));
  double sum = 0;
  for (const std::string& name : wheel.headline) sum += score_sets(pairs, wheel.grouping(name)).f;
  return sum / static_cast<double>(wheel.headline.size());
}

}  // namespace microemo::eval
