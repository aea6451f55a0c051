#include "microemo/train/run_folder.h"

#include <fstream>
#include <set>

#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/train/options.h"
#include "support/errors.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

class RunFolder : public testing::Test {
 protected:
  static ResolvedConfig config(const std::vector<std::string>& overrides = {}) {
    RunOptions options;
    return load_config(options, {}, overrides);
  }
  static Json environment(int64_t threads = 1, const std::string& manifest = "aa") {
    return environment_json({.threads = threads,
                             .device = "cpu",
                             .manifest_hash = manifest,
                             .valid_manifest_hash = {},
                             .tokenizer_hash = "bb",
                             .missing_clips = {}},
                            {"microemo", "train"});
  }
  void start() { start_run_folder(run_, config(), environment(), {}); }
  void go_on(const std::vector<std::string>& overrides, const Json& now, bool allow = false) {
    continue_run_folder(run_, config(overrides), now, {}, allow);
  }
  void expect_refused(const std::vector<std::string>& overrides, const Json& now, const std::string& part) {
    start();
    const Error error = expect_error(
        ErrorKind::config, [&] { go_on(overrides, now); }, part);
    EXPECT_THAT(error.next_step(), testing::HasSubstr("--allow-change"));
  }

  TemporaryFolder folder_;
  const fs::path run_ = folder_.path() / "runs" / "a";
};

TEST_F(RunFolder, RecordsWhatDecidesTheResult) {
  std::ofstream(folder_.path() / "t.model") << "tokens";
  start_run_folder(run_, config({"train.steps=7"}), environment(), {folder_.path() / "t.model", {}});
  EXPECT_THAT(read_file(run_ / "config.yaml"), testing::ContainsRegex("steps: 7 +# command line"));
  EXPECT_EQ(read_json(run_ / "config.json").at("train").at("steps"), 7);
  const Json exact = read_json(run_ / "environment.json").at("exact");
  EXPECT_EQ(exact.at("libtorch"), "2.11.0");
  EXPECT_EQ(exact.at("manifest"), "aa");
  EXPECT_FALSE(exact.at("cpu_capability").get<std::string>().empty());
  EXPECT_EQ(read_file(run_ / "tokenizer.model"), "tokens");
}

TEST_F(RunFolder, KeepsTheFilesOfATokenizerOfAnotherKindAndOfTheTimes) {
  const fs::path folder = folder_.path() / "bert";
  fs::create_directories(folder);
  std::ofstream(folder / "vocab.txt") << "[PAD]";
  std::ofstream(folder / "tokenizer_config.json") << "{}";
  std::ofstream(folder / "model.safetensors") << "not a tokenizer's";
  std::ofstream(folder_.path() / "tokenizer.json") << "{\"a\": 1}";
  start_run_folder(run_, config(), environment(), {folder_.path() / "tokenizer.json", folder});
  EXPECT_EQ(copied_tokenizer(run_, "tokenizer"), run_ / "tokenizer");
  EXPECT_EQ(read_file(run_ / "tokenizer" / "tokenizer.json"), "{\"a\": 1}");
  const fs::path checkpoint = folder_.path() / "checkpoint";
  fs::create_directories(checkpoint);
  copy_description(run_, checkpoint);
  EXPECT_EQ(read_file(copied_tokenizer(checkpoint, "time_tokenizer") / "vocab.txt"), "[PAD]");
  EXPECT_TRUE(fs::exists(checkpoint / "time_tokenizer" / "tokenizer_config.json"));
  EXPECT_FALSE(fs::exists(checkpoint / "time_tokenizer" / "model.safetensors"));
}

TEST_F(RunFolder, TheHashOfTokenizersIsThatOfAllFilesThatDecideTheirIds) {
  const fs::path one = folder_.path() / "words.model", folder = folder_.path() / "bert";
  fs::create_directories(folder);
  write_file_atomic(one, "tokens");
  write_file_atomic(folder / "vocab.txt", "[PAD]");
  EXPECT_EQ(hash_of({one, {}}), sha256("tokens"));
  EXPECT_EQ(hash_of({folder, {}}), sha256("[PAD]"));
  std::set<std::string> hashes{hash_of({one, {}}), hash_of({folder, {}}), hash_of({one, folder}), hash_of({folder, one})};
  write_file_atomic(folder / "tokenizer_config.json", "{}");
  hashes.insert({hash_of({folder, {}}), hash_of({one, folder})});
  write_file_atomic(folder / "tokenizer_config.json", "{\"do_lower_case\": false}");
  hashes.insert({hash_of({folder, {}}), hash_of({one, folder})});
  EXPECT_EQ(hashes.size(), 8u);
  write_file_atomic(folder / "model.safetensors", "not a tokenizer's");
  EXPECT_TRUE(hashes.contains(hash_of({one, folder})));
}

