#include "microemo/train/schedule.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "microemo/base/json.h"

namespace microemo::train {
namespace {

TEST(Schedule, EqualsTheSchedulersOfTorch) {
  const Json cases = read_json(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests" / "data" / "train" / "schedules.json");
  ASSERT_EQ(cases.size(), 4u);
  for (const Json& expected : cases) {
    TrainOptions options;
    options_from_json(
        options, {{"schedule", expected.at("kind")}, {"steps", expected.at("steps")}, {"warmup_steps", expected.at("warmup")}},
        "case");
    options.final_fraction = expected.at("final");
    for (int64_t step = 0; step < options.steps; ++step)
      EXPECT_NEAR(learning_rate(options, step), expected.at("rates").at(static_cast<size_t>(step)).get<double>(), 1e-15)
          << expected << step;
  }
}

TEST(Schedule, AWarmUpLongerThanTheRunNeverReachesTheTop) {
  TrainOptions options;
  options.steps = 10;
  options.warmup_steps = 100;
  EXPECT_DOUBLE_EQ(learning_rate(options, 9), options.learning_rate * 0.1);
}

}  // namespace
}  // namespace microemo::train
