#include "microemo/train/step.h"

#include <cmath>

#include <ATen/core/grad_mode.h>

#include "microemo/base/error.h"

namespace microemo::train {
namespace {

const std::string answer_term = "answer";

struct Totals {
  TermCounts counts;
  size_t batches = 0;
  double movement_right = 0, movement_frames = 0;
};

void check_count(const model::LossTerm& term, const TermCounts& counts) {
  const auto expected = counts.find(term.name);
  MICROEMO_CHECK(expected != counts.end() && std::abs(expected->second - term.count) <= 1e-6 * (1 + term.count),
                 "the loss term '{}' counts {} items, and its batch was counted otherwise", term.name, term.count);
}

double divisor(Normalise normalise, const model::LossTerm& term, const Totals& totals) {
  if (normalise == Normalise::tokens) return totals.counts.at(term.name);
  return term.count * (normalise == Normalise::micro_batch ? static_cast<double>(totals.batches) : 1.0);
}

void add_batch(const Task& task, const model::ClipBatch& batch, const TermCounts& counts, Totals& totals, StepResult& result) {
  const model::BatchLoss loss = task.loss(batch);
  at::Tensor sum;
  double value = 0;
  for (const model::LossTerm& term : loss.terms) {
    check_count(term, counts);
    const double count = divisor(task.normalise, term, totals);
    if (count <= 0) continue;
    const at::Tensor part = term.sum * (term.weight / count);
    const double part_value = part.item<double>();
    (term.name == answer_term ? result.answer_loss : result.alignment_loss) += part_value;
    value += part_value;
    sum = sum.defined() ? sum + part : part;
  }
  if (sum.defined()) sum.backward();
  if (!std::isfinite(value)) result.suspects.insert(result.suspects.end(), batch.ids.begin(), batch.ids.end());
  totals.movement_right += loss.movement_right;
  totals.movement_frames += loss.movement_frames;
}

}  // namespace

StepResult forward_backward(const Task& task, const std::vector<model::ClipBatch>& batches) {
  StepResult result;
  Totals totals;
  totals.batches = batches.size();
  std::vector<TermCounts> counts;
  for (const model::ClipBatch& batch : batches) {
    for (const auto& [name, count] : counts.emplace_back(task.counts(batch))) totals.counts[name] += count;
    result.clips += static_cast<int64_t>(batch.ids.size());
    result.rows += batch.lengths_R.size(0);
    result.tokens += batch.lengths_R.sum().item<int64_t>();
  }
  for (size_t i = 0; i < batches.size(); ++i) add_batch(task, batches[i], counts[i], totals, result);
  result.loss = result.answer_loss + result.alignment_loss;
  if (totals.movement_frames > 0) result.movement_accuracy = totals.movement_right / totals.movement_frames;
  return result;
}

double validation_loss(const Task& task) {
  const at::NoGradGuard no_grad;
  double sum = 0, count = 0;
  for (int64_t i = 0; i < task.validation_batches; ++i) {
    const model::BatchLoss loss = task.loss(task.validation_batch(i));
    sum += loss.terms.front().sum.item<double>();
    count += loss.terms.front().count;
  }
  return sum / count;
}

}  // namespace microemo::train
