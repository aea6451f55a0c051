#include "microemo/train/metrics.h"

#include <fstream>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "support/errors.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;

class Metrics : public testing::Test {
 protected:
  static MetricsLine line(int64_t step) {
    MetricsLine metrics{.step = step, .learning_rate = 1e-3, .step_seconds = 0.5, .seconds = 2};
    metrics.result.loss = 1.0 / 3;
    metrics.result.clips = 4;
    metrics.result.tokens = 30;
    return metrics;
  }
  std::vector<int64_t> steps() const {
    std::vector<int64_t> found;
    read_jsonl(path_, [&](const Json& value, int64_t) { found.push_back(value.at("step")); });
    return found;
  }
  void write_steps(int64_t from, int64_t to, int64_t last_step) {
    MetricsFile file(path_, last_step);
    for (int64_t step = from; step <= to; ++step) file.write(line(step));
  }

  TemporaryFolder folder_;
  const fs::path path_ = folder_.path() / "metrics.jsonl";
};

TEST_F(Metrics, ALineHoldsWhatWasMeasured) {
  write_steps(1, 1, 0);
  const Json value = Json::parse(read_file(path_));
  EXPECT_EQ(value.at("loss").get<double>(), 1.0 / 3);
  EXPECT_EQ(value.at("clips_per_s").get<double>(), 8);
  EXPECT_EQ(value.at("tokens_per_s").get<double>(), 60);
  EXPECT_EQ(value.at("lr").get<double>(), 1e-3);
}

TEST_F(Metrics, WhatWasNotComputedIsLeftOut) {
  write_steps(1, 1, 0);
  const Json value = Json::parse(read_file(path_));
  EXPECT_FALSE(value.contains("movement_accuracy"));
  EXPECT_FALSE(value.contains("valid_loss"));
}

TEST_F(Metrics, AResumedRunHasEachStepOnce) {
  write_steps(1, 7, 0);
  write_steps(6, 8, 5);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_F(Metrics, ATornLastLineIsDropped) {
  write_steps(1, 3, 0);
  std::ofstream(path_, std::ios::app) << "{\"step\":4,\"lo";
  write_steps(4, 5, 3);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2, 3, 4, 5}));
}

TEST_F(Metrics, ALineOfGarbageIsDropped) {
  std::ofstream(path_) << "garbage\n{\"step\":1}\n";
  write_steps(2, 2, 1);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2}));
}

TEST_F(Metrics, ANewRunInTheSameFolderStartsAnew) {
  write_steps(1, 3, 0);
  write_steps(1, 1, 0);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1}));
}

TEST_F(Metrics, AFolderThatCannotBeWrittenIsAnErrorOfTheEnvironment) {
  std::ofstream(folder_.path() / "file") << "";
  test::expect_error(
      ErrorKind::environment, [&] { MetricsFile(folder_.path() / "file" / "metrics.jsonl", 0); }, "file");
}

}  // namespace
}  // namespace microemo::train
