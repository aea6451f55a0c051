#include <ATen/ATen.h>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/data/prepared.h"
#include "microemo/formats/npy.h"
#include "microemo/media/face_crops.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::ffmpeg;

media::Image crop_of(uint8_t red, uint8_t green, uint8_t blue) {
  media::Image crop{112, 112, 3, {}};
  for (int i = 0; i < 112 * 112; ++i) crop.pixels.insert(crop.pixels.end(), {red, green, blue});
  return crop;
}

/// A clip of a second without a face, 25 frames, and crops that belong to it.
class GivenFaces : public testing::Test {
 protected:
  void SetUp() override {
    ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1", "-f", "lavfi", "-i", "sine=r=16000:d=1", "-c:v", "libx264",
            "-preset", "ultrafast", "-threads", "1", "-c:a", "aac", (folder_.path() / "a.mp4").string()});
  }
  fs::path crops(int count, const std::string& name = "faces.npy") const {
    std::vector<media::Image> list(size_t(count), crop_of(200, 100, 50));
    if (count > 3) list[3] = {};
    media::write_face_crops(folder_.path() / name, list, 112);
    return folder_.path() / name;
  }
  Clip clip(const fs::path& faces, double rate = 0) const {
    return {.id = "a", .video = folder_.path() / "a.mp4", .face_crops = faces, .face_crop_rate = rate};
  }
  Manifest manifest_of(const std::string& line) const {
    write_file_atomic(folder_.path() / "m.jsonl", line);
    return read_manifest(folder_.path() / "m.jsonl");
  }

  TemporaryFolder folder_;
};

TEST_F(GivenFaces, TakeThePlaceOfTrackedOnesAtTheTimesOfTheFrames) {
  const PreparedClip prepared = prepare_clip(clip(crops(25)), {.face_input = FaceInput::rgb}),
                     tracked = prepare_clip(clip({}), {.face_input = FaceInput::rgb});
  EXPECT_TRUE(at::equal(prepared.face_times_N, tracked.face_times_N));
  ASSERT_EQ(prepared.faces_NCSS.sizes(), (at::IntArrayRef{25, 3, 64, 64}));
  EXPECT_EQ(prepared.faces_found, 24);
  EXPECT_FALSE(prepared.face_mask_N[3].item<bool>());
  EXPECT_EQ(prepared.faces_NCSS[3].max().item<int64_t>(), 0);
  for (const auto& [channel, level] : {std::pair{0, 200}, {1, 100}, {2, 50}}) {
    EXPECT_EQ(prepared.faces_NCSS[0][channel].min().item<int64_t>(), level);
    EXPECT_EQ(prepared.faces_NCSS[0][channel].max().item<int64_t>(), level);
  }
  EXPECT_TRUE(at::equal(prepared.frames_TCHW, tracked.frames_TCHW));
}

TEST_F(GivenFaces, AreReadInEveryFormThatTheModelTakes) {
  const fs::path faces = crops(25);
  for (const FaceInput input : {FaceInput::gray, FaceInput::difference, FaceInput::rgb_difference, FaceInput::flow})
    EXPECT_EQ(prepare_clip(clip(faces), {.face_input = input}).faces_found, 24);
}

TEST_F(GivenFaces, HaveTheTimesOfTheirRate) {
  const PreparedClip prepared = prepare_clip(clip(crops(10), 10), {.face_input = FaceInput::rgb});
  ASSERT_EQ(prepared.face_times_N.size(0), 10);
  for (int i = 0; i < 10; ++i) EXPECT_DOUBLE_EQ(prepared.face_times_N[i].item<double>(), i / 10.0);
}

TEST_F(GivenFaces, AreThinnedToTheAskedRate) {
  const PreparedClip prepared = prepare_clip(clip(crops(25)), {.face_rate = 5}),
                     tracked = prepare_clip(clip({}), {.face_rate = 5});
  EXPECT_LT(prepared.face_times_N.size(0), 7);
  EXPECT_TRUE(at::equal(prepared.face_times_N, tracked.face_times_N));
}

