#include "answer_scores.h"

#include <ATen/core/grad_mode.h>

#include "microemo/eval/scores.h"
#include "microemo/infer/evaluate.h"

namespace microemo::train {
namespace {

std::vector<infer::AnswerRecord> answered(const model::MicroEmo& model, const data::BatchBuilder& builder,
                                          const data::Sample& sample, int64_t most_tokens) {
  std::vector<data::Question> questions;
  for (size_t i = 0; i < sample.clip.utterances.size(); ++i) questions.push_back({0, static_cast<int64_t>(i)});
  const auto answers = infer::generate_answers(model, builder, {&sample}, questions, {.max_new_tokens = most_tokens});
  std::vector<infer::AnswerRecord> records;
  for (size_t i = 0; i < answers.size(); ++i)
    records.push_back({.clip = sample.clip.id, .utterance = static_cast<int64_t>(i), .question = {}, .answer = answers[i].text});
  return records;
}

}  // namespace

std::vector<std::pair<double, double>> answer_scores(const model::MicroEmo& model, const data::BatchBuilder& builder,
                                                     const std::vector<data::Sample>& samples, const eval::EmotionWheel& wheel,
                                                     int64_t most_tokens, int64_t rank, int64_t world) {
  const at::NoGradGuard no_grad;
  std::vector<std::pair<double, double>> sums(wheel.headline.size());
  for (size_t i = static_cast<size_t>(rank); i < samples.size(); i += static_cast<size_t>(world)) {
    const auto pairs = infer::label_pairs({samples[i].clip}, answered(model, builder, samples[i], most_tokens));
    for (const eval::LabelPair& pair : pairs)
      for (size_t g = 0; g < sums.size(); ++g)
        if (const auto score = eval::score_pair(pair, wheel.grouping(wheel.headline[g])))
          sums[g].first += score->f, ++sums[g].second;
  }
  return sums;
}

}  // namespace microemo::train
