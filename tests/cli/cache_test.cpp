#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using test::run_command;
using testing::HasSubstr;

/// A cache of two clips, a and b, and a manifest of each.
class CacheCommand : public testing::Test {
 protected:
  void SetUp() override {
    for (const std::string id : {"a", "b"}) {
      test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.4", "-metadata", "title=" + id, "-c:v", "libx264", "-preset",
                    "ultrafast", "-threads", "1", path(id + ".mp4")});
      write_file_atomic(path(id + ".jsonl"), Json{{"id", id}, {"video", id + ".mp4"}}.dump() + "\n");
      const CommandResult result =
          microemo({"prepare", path(id + ".jsonl"), "--cache", path("cache"), "--workers", "1", "prepare.faces=false"});
      ASSERT_EQ(result.exit_code, 0) << result.standard_error;
    }
  }
  static CommandResult microemo(std::vector<std::string> words) {
    words.insert(words.begin(), MICROEMO_BINARY);
    return run_command(words);
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::vector<fs::path> entries() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(path("cache")))
      if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    return files;
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(CacheCommand, VerifiesAWholeCache) {
  const CommandResult result = microemo({"cache", "verify", path("cache"), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json json = parse_json(result.standard_output, "output");
  EXPECT_EQ(json["entries"], 2);
  EXPECT_TRUE(json["damaged"].empty());
}

TEST_F(CacheCommand, ListsDamagedEntriesAndEndsWithTheDataExitCode) {
  const fs::path damaged = entries().front();
  std::string bytes = read_file(damaged);
  bytes.back() = char(bytes.back() ^ 1);
  write_file_atomic(damaged, bytes);
  const CommandResult text = microemo({"cache", "verify", path("cache")}),
                      json = microemo({"cache", "verify", path("cache"), "--json"});
  EXPECT_EQ(text.exit_code, 3);
  EXPECT_THAT(text.standard_output, HasSubstr(damaged.filename().string()));
  EXPECT_THAT(text.standard_output, HasSubstr("--fix"));
  EXPECT_EQ(json.exit_code, 3);
  EXPECT_EQ(parse_json(json.standard_output, "output")["damaged"].size(), 1u);
}

TEST_F(CacheCommand, FixesWhatPrepareThenMakesAnew) {
  const fs::path damaged = entries().front();
  const std::string whole = read_file(damaged);
  fs::resize_file(damaged, 100);
  EXPECT_EQ(microemo({"cache", "verify", path("cache"), "--fix"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(damaged));
  for (const char* id : {"a", "b"})
    microemo({"prepare", path(std::string(id) + ".jsonl"), "--cache", path("cache"), "--workers", "1", "prepare.faces=false"});
  EXPECT_EQ(read_file(damaged), whole);
}

TEST_F(CacheCommand, PrunesWhatNoManifestNeeds) {
  const std::vector<std::string> words = {"cache", "prune", path("cache"), "prepare.faces=false", "--keep", path("a.jsonl")};
  std::vector<std::string> dry = words;
  dry.insert(dry.end(), {"--dry-run", "--json"});
  EXPECT_EQ(parse_json(microemo(dry).standard_output, "output")["removed"], 1);
  EXPECT_EQ(entries().size(), 2u);
  const CommandResult result = microemo(words);
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("1 entry removed"));
  EXPECT_EQ(entries().size(), 1u);
}

TEST_F(CacheCommand, RefusesWrongWords) {
  EXPECT_EQ(microemo({"cache"}).exit_code, 2);
  EXPECT_EQ(microemo({"cache", "prune", path("cache")}).exit_code, 2);  // nothing to keep
  EXPECT_EQ(microemo({"cache", "prune", path("cache"), "prepare.face=1", "--keep", path("a.jsonl")}).exit_code, 2);
  EXPECT_EQ(microemo({"cache", "verify", path("no")}).exit_code, 3);
  EXPECT_EQ(microemo({"cache", "prune", path("cache"), "--keep", path("no.jsonl")}).exit_code, 3);
  EXPECT_EQ(entries().size(), 2u);
}

}  // namespace
}  // namespace microemo::cli
