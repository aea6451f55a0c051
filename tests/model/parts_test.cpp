#include <gtest/gtest.h>

#include "golden.h"
#include "microemo/model/audio_encoder.h"
#include "microemo/model/local_branch.h"
#include "microemo/model/qformers.h"
#include "microemo/model/vit.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using test::expect_error;

constexpr double tolerance = 3e-6;

TEST(Vit, EqualsThePlainFormulas) {
  const Golden golden("vit");
  Vit vit({.channels = 3, .picture_height = 8, .picture_width = 12, .patch = 4, .width = 16, .layers = 2, .heads = 2});
  golden.load_into(vit);
  EXPECT_LT(difference(vit.forward(golden["in.pictures"]), golden["out"]), tolerance);
}

TEST(Vit, RefusesAPatchThatDoesNotDivideThePicture) {
  expect_error(
      ErrorKind::config, [] { Vit vit({.picture_height = 60, .picture_width = 112, .patch = 16}); }, "112 x 60");
}

TEST(Vit, TakesNoPictureAtAll) {
  Vit vit({.channels = 3, .picture_height = 8, .picture_width = 12, .patch = 4, .width = 16, .layers = 1, .heads = 2});
  EXPECT_EQ(vit.forward(at::zeros({0, 3, 8, 12})).sizes(), at::IntArrayRef({0, 6, 16}));
}

TEST(ImageQFormer, EqualsThePlainFormulasWithPaddedText) {
  const Golden golden("image_qformer");
  ImageQFormer qformer({.queries = 3, .layers = 2, .heads = 2, .timestamp_text = true}, 16, 11);
  golden.load_into(qformer);
  EXPECT_LT(difference(qformer.forward(golden["in.patches"], golden["in.text"]), golden["out"]), tolerance);
}

TEST(LocalBranch, EqualsThePlainFormulasWithPaddingAndAMissingFace) {
  const Golden golden("local_branch");
  LocalBranchOptions options{
      .patch = 4, .layers = 1, .patch_features = 3, .temporal_layers = 2, .heads = 2, .temporal_reach_s = 0.1};
  LocalBranch branch(options, {.face_channels = 2, .face_side = 8, .face_scale = 3.0 / 127}, 16);
  golden.load_into(branch);
  const at::Tensor out = branch.forward(golden["in.faces"], golden["in.times"], golden["in.found"], golden["in.padding"]);
  const at::Tensor real = golden["in.padding"].unsqueeze(2);
  EXPECT_LT(difference(out * real, golden["out"] * real), tolerance);
}

TEST(LocalBranch, DoesNotReadAFrameWithoutAFace) {
  const Golden golden("local_branch");
  LocalBranchOptions options{
      .patch = 4, .layers = 1, .patch_features = 3, .temporal_layers = 2, .heads = 2, .temporal_reach_s = 0.1};
  LocalBranch branch(options, {.face_channels = 2, .face_side = 8}, 16);
  golden.load_into(branch);
  at::Tensor other = golden["in.faces"].clone();
  other.select(0, 0).select(0, 3).fill_(99);  // frame 3 of clip 0 has no face
  const at::Tensor first = branch.forward(golden["in.faces"], golden["in.times"], golden["in.found"], golden["in.padding"]);
  EXPECT_TRUE(at::equal(first, branch.forward(other, golden["in.times"], golden["in.found"], golden["in.padding"])));
}

TEST(LocalBranch, TakesABatchWithoutAnyFace) {
  LocalBranch branch({.patch = 4, .layers = 1, .patch_features = 3, .heads = 2}, {.face_channels = 2, .face_side = 8}, 16);
  Golden("local_branch").load_into(branch);
  const at::Tensor nowhere = at::zeros({1, 2}, at::kBool);
  const at::Tensor out =
      branch.forward(at::zeros({1, 2, 2, 8, 8}, at::kChar), at::zeros({1, 2}), nowhere, at::ones({1, 2}, at::kBool));
  EXPECT_TRUE(out.isfinite().all().item<bool>());
}

