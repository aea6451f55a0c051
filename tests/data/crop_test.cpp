#include "microemo/data/crop.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "infer/tiny_model.h"
#include "media/media.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/data/sample.h"

namespace microemo::data {
namespace {

/// A clip whose frames are the hard edges of tests/reference/timechat_crop.py, 2 x 3 x 16 x 20.
checkpoint::NamedTensors golden() {
  return checkpoint::read_tensors(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/train/timechat_crop.safetensors");
}

TEST(ParityChecklistOfFrames, TimeChatsCropIsCutToBytesInWhichOvershootsWrapRound) {
  const auto recorded = golden();
  for (const std::string number : {"0", "1", "2", "3"}) {
    const int64_t* place = recorded.at("crop" + number).const_data_ptr<int64_t>();
    const at::Tensor made = crop_as_timechat(recorded.at("frames"), {place[0], place[1], place[2], place[3]});
    EXPECT_TRUE(made.equal(recorded.at("out" + number))) << number;
  }
  // A kernel that is held to bytes would leave the white of a hard edge white.
  const at::Tensor made = crop_as_timechat(recorded.at("frames"), {2, 3, 12, 14});
  const at::Tensor held = at::upsample_bicubic2d(recorded.at("frames").slice(2, 2, 14).slice(3, 3, 17).to(at::kFloat), {16, 20},
                                                 false, std::nullopt, std::nullopt);
  EXPECT_GT((made.to(at::kFloat) - held.clamp(0, 255)).abs().max().item<double>(), 200);
}

TEST(ParityChecklistOfFrames, FramesAreStretchedWithoutKeepingTheirAspect) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "wide.mkv";
  // The left half is black, the right half white: so it is in every row of what is made, whatever the shape.
  test::ffmpeg({"-f", "lavfi", "-i", "color=black:s=160x90:r=5:d=1,drawbox=x=80:y=0:w=80:h=90:color=white:t=fill", "-c:v", "ffv1",
                file.string()});
  PrepareOptions options;
  options.faces = false;
  options.frame_width = options.frame_height = 56;
  const at::Tensor frames = prepare_clip({.id = "wide", .video = file}, options).frames_TCHW;
  ASSERT_EQ(frames.sizes().slice(1), at::IntArrayRef({3, 56, 56}));
  for (const int64_t row : {0, 28, 55}) {
    EXPECT_LT(frames[0][0][row].slice(0, 0, 25).max().item<int64_t>(), 8) << row;
    EXPECT_GT(frames[0][0][row].slice(0, 31).min().item<int64_t>(), 247) << row;
  }
}

TEST(Crop, HasHalfTheAreaOrMoreAndAPermittedAspect) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed, "crop");
    const Crop crop = draw_crop(random, 224, 224);
    EXPECT_GE(double(crop.height * crop.width), 0.49 * 224 * 224) << seed;
    EXPECT_NEAR(std::log(double(crop.width) / double(crop.height)), 0, std::log(4.0 / 3) + 0.01) << seed;
    EXPECT_GE(std::min(crop.top, crop.left), 0);
    EXPECT_LE(crop.top + crop.height, 224);
    EXPECT_LE(crop.left + crop.width, 224);
  }
}

TEST(Crop, IsTheMiddleOfAPictureInWhichNoneFits) {
  Random random(1, "crop");
  const Crop wide = draw_crop(random, 30, 400), high = draw_crop(random, 400, 30);
  EXPECT_EQ(std::tie(wide.top, wide.left, wide.height, wide.width), std::make_tuple(0, 180, 30, 40));
  EXPECT_EQ(std::tie(high.top, high.left, high.height, high.width), std::make_tuple(180, 0, 40, 30));
}

model::ClipBatch built(const test::TinyModel& tiny, std::vector<Sample> samples, uint64_t draw, const AugmentOptions& augment) {
  std::vector<const Sample*> pointers;
  std::vector<Question> questions;
  for (const Sample& sample : samples) {
    questions.push_back({int64_t(pointers.size()), 0});
    pointers.push_back(&sample);
  }
  return tiny.builder->build(pointers, questions, Purpose::generate, augment, draw);
}

TEST(Crop, IsOffByDefaultAndDependsOnDrawAndSampleAlone) {
  const test::TinyModel tiny;
  Sample first = tiny.clip(1, 4, {test::spoken(0, 0.5, "at")}), second = tiny.clip(2, 4, {test::spoken(0, 0.5, "at")});
  second.index = 1;
  const AugmentOptions crop{.timechat_crop = true};
  const at::Tensor alone = built(tiny, {second}, 77, crop).frames_BTCHW[0];
  EXPECT_TRUE(alone.equal(built(tiny, {first, second}, 77, crop).frames_BTCHW[1]));
  EXPECT_FALSE(alone.equal(built(tiny, {second}, 78, crop).frames_BTCHW[0]));
  EXPECT_TRUE(built(tiny, {second}, 77, {}).frames_BTCHW[0].equal(second.prepared.frames_TCHW));
}

TEST(Crop, LeavesFacesAsTheyAre) {
  const test::TinyModel tiny;
  const Sample sample = tiny.clip(1, 4, {test::spoken(0, 0.5, "at")});
  EXPECT_TRUE(built(tiny, {sample}, 3, {.timechat_crop = true}).faces_BNCSS[0].equal(sample.prepared.faces_NCSS));
}

}  // namespace
}  // namespace microemo::data