TEST_F(RunFolder, HasNoTokenizerWhereNoneIsCopied) {
  start();
  EXPECT_TRUE(copied_tokenizer(run_, "tokenizer").empty());
}

TEST_F(RunFolder, RefusesAFolderThatHoldsARun) {
  start();
  fs::create_directories(checkpoint::step_folder(run_, 5));
  const Error error = expect_error(
      ErrorKind::config, [&] { start(); }, "holds a run with checkpoints");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("--resume " + run_.string()));
}

TEST_F(RunFolder, AFolderWithoutACheckpointIsStartedAnew) {
  start();
  EXPECT_NO_THROW(start());
}

TEST_F(RunFolder, RefusesAPlaceThatCannotBeWritten) {
  std::ofstream(folder_.path() / "runs") << "a file";
  expect_error(
      ErrorKind::environment, [&] { start(); }, "runs");
}

TEST_F(RunFolder, GoesOnWhenNothingChanged) {
  start();
  EXPECT_NO_THROW(go_on({}, environment()));
}

TEST_F(RunFolder, WhatDoesNotChangeTheResultMayChange) {
  start();
  EXPECT_NO_THROW(
      go_on({"train.save_every=9", "train.keep_last=5", "train.cache=/elsewhere", "train.out=" + run_.string()}, environment()));
  EXPECT_EQ(read_json(run_ / "config.json").at("train").at("save_every"), 9);
}

TEST_F(RunFolder, RefusesAnotherConfiguration) {
  expect_refused({"train.learning_rate=0.5"}, environment(), "train.learning_rate was 0.0015 and is 0.5");
}

TEST_F(RunFolder, RefusesAnotherModel) {
  expect_refused({"model.decoder.layers=2"}, environment(), "model.decoder.layers was 4 and is 2");
}

TEST_F(RunFolder, RefusesAnotherCutOfTheBatch) {
  expect_refused({"train.micro_batch=8"}, environment(), "train.micro_batch was 0 and is 8");
}

TEST_F(RunFolder, ACacheOfEncodersMayLieElsewhereButNotComeOrGo) {
  const Json none = config().values, here = config({"train.encoder_cache=here"}).values,
             there = config({"train.encoder_cache=there"}).values;
  const auto changes = [](const Json& recorded, const Json& now) {
    return differences(recorded, now, environment(), environment()).size();
  };
  EXPECT_EQ(changes(here, there), 0u);
  EXPECT_EQ(changes(none, here), 1u);
  EXPECT_EQ(changes(here, none), 1u);
  Json of_an_earlier_version = none;
  of_an_earlier_version["train"].erase("encoder_cache");
  EXPECT_EQ(changes(of_an_earlier_version, none), 0u);
  EXPECT_EQ(changes(of_an_earlier_version, here), 1u);
}

TEST_F(RunFolder, RefusesAnotherManifest) { expect_refused({}, environment(1, "cc"), "manifest was \"aa\" and is \"cc\""); }

TEST_F(RunFolder, RefusesAnotherThreadCount) { expect_refused({}, environment(2), "threads was 1 and is 2"); }

TEST_F(RunFolder, RefusesAnotherProcessor) {
  Json now = environment();
  now["exact"]["cpu_capability"] = "DEFAULT";
  expect_refused({}, now, "and is \"DEFAULT\"");
}

TEST_F(RunFolder, AChangeThatIsAllowedIsRecorded) {
  start();
  go_on({"train.learning_rate=0.5"}, environment(2), true);
  EXPECT_EQ(read_json(run_ / "config.json").at("train").at("learning_rate"), 0.5);
  EXPECT_EQ(read_json(run_ / "environment.json").at("exact").at("threads"), 2);
}

TEST_F(RunFolder, TheConfigurationLoadsAgain) {
  start_run_folder(run_, config({"train.steps=7", "model.local.enabled=false"}), environment(), {});
  RunOptions again;
  load_config(again, {run_ / "config.yaml"});
  EXPECT_EQ(again.train.steps, 7);
  EXPECT_FALSE(again.model.local.enabled);
}

}  // namespace
}  // namespace microemo::train
