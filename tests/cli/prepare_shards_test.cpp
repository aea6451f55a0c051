#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <map>
#include <random>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using test::run_command;
using testing::HasSubstr;

constexpr int clips = 12;

/// Twelve short clips of different contents, and several processes that prepare them into one cache.
class PrepareShards : public testing::Test {
 protected:
  void SetUp() override {
    std::string lines;
    test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1",
                  path("source.mp4")});
    for (int i = 0; i < clips; ++i) {
      test::ffmpeg({"-i", path("source.mp4"), "-c", "copy", "-metadata", fmt::format("title={}", i), path(name_of(i))});
      lines += Json{{"id", fmt::format("clip{}", i)}, {"video", name_of(i)}}.dump() + "\n";
    }
    write_file_atomic(path("m.jsonl"), lines);
  }
  static std::string name_of(int clip) { return fmt::format("{}.mp4", clip); }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::vector<std::string> words(const std::string& cache, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {MICROEMO_BINARY, "prepare", path("m.jsonl"),         "--cache", path(cache),
                                    "--workers",     "1",       "prepare.frame_rate=25", "--json",  "prepare.faces=false",
                                    "--max-skipped", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Json prepare(const std::string& cache, const std::vector<std::string>& more = {}) const {
    const CommandResult result = run_command(words(cache, more));
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return parse_json(result.standard_output, "output");
  }
  std::map<std::string, std::string> entries(const std::string& cache) const {
    std::map<std::string, std::string> contents;
    if (!fs::exists(path(cache))) return contents;
    for (const auto& entry : fs::recursive_directory_iterator(path(cache)))
      if (entry.path().extension() == ".safetensors" && entry.path().filename().string()[0] != '.')
        contents[fs::relative(entry.path(), path(cache))] = read_file(entry.path());
    return contents;
  }
  /// Which file each entry is: another one once it was written again.
  std::map<std::string, ino_t> inodes(const std::string& cache) const {
    std::map<std::string, ino_t> numbers;
    for (const auto& [name, content] : entries(cache)) {
      struct stat facts {};
      EXPECT_EQ(::stat((fs::path(path(cache)) / name).c_str(), &facts), 0);
      numbers[name] = facts.st_ino;
    }
    return numbers;
  }
  /// Every line of the index can be read, and names each video.
  void expect_whole_index(const std::string& cache) const {
    std::set<std::string> videos;
    read_jsonl(fs::path(path(cache)) / "index.jsonl",
               [&](const Json& line, int64_t) { videos.insert(fs::path(line["path"].get<std::string>()).filename()); });
    EXPECT_EQ(videos.size(), size_t(clips));
  }
  /// Processes of the shards, each ended with SIGKILL after its time in milliseconds; 0 waits for its end.
  void run_shards(const std::string& cache, const std::vector<int>& kill_after_ms) const {
    std::vector<std::thread> processes;
    const size_t count = kill_after_ms.size();
    for (size_t i = 0; i < count; ++i)
      processes.emplace_back([&, i] {
        const std::vector<std::string> own = words(cache, {"--shard", fmt::format("{}/{}", i + 1, count)});
        if (kill_after_ms[i] == 0) {
          EXPECT_EQ(run_command(own).exit_code, 0);
          return;
        }
        test::detail::Pipe in, out, err;
        const pid_t child = test::detail::spawn(own, {}, in, out, err);
        std::this_thread::sleep_for(std::chrono::milliseconds(kill_after_ms[i]));
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
      });
    for (std::thread& process : processes) process.join();
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(PrepareShards, AtOneTimeTheyMakeWhatOneRunMakes) {
  prepare("whole");
  run_shards("cache", {0, 0, 0});
  EXPECT_EQ(entries("cache"), entries("whole"));
  expect_whole_index("cache");
  EXPECT_EQ(prepare("cache")["already_there"], clips);
}

TEST_F(PrepareShards, KilledAtAnyMomentTheyLoseNothingAndMakeNothingAgain) {
  prepare("whole");
  std::mt19937 random(8);
  std::map<std::string, ino_t> made;
  for (int round = 0; round < 6; ++round) {
    std::vector<int> times;
    for (int shard = 0; shard < 3; ++shard) times.push_back(1 + int(random() % 1500));
    run_shards("cache", times);
    const auto now = inodes("cache");
    for (const auto& [name, inode] : made) EXPECT_EQ(now.at(name), inode) << name << " was made again in round " << round;
    made = now;
  }
  run_shards("cache", {0, 0, 0});
  for (const auto& [name, inode] : made) EXPECT_EQ(inodes("cache").at(name), inode) << name;
  EXPECT_EQ(entries("cache"), entries("whole"));
  expect_whole_index("cache");
  EXPECT_EQ(prepare("cache")["already_there"], clips);
}

TEST_F(PrepareShards, AllOfThemAreListedWhereTheySkip) {
  for (int i = 0; i < clips; i += 2) write_file_atomic(path(name_of(i)), fmt::format("no film {}", i));
  run_shards("cache", {0, 0, 0});
  std::vector<std::string> ids;
  read_jsonl(path("cache") + "/skipped.jsonl", [&](const Json& line, int64_t) { ids.push_back(line["id"]); });
  EXPECT_EQ(ids, (std::vector<std::string>{"clip0", "clip2", "clip4", "clip6", "clip8", "clip10"}));
  EXPECT_EQ(prepare("cache")["reasons"], (Json{{"not_media", 6}}));
}

TEST_F(PrepareShards, ALineThatAKilledProcessLeftUnfinishedCostsNoOther) {
  prepare("cache", {"--shard", "1/2"});
  const std::string index = path("cache") + "/index.jsonl", before = read_file(index);
  write_file_atomic(index, before + before.substr(0, 40));
  prepare("cache", {"--shard", "2/2"});
  EXPECT_EQ(prepare("cache")["already_there"], clips);
  expect_whole_index("cache");
}

TEST_F(PrepareShards, RankIsThePartOfTheLauncher) {
  const CommandResult result =
      run_command(words("cache", {"--shard", "rank"}),
                  {.environment = {{"RANK", "1"}, {"WORLD_SIZE", "3"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "29555"}}});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(parse_json(result.standard_output, "output")["done"], clips / 3);
  EXPECT_EQ(prepare("cache", {"--shard", "2/3"})["already_there"], clips / 3);
}

TEST_F(PrepareShards, RefusesWhatIsNoShard) {
  for (const char* word : {"0/3", "4/3", "1", "1/0", "one/two", "1/3/5", "-1/3", "1/70000"}) {
    const CommandResult result = run_command(words("cache", {"--shard", word}));
    EXPECT_EQ(result.exit_code, 2) << word;
    EXPECT_THAT(result.standard_error, HasSubstr("names no shard")) << word;
  }
  EXPECT_FALSE(fs::exists(path("cache")));
}

TEST_F(PrepareShards, TellsSpeedAndReasons) {
  write_file_atomic(path(name_of(3)), "no film");
  std::vector<std::string> own = words("cache");
  std::erase(own, "--json");
  const CommandResult result = run_command(own);
  EXPECT_THAT(result.standard_output, HasSubstr("clips/s"));
  EXPECT_THAT(result.standard_output, HasSubstr("skipped, not_media: 1 clip\n"));
  EXPECT_THAT(result.standard_error, HasSubstr("skipped 1: not_media 1"));
}

}  // namespace
}  // namespace microemo::cli
