#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <thread>

#include <fmt/format.h>

#include "media/media.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "support/held_file.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using test::run_command;
using testing::HasSubstr;

/// Entries of a cache by name, with their content.
std::map<std::string, std::string> entries(const fs::path& cache) {
  std::map<std::string, std::string> contents;
  if (!fs::exists(cache)) return contents;
  for (const auto& entry : fs::recursive_directory_iterator(cache))
    if (entry.path().extension() == ".safetensors" && entry.path().filename().string()[0] != '.')
      contents[fs::relative(entry.path(), cache)] = read_file(entry.path());
  return contents;
}

class PrepareCommand : public testing::Test {
 protected:
  /// Four clips: a, b, c, d.
  void SetUp() override {
    std::string lines;
    for (const std::string id : {"a", "b", "c", "d"}) {
      make_video(id, "0.4");
      lines += "{\"id\": \"" + id + "\", \"video\": \"" + id + ".mp4\"}\n";
    }
    write_file_atomic(path("m.jsonl"), lines);
  }
  void make_video(const std::string& id, const std::string& seconds) const {
    test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=" + seconds, "-metadata", "title=" + id, "-c:v", "libx264",
                  "-preset", "ultrafast", "-threads", "1", path(id + ".mp4")});
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::vector<std::string> words(const std::string& cache, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {MICROEMO_BINARY, "prepare", path("m.jsonl"), "--cache", path(cache), "--workers", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  CommandResult prepare(const std::string& cache, const std::vector<std::string>& more = {}) const {
    return run_command(words(cache, more));
  }

  /// Starts a preparation, ends it with a signal as soon as clip a is done, and returns its exit status. Clip b has to be long
  /// enough to be at work on then; where the machine was too busy to look in time, it tries again.
  int interrupt(const std::string& cache, int signal) {
    for (int attempt = 0; attempt < 10; ++attempt) {
      fs::remove_all(path(cache));
      test::detail::Pipe in, out, err;
      const pid_t child = test::detail::spawn(words(cache), {}, in, out, err);
      int status = 0;
      while (entries(path(cache)).empty()) {
        if (::waitpid(child, &status, WNOHANG) == child) throw std::runtime_error("the preparation ended without an entry");
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      ::kill(child, signal);
      ::waitpid(child, &status, 0);
      if (entries(path(cache)).size() < 4) return status;
    }
    throw std::runtime_error("every preparation ended before it could be interrupted");
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(PrepareCommand, FillsTheCacheAndReportsJson) {
  const CommandResult result = prepare("cache", {"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json report = parse_json(result.standard_output, "output");
  EXPECT_EQ(report["done"], 4);
  EXPECT_EQ(report["without_sound"], 4);
  EXPECT_EQ(report["without_face"], 4);
  EXPECT_EQ(entries(path("cache")).size(), 4u);
}

TEST_F(PrepareCommand, SaysThatNoFaceWasFound) {
  EXPECT_THAT(prepare("cache").standard_output, HasSubstr("4 clips in which no face was found"));
}

TEST_F(PrepareCommand, TakesOptionsFromFilesAndWords) {
  write_file_atomic(path("c.yaml"), "prepare:\n  frame_rate: 2\n  face_size: 48\ntrain:\n  cache: " + path("named") + "\n");
  const CommandResult result =
      run_command({MICROEMO_BINARY, "prepare", path("m.jsonl"), "prepare.mel_bands=24", "--config", path("c.yaml")});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(entries(path("named")).size(), 4u);
}

TEST_F(PrepareCommand, KilledAndStartedAgainItGivesTheSameFiles) {
  make_video("b", "8");
  ASSERT_EQ(prepare("whole").exit_code, 0);
  ASSERT_TRUE(WIFSIGNALED(interrupt("cache", SIGKILL)));
  const int64_t done = int64_t(entries(path("cache")).size());
  const CommandResult again = prepare("cache", {"--json"});
  ASSERT_EQ(again.exit_code, 0) << again.standard_error;
  EXPECT_EQ(parse_json(again.standard_output, "output")["already_there"], done);
  EXPECT_EQ(entries(path("cache")), entries(path("whole")));
}

TEST_F(PrepareCommand, StoppedByASignalItCanBeResumed) {
  make_video("b", "8");
  const int status = interrupt("cache", SIGTERM);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 75);
  EXPECT_EQ(prepare("cache").exit_code, 0);
  EXPECT_EQ(entries(path("cache")).size(), 4u);
}

TEST_F(PrepareCommand, NeedsNoMoreMemoryForManyClips) {
  const auto peak_of = [&](int clips) {
    std::string lines;
    for (int i = 0; i < clips; ++i) {
      make_video("m" + std::to_string(i), "1");
      lines += fmt::format(R"({{"id": "m{0}", "video": "m{0}.mp4"}})", i) + "\n";
    }
    write_file_atomic(path("m.jsonl"), lines);
    const CommandResult result = prepare("cache" + std::to_string(clips));
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return result.peak_memory_mb;
  };
  const double few = peak_of(3), many = peak_of(40);
  EXPECT_LT(many - few, 37 * 320 * 240 * 3 * 25 / double(1 << 20) / 8) << "an eighth of what the pictures of 37 more clips take";
}

TEST_F(PrepareCommand, HoldsOfALongClipOnlyWhatIsKept) {
  const auto once = test::test_media("Megamind.avi");
  if (!once) GTEST_SKIP() << test::no_test_media("Megamind.avi");
  test::ffmpeg({"-stream_loop", "1", "-i", once->string(), "-c", "copy", path("twice.avi")});
  const auto peak_of = [&](const std::string& name, const fs::path& video) {
    write_file_atomic(path("m.jsonl"), Json{{"id", name}, {"video", video.string()}}.dump() + "\n");
    const CommandResult result = prepare("cache", {"--json"});
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return result.peak_memory_mb;
  };
  const double first = peak_of("once", *once), second = peak_of("twice", path("twice.avi"));
  EXPECT_LT(second - first, 270 * 720 * 528 * 3 / double(1 << 20) / 8) << "an eighth of what the second half's pictures take";
}

TEST_F(PrepareCommand, EndsWithTheDataExitCodeWhenAClipCannotBeRead) {
  write_file_atomic(path("b.mp4"), "This is a letter.");
  const CommandResult result = prepare("cache");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("1 of 4 clips"));
  EXPECT_THAT(result.standard_error, HasSubstr("skipped.jsonl"));
  EXPECT_EQ(entries(path("cache")).size(), 3u);
}

TEST_F(PrepareCommand, GoesOnWithoutClipsThatMayBeSkipped) {
  write_file_atomic(path("b.mp4"), "This is a letter.");
  const CommandResult result = prepare("cache", {"--max-skipped", "0.5"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, HasSubstr("1 skipped"));
}

TEST_F(PrepareCommand, AFullDiskIsOneEnvironmentError) {
  std::string command = "trap '' XFSZ; ulimit -f 20; exec";
  for (const std::string& word : words("cache")) command += " '" + word + "'";
  const CommandResult result = run_command({"bash", "-c", command});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.standard_error, HasSubstr("File too large"));
  EXPECT_TRUE(entries(path("cache")).empty());
}

TEST_F(PrepareCommand, ACacheThatCannotBeWrittenIsOneEnvironmentError) {
  write_file_atomic(path("cache"), "a file");
  const CommandResult result = prepare("cache");
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(PrepareCommand, RefusesWrongWords) {
  EXPECT_EQ(run_command({MICROEMO_BINARY, "prepare", path("m.jsonl")}).exit_code, 2);  // no cache
  EXPECT_EQ(prepare("cache", {"prepare.face_sise=48"}).exit_code, 2);
  EXPECT_EQ(prepare("cache", {"prepare.face_size=big"}).exit_code, 2);
  EXPECT_EQ(prepare("cache", {"--max-skipped", "2"}).exit_code, 2);
  EXPECT_EQ(prepare("cache", {"prepare.face_rate=25", "prepare.face_rate_cap=50"}).exit_code, 2);
  EXPECT_FALSE(fs::exists(path("cache")));
}

TEST_F(PrepareCommand, RefusesAnEmptyManifest) {
  write_file_atomic(path("m.jsonl"), "\n");
  const CommandResult result = prepare("cache");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("the manifest is empty"));
}

TEST_F(PrepareCommand, TellsPartialClipsFromWholeOnes) {
  test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", "-c:v", "libx264", "-preset", "ultrafast", path("c.mkv")});
  const std::string bytes = read_file(path("c.mkv"));
  write_file_atomic(path("c.mp4"), bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(prepare("cache").exit_code, 3);
  const CommandResult text = prepare("cache", {"prepare.partial=allow"});
  ASSERT_EQ(text.exit_code, 0) << text.standard_error;
  EXPECT_THAT(text.standard_output, HasSubstr("1 clip partial, read up to where the file breaks off"));
  EXPECT_THAT(text.standard_output, HasSubstr("partial.jsonl"));
  const CommandResult json = prepare("cache", {"prepare.partial=allow", "--json"});
  EXPECT_EQ(parse_json(json.standard_output, "output")["partial"], 1);
  const CommandResult verified = run_command({MICROEMO_BINARY, "cache", "verify", path("cache")});
  EXPECT_THAT(verified.standard_output, HasSubstr("1 entry of partial clips"));
}

TEST_F(PrepareCommand, ARunThatHangsEndsAndTheNextOneGoesOn) {
  ASSERT_EQ(prepare("cache", {"prepare.faces=false"}).exit_code, 0);
  test::HeldFile held(path("a.mp4"));
  if (!held.is_held()) GTEST_SKIP() << "no leases on this file system";
  const std::vector<std::string> more = {"prepare.limits.stall_seconds=0.2", "--json"};
  const CommandResult hung = prepare("cache", more);
  EXPECT_EQ(hung.exit_code, exit_code_resumable) << hung.standard_error;
  const Json report = parse_json(hung.standard_output, "output");
  EXPECT_EQ(report["reasons"]["hang"], 1);
  EXPECT_EQ(report["stopped"], true);
  EXPECT_THAT(hung.standard_error, HasSubstr("a call of the decoder of clip \"a\" does not come back"));
  const CommandResult again = prepare("cache", more);
  EXPECT_EQ(again.exit_code, 3) << again.standard_output;
  EXPECT_THAT(again.standard_error, HasSubstr("1 of 4 clips cannot be prepared (hang 1)"));
  EXPECT_EQ(entries(path("cache")).size(), 7u);
  held.release();
  const CommandResult whole = prepare("cache", more);
  EXPECT_EQ(whole.exit_code, 0) << whole.standard_error;
  EXPECT_EQ(parse_json(whole.standard_output, "output")["already_there"], 3);
  EXPECT_FALSE(fs::exists(path("cache/skipped.jsonl")));
}

}  // namespace
}  // namespace microemo::cli
