#include <filesystem>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/data/manifest.h"
#include "microemo/data/synth_face.h"
#include "support/command.h"
#include "support/disk.h"
#include "support/errors.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

test::CommandResult synth(const std::vector<std::string>& words) {
  std::vector<std::string> arguments{MICROEMO_BINARY, "synth"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  return test::run_command(arguments);
}

bool photographs_are_there() {
  return fs::exists(data::default_photograph_folder() / "Solvay_conference_1927_Version2_2126x1463.png");
}

TEST(SynthCommand, MakesASetWithItsContactSheet) {
  if (!photographs_are_there())
    GTEST_SKIP() << "the photographs are not in " << data::default_photograph_folder() << " (tools/setup puts them there)";
  const TemporaryFolder folder;
  const fs::path set = folder.path() / "set", sheet = folder.path() / "sheet.png";
  const test::CommandResult result = synth({set, "train_clips=2", "test_clips=1", "--preview", sheet, "--workers", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("3 made"));
  EXPECT_EQ(data::read_manifest(set / "manifest.jsonl").clips.size(), 3u);
  EXPECT_TRUE(fs::exists(sheet));
}

TEST(SynthCommand, ReadsOptionsFromAFileAndThenFromWords) {
  if (!photographs_are_there())
    GTEST_SKIP() << "the photographs are not in " << data::default_photograph_folder() << " (tools/setup puts them there)";
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "mine.yaml", "seed: 4\ntrain_clips: 9\ntest_clips: 1\n");
  const test::CommandResult result = synth({folder.path() / "set", "--config", folder.path() / "mine.yaml", "train_clips=1"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json options = read_json(folder.path() / "set/synth.json").at("options");
  EXPECT_EQ(options.at("seed").get<int>(), 4);
  EXPECT_EQ(options.at("train_clips").get<int>(), 1);
}

TEST(SynthCommand, ListsEveryOptionInItsHelp) {
  const test::CommandResult result = synth({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, HasSubstr("pause_movement_probability"));
  EXPECT_THAT(result.standard_output, HasSubstr("--preview"));
}

TEST(SynthCommand, NamesTheNearestKeyOfOneThatDoesNotExist) {
  const TemporaryFolder folder;
  const test::CommandResult result = synth({folder.path() / "set", "train_clip=2"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.standard_error, HasSubstr("train_clips"));
  EXPECT_FALSE(fs::exists(folder.path() / "set"));
}

TEST(SynthCommand, NamesTheSetupWhenPhotographsAreMissing) {
  const TemporaryFolder folder;
  const test::CommandResult result = synth({folder.path() / "set", "photographs=" + folder.path().string()});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.standard_error, HasSubstr("tools/setup"));
}

TEST(SynthCommand, RefusesAFolderUnderAFile) {
  if (!photographs_are_there())
    GTEST_SKIP() << "the photographs are not in " << data::default_photograph_folder() << " (tools/setup puts them there)";
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "file", "");
  EXPECT_EQ(synth({folder.path() / "file/set", "train_clips=1", "test_clips=1"}).exit_code, 5);
}

TEST(SynthCommand, SaysThatTheDiskIsFullAndLeavesNoHalfClip) {
  if (!photographs_are_there())
    GTEST_SKIP() << "the photographs are not in " << data::default_photograph_folder() << " (tools/setup puts them there)";
  MICROEMO_SKIP_WITHOUT_DISKS();
  const auto [result, files] =
      test::run_on_disk("size=24k", {MICROEMO_BINARY, "synth", "set", "train_clips=1", "test_clips=1", "--workers", "1"});
  EXPECT_EQ(result.exit_code, 5) << result.standard_error;
  EXPECT_THAT(result.standard_error, HasSubstr("No space left on device"));
  for (const std::string& file : files) EXPECT_FALSE(file.ends_with(".mp4")) << file;
}

TEST(SynthCommand, ASignalStopsItAndTheSameCommandGoesOn) {
  if (!photographs_are_there())
    GTEST_SKIP() << "the photographs are not in " << data::default_photograph_folder() << " (tools/setup puts them there)";
  const TemporaryFolder folder;
  const fs::path set = folder.path() / "set", clips = set / "clips";
  const std::vector<std::string> words = {MICROEMO_BINARY, "synth",     set, "train_clips=2",
                                          "test_clips=1",  "--workers", "1", "--quiet"};
  EXPECT_EQ(test::interrupt_command(words, SIGTERM, [&] { return fs::exists(clips) && !fs::is_empty(clips); }),
            exit_code_resumable);
  EXPECT_FALSE(fs::exists(set / "manifest.jsonl"));
  EXPECT_EQ(test::run_command(words).exit_code, 0);
  EXPECT_EQ(data::read_manifest(set / "manifest.jsonl").clips.size(), 3u);
}

TEST(SynthCommand, WantsAFolder) {
  const test::CommandResult result = synth({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.standard_error, HasSubstr("OUT"));
}

TEST(SynthCommand, RefusesANegativeNumberOfWorkers) { EXPECT_EQ(synth({"set", "--workers", "-1"}).exit_code, 2); }

}  // namespace
}  // namespace microemo::cli
