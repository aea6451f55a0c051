#include "microemo/train/cost.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/tiny_model.h"
#include "microemo/train/microemo_task.h"
#include "microemo/train/optimizer.h"

namespace microemo::train {
namespace {

/// A step of two made-up clips of the tiny model, whose picture encoder is frozen.
class Cost : public testing::Test {
 protected:
  Cost() {
    options_.model = tiny_.options;
    options_.prepare = tiny_.prepare;
    options_.train.batch = 2;
    options_.train.frozen = {"visual_encoder.*"};
    select_trainable(*tiny_.model, options_.train);
    tiny_.model->train();
    task_ = microemo_task(options_, std::make_shared<const TrainingData>(pattern_data(options_)), tiny_.tokenizer, tiny_.model);
    parts_ = cost_of_parts(task_, task_.batches(0));
  }
  const PartCost& part(const std::string& name) const {
    const auto found = std::ranges::find(parts_, name, &PartCost::part);
    if (found == parts_.end()) throw std::runtime_error("no part " + name);
    return *found;
  }

  test::TinyModel tiny_{512};
  RunOptions options_;
  Task task_;
  std::vector<PartCost> parts_;
};

TEST_F(Cost, CountsEveryParameterOnce) {
  int64_t trainable = 0, frozen = 0, wanted = 0;
  for (const PartCost& row : parts_) trainable += row.trainable, frozen += row.frozen;
  for (const at::Tensor& parameter : tiny_.model->parameters()) wanted += parameter.numel();
  EXPECT_EQ(trainable + frozen, wanted);
  EXPECT_EQ(part("visual_encoder").trainable, 0);
  EXPECT_GT(part("visual_encoder").frozen, 0);
  EXPECT_DOUBLE_EQ(part("decoder").weights_mb, 4e-6 * double(part("decoder").trainable));
  EXPECT_DOUBLE_EQ(part("decoder").states_mb, 3 * part("decoder").weights_mb);
  EXPECT_EQ(part("visual_encoder").states_mb, 0);
}

TEST_F(Cost, SeesTheForwardOfEveryPartAndTheBackwardOfThoseThatLearn) {
  for (const char* name :
       {"image_qformer", "local_branch", "global_local", "video_qformer", "audio_encoder", "audio_qformer", "decoder"}) {
    EXPECT_GT(part(name).forward_s, 0) << name;
    EXPECT_GT(part(name).backward_s, 0) << name;
    EXPECT_GT(part(name).kept_mb, 0) << name;
  }
  EXPECT_GT(part("visual_encoder").forward_s, 0);
  EXPECT_EQ(part("visual_encoder").backward_s, 0);
  EXPECT_EQ(parts_.back().part, "other");
}

TEST_F(Cost, LeavesNoGradients) {
  for (const at::Tensor& parameter : tiny_.model->parameters()) EXPECT_FALSE(parameter.grad().defined());
}

TEST_F(Cost, TheTableEndsWithTheSum) {
  const std::string table = cost_table({{.part = "a", .trainable = 2, .frozen = 3, .weights_mb = 1, .forward_s = 0.5},
                                        {.part = "b", .trainable = 5, .frozen = 0, .weights_mb = 2.5, .backward_s = 0.25}});
  const std::string last = table.substr(table.rfind('\n') + 1);
  EXPECT_THAT(last, testing::MatchesRegex("all +7 +3 +3.5 +0.0 +0.0 +0.500 +0.250"));
}

TEST_F(Cost, RecomputedBlocksKeepLess) {
  tiny_.model->decoder().recompute_blocks(std::vector<bool>(2, true));
  const std::vector<PartCost> rows = cost_of_parts(task_, task_.batches(0));
  const auto decoder = std::ranges::find(rows, "decoder", &PartCost::part);
  EXPECT_GT(decoder->backward_s, 0);
  EXPECT_LT(decoder->kept_mb, part("decoder").kept_mb);
}

}  // namespace
}  // namespace microemo::train
