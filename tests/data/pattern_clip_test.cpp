#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/data/prepared.h"
#include "microemo/data/sample.h"

namespace microemo::data {
namespace {

/// What the cache takes and gives back has the shapes and types of a prepared clip.
void expect_as_prepared(const PrepareOptions& options) {
  const TemporaryFolder folder;
  const PreparedClip clip = pattern_clip(options, 4);
  write_prepared(folder.path() / "clip.safetensors", clip);
  const PreparedClip again = read_prepared(folder.path() / "clip.safetensors");
  EXPECT_TRUE(again.frames_TCHW.equal(clip.frames_TCHW));
  EXPECT_TRUE(again.faces_NCSS.equal(clip.faces_NCSS));
  EXPECT_EQ(clip.frames_TCHW.sizes().slice(1), at::IntArrayRef({3, options.frame_height, options.frame_width}));
  const model::InputShapes shapes = input_shapes(options, 1);
  EXPECT_EQ(clip.faces_NCSS.sizes().slice(1), at::IntArrayRef({shapes.face_channels, shapes.face_side, shapes.face_side}));
  EXPECT_TRUE(clip.has_sound());
  EXPECT_LT(clip.frame_times_T.max().item<double>(), 4);
  EXPECT_LT(clip.face_times_N.max().item<double>(), 4);
}

TEST(PatternClip, IsWhatThePrepareOptionsAskForWithEveryFaceInput) {
  for (const FaceInput input :
       {FaceInput::rgb, FaceInput::gray, FaceInput::difference, FaceInput::flow, FaceInput::rgb_difference}) {
    SCOPED_TRACE(int(input));
    expect_as_prepared({.face_size = 48, .face_input = input});
  }
}

TEST(PatternClip, IsWhatThePrepareOptionsAskForWithEverySound) {
  for (const SoundInput sound : {SoundInput::log_mel, SoundInput::imagebind, SoundInput::samples, SoundInput::whisper}) {
    SCOPED_TRACE(int(sound));
    expect_as_prepared({.sound = sound,
                        .mel_bands = sound == SoundInput::log_mel   ? 40
                                     : sound == SoundInput::whisper ? 80
                                                                    : 128});
  }
}

TEST(PatternClip, HasTheFramesThatTheRulesGive) {
  EXPECT_EQ(pattern_clip({.frame_rate = 5}, 4).frames_TCHW.size(0), 20);
  EXPECT_EQ(pattern_clip({.frame_rate = 60}, 4).frames_TCHW.size(0), 100);  // a file has 25 a second
  EXPECT_EQ(pattern_clip({.frame_rule = FrameRule::uniform, .frame_count = 8}, 4).frames_TCHW.size(0), 8);
  EXPECT_EQ(pattern_clip({.frame_rule = FrameRule::uniform, .frame_count = 96}, 1).frames_TCHW.size(0), 25);
  EXPECT_EQ(pattern_clip({.faces = false}, 4).faces_NCSS.size(0), 0);
  EXPECT_EQ(pattern_clip({.face_rate = 10}, 4).faces_NCSS.size(0), 40);
}

}  // namespace
}  // namespace microemo::data
