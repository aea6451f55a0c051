#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/eval/extract_answers.h"
#include "microemo/eval/extract_endpoint.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

/// Called after every answer.
using Done = std::function<void()>;

/// Lines of the file of labels, by the rules: extraction_json of every answer.
std::vector<Json> extract_by_rules(const AnswerFile& file, const Lexicon& lexicon, bool sentiment, const Done& done);

/// Lines for answers that are a language model's outputs already: "id", "labels", "extractor"; with `sentiment` the output is
/// read as a sentiment in place of labels.
std::vector<Json> read_outputs(const AnswerFile& file, bool sentiment, const Done& done);

/// "mertools-1:MODEL": how results of this extractor are named.
std::string model_extractor_name(const std::string& model);

/// Lines by a language model: "id", "labels", with `sentiment` "sentiment", "extractor", "output" (what the model wrote). Answers
/// without text are not asked and have no labels. An answer for which no reply comes does not keep the others from being asked,
/// until three follow one another. Throws Error(environment) that lists the ids without a reply; all replies that came are in
/// the cache of `endpoint`. Throws Error(data) at once when a reply is missing in a replay.
std::vector<Json> extract_by_model(const AnswerFile& file, Endpoint& endpoint, const std::string& model, int64_t repeat,
                                   bool sentiment, const Done& done);

/// "labels.jsonl" as it is when there is one repeat; otherwise "labels.1.jsonl", "labels.2.jsonl", … (`repeat` from 0).
std::filesystem::path repeat_path(const std::filesystem::path& out, int64_t repeat, int64_t repeats);

/// Mean and sample standard deviation (divided by n-1; NaN for a single value).
struct Spread {
  double mean = 0, deviation = 0;
};
/// Throws Error(internal) without values.
Spread spread_of(const std::vector<double>& values);

/// Set F of a file of labels against truths: mean over the wheel's headline groupings. Throws Error(data) as match_labels.
double f_of_labels(const std::filesystem::path& labels, const std::filesystem::path& truths, const EmotionWheel& wheel);

}  // namespace microemo::eval