TEST(GlobalLocalAttention, EqualsThePlainFormulas) {
  const Golden golden("global_local");
  GlobalLocalAttention attention({.heads = 2, .window_s = 0.24}, 16);
  golden.load_into(attention);
  const at::Tensor out = attention.forward(golden["in.frames"], golden["in.faces"], golden["in.frame_times"],
                                           golden["in.face_times"], golden["in.padding"]);
  EXPECT_LT(difference(out, golden["out"]), tolerance);
}

TEST(WindowQFormer, EqualsThePlainFormulasForInsideNearestAndEmpty) {
  const Golden golden("window_qformer");
  WindowQFormer qformer({.windows = Windows::utterance, .queries = 3, .layers = 2, .heads = 2, .width = 16});
  golden.load_into(qformer);
  const at::Tensor out =
      qformer.forward(golden["in.memory"], golden["in.times"], golden["in.mask"], golden["in.windows"], golden["in.window_mask"]);
  EXPECT_LT(difference(out, golden["out"]), tolerance);
}

TEST(WindowQFormer, GivesTheWholeClipAloneWithoutUtteranceWindows) {
  const Golden golden("window_qformer");
  WindowQFormer both({.windows = Windows::utterance, .queries = 3, .layers = 2, .heads = 2, .width = 16});
  WindowQFormer whole({.windows = Windows::none, .queries = 3, .layers = 2, .heads = 2, .width = 16});
  golden.load_into(both);
  golden.load_into(whole);
  const auto run = [&](const WindowQFormer& qformer) {
    return qformer.forward(golden["in.memory"], golden["in.times"], golden["in.mask"], golden["in.windows"],
                           golden["in.window_mask"]);
  };
  EXPECT_EQ(run(whole).sizes(), at::IntArrayRef({3, 1, 3, 16}));
  EXPECT_LT(difference(run(whole), run(both).slice(1, 0, 1)), tolerance);
}

TEST(TokensOfWindows, EveryTokenOfAClipLiesInItsWholeWindow) {
  const at::Tensor times = at::arange(7, at::kFloat).view({1, 7}) * 0.3, mask = at::ones({1, 7}, at::kBool);
  const at::Tensor visible = tokens_of_windows(times, mask, at::tensor({0.0f, 100.0f}).view({1, 1, 2}));
  EXPECT_TRUE(visible.all().item<bool>());
}

TEST(TokensOfWindows, AreHalfOpen) {
  const at::Tensor times = at::tensor({0.0f, 1.0f, 2.0f}).view({1, 3}), mask = at::ones({1, 3}, at::kBool);
  const at::Tensor visible = tokens_of_windows(times, mask, at::tensor({0.0f, 1.0f, 1.0f, 2.0f}).view({1, 2, 2}));
  EXPECT_TRUE(at::equal(visible.to(at::kLong), at::tensor({1, 0, 0, 0, 1, 0}, at::kLong).view({1, 2, 3})));
}

TEST(AudioEncoder, EqualsThePlainFormulasWithALastPieceThatIsShort) {
  const Golden golden("audio_encoder");
  AudioEncoder encoder({.width = 16, .patch_frames = 4, .layers = 1, .heads = 2, .clip_s = 0.2}, 5);
  golden.load_into(encoder);
  const AudioTokens sound = encoder.forward(golden["in.mel"], golden["in.times"], golden["in.mask"]);
  const at::Tensor real = golden["out.mask"].unsqueeze(2);
  EXPECT_TRUE(at::equal(sound.mask_BS, golden["out.mask"]));
  EXPECT_LT(difference(sound.tokens_BSC * real, golden["out"] * real), tolerance);
  EXPECT_NEAR(sound.times_BS[0][1].item<double>(), 0.0125 + 0.04 + 0.015, 1e-6);  // the middle of mel frames 4 … 7
}

TEST(AudioEncoder, RefusesPiecesThatArePartOfAPatch) {
  expect_error(
      ErrorKind::config, [] { AudioEncoder encoder({.patch_frames = 7, .clip_s = 2.0}, 40); }, "patches of 7 frames");
}

}  // namespace
}  // namespace microemo::model
