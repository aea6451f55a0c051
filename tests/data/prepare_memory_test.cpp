// Memory of long clips, counted in bytes.
#include "support/allocations.h"

#include <ATen/ATen.h>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/data/prepared.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::AllocationPeak;
using test::expect_error;
using test::ffmpeg;
using testing::HasSubstr;

constexpr int64_t mebibyte = int64_t(1) << 20;
constexpr int minutes = 20;

/// A clip of twenty minutes: 12,000 pictures without a face, and others like it with the same pictures.
class PrepareMemory : public testing::Test {
 protected:
  void SetUp() override {
    ffmpeg({"-f", "lavfi", "-i", "testsrc=s=128x96:r=10:d=30", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1",
            path("half.mp4").string()});
    ffmpeg({"-stream_loop", std::to_string(2 * minutes - 1), "-i", path("half.mp4").string(), "-c", "copy",
            path("long.mp4").string()});
    fs::create_directories(path("copies"));
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  Manifest manifest_of(int copies) const {
    std::vector<Clip> clips;
    for (int i = 0; i < copies; ++i) {
      const fs::path copy = path("copies/" + std::to_string(i) + ".mp4");
      ffmpeg({"-i", path("long.mp4").string(), "-c", "copy", "-metadata", "title=" + std::to_string(i), copy.string()});
      clips.push_back({.id = std::to_string(i), .video = copy});
    }
    return {path("m.jsonl"), "", clips};
  }

  TemporaryFolder folder_;
};

TEST_F(PrepareMemory, FourWorkersStayWithinTheOptionHoweverLongTheClips) {
  const Manifest manifest = manifest_of(4);
  const PrepareOptions options{.frame_rate = 0.5};
  const auto peak_with = [&](int64_t memory) {
    const fs::path cache = path("cache" + std::to_string(memory));
    const AllocationPeak peak;
    const PrepareReport report = prepare_manifest(manifest, cache, options, {.workers = 4, .memory_bytes = memory * mebibyte});
    EXPECT_EQ(report.done, 4);
    return int64_t(peak.bytes()) / mebibyte;
  };
  // The pictures of the twenty minutes would fill 12,000 x 128 x 96 bytes of grey for each clip, 140 MiB. The models of the face
  // tracker are loaded once for the process, and not counted. Half of a worker's part is for pictures: as those of the whole clip
  // will not fit into it, none is held.
  prepare_clip({.id = "first", .video = path("half.mp4")}, options);
  const int64_t narrow = peak_with(256), wide = peak_with(2048);
  EXPECT_LE(narrow, 256 / 2);
  EXPECT_GT(wide, narrow) << "more memory is used where it is allowed";
}

TEST_F(PrepareMemory, TheOutcomeDoesNotDependOnIt) {
  const Clip clip{.id = "a", .video = path("half.mp4")};
  const PreparedClip much = prepare_clip(clip, {}), little = prepare_clip(clip, {}, {.kept_frames = 0, .most = 16 * mebibyte});
  EXPECT_TRUE(at::equal(much.frames_TCHW, little.frames_TCHW));
  EXPECT_TRUE(at::equal(much.faces_NCSS, little.faces_NCSS));
}

TEST_F(PrepareMemory, AClipThatNeedsMoreThanItMayIsRefusedBeforeItIsHeld) {
  const Clip clip{.id = "long", .video = path("long.mp4")};
  prepare_clip({.id = "first", .video = path("half.mp4")}, {});  // loads the models of the face tracker, which are not counted
  const AllocationPeak peak;
  const Error error = expect_error(
      ErrorKind::data, [&] { prepare_clip(clip, {}, {.kept_frames = 8 * mebibyte, .most = 16 * mebibyte}); },
      "clip \"long\" takes more than 16 MiB of memory");
  EXPECT_THAT(error.next_step(), HasSubstr("--memory"));
  EXPECT_LE(int64_t(peak.bytes()), 48 * mebibyte);
}

TEST_F(PrepareMemory, AClipThatNeedsMoreThanAWorkersPartIsPreparedAlone) {
  Manifest manifest = manifest_of(1);
  manifest.clips.push_back({.id = "short", .video = path("half.mp4")});
  // 2 x 80 MiB: the long clip needs 123 MiB for its whole frames alone.
  const PrepareReport report = prepare_manifest(manifest, path("cache"), {}, {.workers = 2});
  EXPECT_EQ(report.done, 2);
  EXPECT_EQ(report.skipped, 0);
}

TEST_F(PrepareMemory, AClipThatNeedsMoreThanAllIsSkippedWithItsReason) {
  Manifest manifest = manifest_of(1);
  manifest.clips.push_back({.id = "short", .video = path("half.mp4")});
  const PrepareReport report =
      prepare_manifest(manifest, path("cache"), {}, {.workers = 2, .max_skipped = 0.5, .memory_bytes = 64 * mebibyte});
  EXPECT_EQ(report.done, 1);
  EXPECT_EQ(report.reasons, (std::map<std::string, int64_t>{{"over_memory", 1}}));
}

}  // namespace
}  // namespace microemo::data
