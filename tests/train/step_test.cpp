#include "microemo/train/step.h"

#include <limits>

#include <ATen/ops/full.h>

#include "train/support.h"

namespace microemo::train {
namespace {

struct Outcome {
  StepResult result;
  std::map<std::string, at::Tensor> gradients;
};

Outcome outcome(int64_t micro_batch) {
  const Task task = test::regression_task(16, micro_batch);
  const StepResult result = forward_backward(task, task.batches(0));
  return {result, test::gradients_of(*task.module)};
}

TEST(Step, TheWayAStepIsCutDoesNotMatter) {
  const Outcome whole = outcome(0);
  for (const int64_t micro_batch : {1, 4, 8, 16}) {
    const Outcome cut = outcome(micro_batch);
    EXPECT_NEAR(cut.result.loss, whole.result.loss, 1e-6 * whole.result.loss) << micro_batch;
    EXPECT_LE(test::relative_distance(whole.gradients, cut.gradients), 5e-6) << micro_batch;
    EXPECT_EQ(cut.result.clips, 16);
    EXPECT_EQ(cut.result.tokens, 16 * 5);
  }
}

TEST(Step, TermsAreDividedByTheirCountsAndWeighted) {
  const Task task = test::regression_task(2, 1);
  const auto batches = task.batches(0);
  double answer = 0, answer_count = 0, movement = 0, movement_count = 0;
  for (const auto& batch : batches) {
    const auto terms = task.loss(batch).terms;
    answer += terms[0].sum.item<double>(), answer_count += terms[0].count;
    movement += terms[1].sum.item<double>(), movement_count += terms[1].count;
  }
  const StepResult result = forward_backward(task, batches);
  EXPECT_NEAR(result.answer_loss, answer / answer_count, 1e-6);
  EXPECT_NEAR(result.alignment_loss, 0.5 * movement / movement_count, 1e-6);
  EXPECT_DOUBLE_EQ(result.loss, result.answer_loss + result.alignment_loss);
}

TEST(Step, ATermThatCountsNothingAddsNothing) {
  Task task = test::regression_task(2, 0);
  auto batches = task.batches(0);
  const double answer = forward_backward(task, batches).answer_loss;
  const auto loss = task.loss;
  task.loss = [loss](const model::ClipBatch& batch) {
    model::BatchLoss without = loss(batch);
    without.terms[1].sum = without.terms[1].sum * 0;
    without.terms[1].count = 0;
    return without;
  };
  task.counts = [counts = task.counts](const model::ClipBatch& batch) {
    TermCounts without = counts(batch);
    without["movement"] = 0;
    return without;
  };
  EXPECT_DOUBLE_EQ(forward_backward(task, batches).loss, answer);
}

TEST(Step, ACountThatDiffersFromTheLossIsABug) {
  Task task = test::regression_task(4, 2);
  task.counts = [](const model::ClipBatch&) { return TermCounts{{"answer", 3}, {"movement", 2}}; };
  test::expect_error(
      ErrorKind::internal, [&] { forward_backward(task, task.batches(0)); }, "'answer' counts");
}

TEST(Step, NamesTheClipsOfTheBatchWhoseLossIsNotFinite) {
  const Task task = test::regression_task(4, 2);
  auto batches = task.batches(0);
  batches[1].mel_BFM.fill_(std::numeric_limits<float>::infinity());
  EXPECT_EQ(forward_backward(task, batches).suspects, batches[1].ids);
}

}  // namespace
}  // namespace microemo::train