TEST_F(GivenFaces, OfAnotherNumberThanTheFramesAreRefusedWithoutARate) {
  for (const int count : {1, 24, 26})
    expect_error(
        ErrorKind::data, [&] { prepare_clip(clip(crops(count)), {}); },
        fmt::format("{} face crops, and its video 25 frames", count));
}

TEST_F(GivenFaces, ThatGoOnBehindTheVideoAreRefused) {
  expect_error(
      ErrorKind::data, [&] { prepare_clip(clip(crops(25), 10), {}); }, "is shown at 2.400 s, after the video");
}

TEST_F(GivenFaces, OfAnotherTypeAreRefused) {
  const fs::path file = folder_.path() / "floats.npy";
  formats::write_npy(file, formats::make_npy(std::vector<float>(25 * 16 * 16 * 3), {25, 16, 16, 3}));
  expect_error(
      ErrorKind::data, [&] { prepare_clip(clip(file), {}); }, "float32");
}

TEST_F(GivenFaces, AreNotReadWhereNoFaceIsWanted) {
  const PreparedClip prepared = prepare_clip(clip(crops(3)), {.faces = false});
  EXPECT_EQ(prepared.face_times_N.size(0), 0);
}

TEST_F(GivenFaces, BelongToTheCachesKeyWithTheirRate) {
  const fs::path cache = folder_.path() / "cache";
  const auto key = [&](const Clip& of, const PrepareOptions& options = {}) { return cache_file(cache, of, options); };
  const fs::path faces = crops(25), others = crops(26, "others.npy");
  EXPECT_NE(key(clip(faces)), key(clip({})));
  EXPECT_NE(key(clip(faces)), key(clip(others)));
  EXPECT_NE(key(clip(faces)), key(clip(faces, 25)));
  EXPECT_EQ(key(clip(faces), {.faces = false}), key(clip({}), {.faces = false}));
}

TEST_F(GivenFaces, AreNamedInTheManifest) {
  crops(25);
  const Manifest manifest = manifest_of(R"({"id": "a", "video": "a.mp4", "face_crops": "faces.npy", "face_crop_rate": 25})");
  EXPECT_EQ(manifest.clips[0].face_crops, folder_.path() / "faces.npy");
  EXPECT_EQ(manifest.clips[0].face_crop_rate, 25);
  write_manifest(folder_.path() / "again.jsonl", manifest.clips);
  const Clip again = read_manifest(folder_.path() / "again.jsonl").clips.at(0);
  EXPECT_EQ(again.face_crops, manifest.clips[0].face_crops);
  EXPECT_EQ(again.face_crop_rate, 25);
}

TEST_F(GivenFaces, AreRefusedInAManifestThatCannotMeanThem) {
  crops(25);
  const auto refused = [&](const std::string& members, const std::string& message) {
    const Error error = expect_error(
        ErrorKind::data, [&] { manifest_of(R"({"id": "a", "video": "a.mp4", )" + members + "}"); }, message);
    EXPECT_NE(error.place().find("line 1"), std::string::npos) << error.place();
  };
  refused(R"("face_crops": "missing.npy")", "missing.npy does not exist");
  refused(R"("face_crops": 3)", "face_crops");
  refused(R"("face_crop_rate": 25)", "no \"face_crops\"");
  refused(R"("face_crops": "faces.npy", "face_crop_rate": 0)", "is 0");
  refused(R"("face_crops": "faces.npy", "face_crop_rate": -25)", "is -25");
  refused(R"("face_crops": "faces.npy", "face_crop_rate": 1e9)", "is 1e+09");
  refused(R"("face_crops": "faces.npy", "face_crop_rate": "25")", "face_crop_rate");
  refused(R"("face_crop": "faces.npy")", "has no key");
}

}  // namespace
}  // namespace microemo::data
