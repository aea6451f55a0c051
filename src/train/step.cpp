#include "microemo/train/step.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/stack.h>

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

/// Also the number of micro-batches. A rank without clips, or without a kind of label, counts nothing there, and divides by what
/// the others count.
void sum_counts(const Task& task, const parallel::Group& group, Totals& totals) {
  if (group.alone()) return;
  TermCounts& counts = totals.counts;
  std::vector<double> values;
  for (const std::string& name : task.terms) values.push_back(counts.contains(name) ? counts.at(name) : 0);
  for (const auto& [name, count] : counts)
    MICROEMO_CHECK(std::find(task.terms.begin(), task.terms.end(), name) != task.terms.end(), "the task has no term '{}'", name);
  values.push_back(static_cast<double>(totals.batches));
  values = group.sums(values);
  for (size_t i = 0; i < task.terms.size(); ++i) counts[task.terms[i]] = values[i];
  totals.batches = static_cast<size_t>(std::lround(values.back()));
}

void sum_result(const parallel::Group& group, Totals& totals, StepResult& result) {
  if (group.alone()) return;
  const auto sums = group.sums({result.answer_loss, result.alignment_loss, totals.movement_right, totals.movement_frames,
                                double(result.clips), double(result.rows), double(result.tokens)});
  result.answer_loss = sums[0];
  result.alignment_loss = sums[1];
  totals.movement_right = sums[2];
  totals.movement_frames = sums[3];
  result.clips = std::lround(sums[4]);
  result.rows = std::lround(sums[5]);
  result.tokens = std::lround(sums[6]);
  if (!std::isfinite(sums[0] + sums[1])) result.suspects = group.names(result.suspects);
}

/// A term of a micro-batch.
struct PendingTerm {
  bool answer = false;
  size_t batch = 0;
  at::Tensor value;
};

/// What is not yet read: reading it would wait for a GPU.
struct Pending {
  std::vector<PendingTerm> terms;
  std::vector<at::Tensor> movement_right;
};

void add_batch(const Task& task, const model::ClipBatch& batch, size_t number, const TermCounts& counts, Totals& totals,
               Pending& pending) {
  const model::BatchLoss loss = task.loss(batch);
  at::Tensor sum;
  for (const model::LossTerm& term : loss.terms) {
    check_count(term, counts);
    const double count = divisor(task.normalise, term, totals);
    if (count <= 0) continue;
    const at::Tensor part = term.sum * (term.weight / count);
    pending.terms.push_back({term.name == answer_term, number, part.detach()});
    sum = sum.defined() ? sum + part : part;
  }
  if (sum.defined()) sum.backward();
  if (loss.movement_right.defined()) pending.movement_right.push_back(loss.movement_right.detach().to(at::kFloat));
  totals.movement_frames += loss.movement_frames;
}

/// All at once.
void read_pending(const Pending& pending, const std::vector<model::ClipBatch>& batches, Totals& totals, StepResult& result) {
  std::vector<at::Tensor> values = pending.movement_right;
  for (const PendingTerm& term : pending.terms) values.push_back(term.value);
  if (values.empty()) return;
  const at::Tensor read = at::stack(values).to(at::kCPU, at::kFloat);
  const float* next = read.const_data_ptr<float>();
  for (size_t i = 0; i < pending.movement_right.size(); ++i) totals.movement_right += *next++;
  std::vector<double> of_batch(batches.size());
  for (const PendingTerm& term : pending.terms) {
    const double value = *next++;
    (term.answer ? result.answer_loss : result.alignment_loss) += value;
    of_batch[term.batch] += value;
  }
  for (size_t i = 0; i < batches.size(); ++i)
    if (!std::isfinite(of_batch[i])) result.suspects.insert(result.suspects.end(), batches[i].ids.begin(), batches[i].ids.end());
}

}  // namespace

StepResult forward_backward(const Task& task, const std::vector<model::ClipBatch>& batches, parallel::GradientReducer& reducer) {
  StepResult result;
  Totals totals;
  totals.batches = batches.size();
  std::vector<TermCounts> counts;
  Pending pending;
  for (const model::ClipBatch& batch : batches) {
    for (const auto& [name, count] : counts.emplace_back(task.counts(batch))) totals.counts[name] += count;
    result.clips += static_cast<int64_t>(batch.ids.size());
    result.rows += batch.lengths_R.size(0);
    result.tokens += batch.lengths_R.sum().item<int64_t>();
  }
  sum_counts(task, reducer.group(), totals);
  for (size_t i = 0; i < batches.size(); ++i) {
    if (i + 1 == batches.size()) reducer.last_pass();
    if (task.shards) task.shards->begin_pass();
    add_batch(task, batches[i], i, counts[i], totals, pending);
    if (task.shards) task.shards->end_pass();
  }
  if (task.shards && !reducer.group().alone()) task.shards->join_passes(/*backward=*/true);
  reducer.finish();
  read_pending(pending, batches, totals, result);
  sum_result(reducer.group(), totals, result);
  result.loss = result.answer_loss + result.alignment_loss;
  if (totals.movement_frames > 0) result.movement_accuracy = totals.movement_right / totals.movement_frames;
  return result;
}

StepResult forward_backward(const Task& task, const std::vector<model::ClipBatch>& batches) {
  parallel::GradientReducer one_process;
  return forward_backward(task, batches, one_process);
}

}  // namespace microemo::train
