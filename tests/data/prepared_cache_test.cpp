#include "microemo/data/prepared_cache.h"

#include <ATen/ATen.h>
#include <sys/stat.h>
#include <utime.h>

#include <limits>

#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/formats/safetensors.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using testing::HasSubstr;

/// A cache whose clips are files of text with entries of made-up contents: neither command decodes a video.
class PreparedCache : public testing::Test {
 protected:
  fs::path cache() const { return folder_.path() / "cache"; }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  Clip clip(const std::string& id) const {
    write_file_atomic(path(id + ".mp4"), "content of " + id);
    return {.id = id, .video = path(id + ".mp4")};
  }
  fs::path entry(const Clip& clip, const PrepareOptions& options = {}) const { return cache_file(cache(), clip, options); }
  fs::path make(const Clip& clip, const PrepareOptions& options = {}) const {
    write_prepared(entry(clip, options), pattern_clip(options, 1));
    return entry(clip, options);
  }
  Manifest manifest(std::vector<Clip> clips) const { return {path("m.jsonl"), "", std::move(clips)}; }
  /// Writes an entry anew with a change to its tensors' bytes or metadata, which its hash does not know of.
  template <class Change>
  void change(const fs::path& file, Change&& change) const {
    std::map<std::string, std::string> metadata;
    std::vector<std::pair<formats::SafetensorsEntry, std::string>> tensors;
    {
      const formats::SafetensorsFile opened(file);
      metadata = opened.metadata();
      for (const auto& tensor : opened.entries()) {
        const auto bytes = opened.bytes(tensor);
        tensors.emplace_back(tensor, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
      }
    }
    change(tensors, metadata);
    std::vector<formats::SafetensorsTensor> plan;
    for (const auto& [tensor, bytes] : tensors)
      plan.push_back({tensor.name, tensor.dtype, tensor.shape, std::as_bytes(std::span(bytes))});
    formats::write_safetensors(file, plan, metadata);
  }
  void expect_damaged(const fs::path& file, const std::string& message) const {
    const CacheCheck check = verify_cache(cache(), false, 1);
    ASSERT_EQ(check.damaged.size(), 1u);
    EXPECT_EQ(check.damaged[0].file, file);
    EXPECT_THAT(check.damaged[0].message, HasSubstr(message));
  }
  static void make_old(const fs::path& file) {
    const time_t days_ago = ::time(nullptr) - 2 * 24 * 3600;
    const utimbuf times{days_ago, days_ago};
    ASSERT_EQ(::utime(file.c_str(), &times), 0);
  }

  TemporaryFolder folder_;
};

TEST_F(PreparedCache, WholeEntriesPass) {
  for (const char* id : {"a", "b", "c"}) make(clip(id));
  make(clip("a"), {.sound = SoundInput::samples});
  const CacheCheck check = verify_cache(cache(), false, 2);
  EXPECT_EQ(check.entries, 4);
  EXPECT_TRUE(check.damaged.empty()) << check.damaged[0].message;
  EXPECT_EQ(check.unsigned_entries, 0);
  EXPECT_GT(check.bytes, 1000);
}

TEST_F(PreparedCache, FindsEveryChangedByte) {
  const fs::path file = make(clip("a"));
  const std::string whole = read_file(file);
  const auto data_start = formats::SafetensorsFile(file).data_start();
  for (size_t at = data_start; at < whole.size(); at += 1 + (whole.size() - data_start) / 40) {
    std::string bytes = whole;
    bytes[at] = char(bytes[at] ^ 1);
    write_file_atomic(file, bytes);
    EXPECT_EQ(verify_cache(cache(), false, 1).damaged.size(), 1u) << "byte " << at;
  }
}

TEST_F(PreparedCache, FindsTruncatedEntries) {
  const fs::path file = make(clip("a"));
  const std::string whole = read_file(file);
  for (const double part : {0.0, 0.01, 0.5, 0.999}) {
    write_file_atomic(file, whole.substr(0, size_t(double(whole.size()) * part)));
    EXPECT_EQ(verify_cache(cache(), false, 1).damaged.size(), 1u) << part;
  }
}

TEST_F(PreparedCache, FindsAChangedFact) {
  const fs::path file = make(clip("a"));
  change(file, [](auto&, auto& metadata) { metadata.at("faces_found").push_back('1'); });
  expect_damaged(file, "not those that were written");
}

TEST_F(PreparedCache, FindsNumbersThatAreNotFinite) {
  PreparedClip prepared = pattern_clip({}, 1);
  prepared.mel_FM[0][0] = std::numeric_limits<float>::quiet_NaN();
  const fs::path file = entry(clip("a"));
  write_prepared(file, prepared);
  expect_damaged(file, "its mel has numbers that are not finite");
}

TEST_F(PreparedCache, FindsTimesThatAreNotFinite) {
  PreparedClip prepared = pattern_clip({}, 1);
  prepared.face_times_N[3] = std::numeric_limits<double>::infinity();
  const fs::path file = entry(clip("a"));
  write_prepared(file, prepared);
  expect_damaged(file, "its face_times has numbers that are not finite");
}

TEST_F(PreparedCache, CountsEntriesOfEarlierVersionsWithoutAHash) {
  change(make(clip("a")), [](auto&, auto& metadata) { metadata.erase("sha256"); });
  const CacheCheck check = verify_cache(cache(), false, 1);
  EXPECT_TRUE(check.damaged.empty());
  EXPECT_EQ(check.unsigned_entries, 1);
}

TEST_F(PreparedCache, RemovesDamagedEntriesWhenAsked) {
  const fs::path good = make(clip("a")), bad = make(clip("b"));
  fs::resize_file(bad, fs::file_size(bad) / 2);
  EXPECT_EQ(verify_cache(cache(), true, 1).damaged.size(), 1u);
  EXPECT_TRUE(fs::exists(good));
  EXPECT_FALSE(fs::exists(bad));
  EXPECT_TRUE(verify_cache(cache(), false, 1).damaged.empty());
}

TEST_F(PreparedCache, DoesNotTouchFilesThatAreNoEntries) {
  write_file_atomic(cache() / "ab/notes.safetensors", "not an entry");
  write_file_atomic(cache() / "readme.txt", "text");
  EXPECT_EQ(verify_cache(cache(), true, 1).entries, 0);
  EXPECT_TRUE(fs::exists(cache() / "ab/notes.safetensors"));
}

TEST_F(PreparedCache, RefusesAFolderThatIsNotThere) {
  expect_error(
      ErrorKind::data, [&] { verify_cache(path("no"), false); }, "no such cache");
  expect_error(
      ErrorKind::data, [&] { prune_cache(path("no"), {}, {{}}, false); }, "no such cache");
}

TEST_F(PreparedCache, RemovesWhatNoManifestNeeds) {
  const Clip a = clip("a"), b = clip("b"), c = clip("c");
  const fs::path needed = make(a), other_manifest = make(b), unneeded = make(c), other_options = make(a, {.frame_rate = 2});
  const int64_t bytes = int64_t(fs::file_size(unneeded) + fs::file_size(other_options));
  const CachePruning dry = prune_cache(cache(), {manifest({a}), manifest({b})}, {{}}, true);
  EXPECT_TRUE(fs::exists(unneeded));
  const CachePruning pruning = prune_cache(cache(), {manifest({a}), manifest({b})}, {{}}, false);
  for (const CachePruning& told : {dry, pruning}) {
    EXPECT_EQ(told.kept, 2);
    EXPECT_EQ(told.removed, 2);
    EXPECT_EQ(told.removed_bytes, bytes);
  }
  EXPECT_TRUE(fs::exists(needed) && fs::exists(other_manifest));
  EXPECT_FALSE(fs::exists(unneeded) || fs::exists(other_options));
}

TEST_F(PreparedCache, KeepsTheEntriesOfAllOptionsThatAreNamed) {
  const Clip a = clip("a");
  make(a);
  make(a, {.frame_rate = 2});
  EXPECT_EQ(prune_cache(cache(), {manifest({a})}, {{}, {.frame_rate = 2}}, false).kept, 2);
}

TEST_F(PreparedCache, RemovesNothingWhenAVideoCannotBeRead) {
  const Clip a = clip("a"), gone = clip("gone");
  const fs::path unneeded = make(clip("b"));
  make(a);
  fs::remove(gone.video);
  expect_error(
      ErrorKind::data,
      [&] {
        prune_cache(cache(), {manifest({a, gone})}, {{}}, false);
      },
      "gone.mp4");
  EXPECT_TRUE(fs::exists(unneeded));
}

TEST_F(PreparedCache, RemovesUnfinishedFilesOfYesterdayAlone) {
  const Clip a = clip("a");
  const fs::path folder = make(a).parent_path(), old = folder / ".abc.12-1.tmp.safetensors",
                 young = folder / ".abc.13-1.tmp.safetensors";
  write_file_atomic(old, "half");
  write_file_atomic(young, "half");
  make_old(old);
  const CachePruning pruning = prune_cache(cache(), {manifest({a})}, {{}}, false);
  EXPECT_EQ(pruning.unfinished, 1);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
}

TEST_F(PreparedCache, LeavesTheListsAndForeignFilesAlone) {
  const Clip a = clip("a");
  make(a);
  for (const char* name : {"index.jsonl", "skipped.jsonl", "readme.txt", "ab/notes.safetensors"})
    write_file_atomic(cache() / name, "");
  make_old(cache() / "readme.txt");
  EXPECT_EQ(prune_cache(cache(), {manifest({a})}, {{}}, false).foreign, 2);
  for (const char* name : {"index.jsonl", "skipped.jsonl", "readme.txt", "ab/notes.safetensors"})
    EXPECT_TRUE(fs::exists(cache() / name)) << name;
}

TEST_F(PreparedCache, RefusesAFolderThatIsNoCache) {
  write_file_atomic(path("home/letter.txt"), "dear");
  expect_error(
      ErrorKind::data, [&] { prune_cache(path("home"), {}, {{}}, false); }, "no cache of prepared clips");
  EXPECT_TRUE(fs::exists(path("home/letter.txt")));
}

}  // namespace
}  // namespace microemo::data
