#include <gtest/gtest.h>

#include "golden.h"
#include "microemo/model/audio_encoder.h"
#include "microemo/model/local_branch.h"
#include "microemo/model/pictures.h"
#include "microemo/model/qformer.h"
#include "microemo/model/vit.h"
#include "microemo/model/window_qformer.h"
#include "microemo/nn/init.h"
#include "microemo/nn/rotary.h"
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

TEST(QFormer, EqualsThePlainFormulasWithPaddedText) {
  const Golden golden("image_qformer");
  QFormer qformer({.layers = {.layers = 2, .heads = 2, .width = 16}, .queries = 3, .vocabulary = 11});
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
  const at::Tensor out =
      attention.forward(golden["in.frames"], golden["in.faces"], golden["in.frame_times"],
                        at::ones_like(golden["in.frame_times"], at::kBool), golden["in.face_times"], golden["in.padding"]);
  EXPECT_LT(difference(out, golden["out"]), tolerance);
}

class FacesAsk : public testing::TestWithParam<std::pair<const char*, double>> {};

TEST_P(FacesAsk, EqualsThePlainFormulas) {
  const Golden golden(GetParam().first);
  GlobalLocalAttention attention(
      {.heads = 2, .window_s = GetParam().second, .attention = GlobalLocal::faces_ask, .zero_start = false}, 16);
  golden.load_into(attention);
  const at::Tensor out = attention.forward(golden["in.frames"], golden["in.faces"], golden["in.frame_times"],
                                           golden["in.frame_mask"], golden["in.face_times"], golden["in.padding"]);
  const at::Tensor real = golden["in.frame_mask"].unsqueeze(2).unsqueeze(3);
  EXPECT_LT(difference(out * real, golden["out"]), tolerance);
}

INSTANTIATE_TEST_SUITE_P(GlobalLocal, FacesAsk,
                         testing::Values(std::pair{"faces_ask", 0.24}, std::pair{"faces_ask_nearest", 0.0}));

TEST(GlobalLocalAttention, WithoutAWindowEachFaceIsOfTheNearestFrame) {
  const Golden golden("frames_ask_nearest");
  GlobalLocalAttention attention({.heads = 2, .window_s = 0, .zero_start = false}, 16);
  golden.load_into(attention);
  const at::Tensor all_frames = at::ones({1, 3}, at::kBool), all_faces = at::ones({1, 10}, at::kBool);
  const at::Tensor out = attention.forward(golden["in.frames"], golden["in.faces"], golden["in.frame_times"], all_frames,
                                           golden["in.face_times"], all_faces);
  EXPECT_LT(difference(out, golden["out"]), tolerance);
}

TEST(GlobalLocalAttention, StartsAtNothingOnlyWhereItIsAsked) {
  for (const bool zero : {true, false}) {
    GlobalLocalAttention attention({.heads = 2, .window_s = 0, .zero_start = zero}, 16);
    nn::initialise(attention, 1);
    const at::Tensor frames = at::randn({1, 3, 2, 16}), times = at::arange(3, at::kFloat).unsqueeze(0),
                     all = at::ones({1, 3}, at::kBool);
    EXPECT_EQ(attention.forward(frames, at::randn({1, 3, 16}), times, all, times, all).equal(frames), zero);
  }
}

class SharedFaceEncoder : public testing::Test {
 protected:
  SharedFaceEncoder() { nn::initialise(*vit_, 1); }
  const std::shared_ptr<Vit> vit_ =
      std::make_shared<Vit>(VitShape{.picture_height = 8, .picture_width = 8, .patch = 4, .width = 24});
  const LocalBranchOptions options_{.encoder = FaceEncoder::shared, .patch_features = 3, .temporal_layers = 0, .heads = 2};
};

TEST_F(SharedFaceEncoder, ReadsFacesAsItReadsFrames) {
  LocalBranch branch(options_, {.face_channels = 3, .face_side = 8}, 16, {vit_, VisualStyle::eva});
  nn::initialise(branch, 2);
  for (const auto& item : branch.named_parameters()) EXPECT_FALSE(item.key().starts_with("vit.")) << item.key();
  const at::Tensor faces = at::randint(0, 255, {1, 2, 3, 8, 8}, at::kByte), times = at::zeros({1, 2}),
                   all = at::ones({1, 2}, at::kBool);
  const at::Tensor out = branch.forward(faces, times, all, all);
  const at::Tensor patches_nPC = at::gelu(vit_->forward(normalised_pictures(VisualStyle::eva, faces[0])));
  const auto weights = branch.named_parameters();
  const at::Tensor features =
      at::linear(patches_nPC, weights["patch_features.weight"], weights["patch_features.bias"]).flatten(1);
  const at::Tensor tokens =
      at::linear(features, weights["to_token.weight"], weights["to_token.bias"]) + nn::time_features(times[0], 16);
  EXPECT_LT(difference(out[0], at::layer_norm(tokens, {16}, weights["norm.weight"], weights["norm.bias"], 1e-6)), tolerance);
}

TEST_F(SharedFaceEncoder, RefusesFacesOfAnotherSizeOrWithoutColour) {
  for (const InputShapes& shapes :
       {InputShapes{.face_channels = 3, .face_side = 16}, InputShapes{.face_channels = 2, .face_side = 8}})
    expect_error(
        ErrorKind::config,
        [&] {
          LocalBranch branch(options_, shapes, 16, {vit_, VisualStyle::plain});
        },
        "the ViT of whole frames reads colour pictures of 8 x 8");
}

TEST(Pictures, OfPublicEncodersAreNormalisedWithTheConstantsOfClip) {
  const at::Tensor bytes = at::tensor({0, 255, 51}, at::kByte).view({1, 3, 1, 1});
  const at::Tensor values = normalised_pictures(VisualStyle::clip, bytes).flatten();
  EXPECT_NEAR(values[0].item<double>(), (0 - 0.48145466) / 0.26862954, 1e-6);
  EXPECT_NEAR(values[1].item<double>(), (1 - 0.4578275) / 0.26130258, 1e-6);
  EXPECT_NEAR(values[2].item<double>(), (0.2 - 0.40821073) / 0.27577711, 1e-6);
  EXPECT_NEAR(normalised_pictures(VisualStyle::plain, bytes).flatten()[1].item<double>(), 1, 1e-6);
}

/// The reading of tests/reference/model.py, whose memory has its positions already.
class WindowQFormerParts : public testing::Test {
 protected:
  WindowQFormerOptions options() const { return {.layers = {.layers = 2, .heads = 2, .width = 16}, .queries = 3}; }
  TimedTokens memory() const { return {golden_["in.memory"].unsqueeze(2), golden_["in.times"], golden_["in.mask"]}; }
  WindowSpans windows() const { return {golden_["in.windows"], golden_["in.window_mask"]}; }
  WindowSpans whole() const { return {windows().spans_BW2.slice(1, 0, 1), windows().mask_BW.slice(1, 0, 1)}; }
  std::shared_ptr<WindowQFormer> made(const WindowQFormerOptions& options) const {
    auto qformer = std::make_shared<WindowQFormer>(options);
    golden_.load_into(*qformer);
    return qformer;
  }

  const Golden golden_{"window_qformer"};
};

TEST_F(WindowQFormerParts, EqualThePlainFormulasForInsideNearestAndEmpty) {
  EXPECT_LT(difference(made(options())->forward(memory(), windows()), golden_["out"]), tolerance);
}

TEST_F(WindowQFormerParts, GiveTheWholeClipAloneWithoutUtteranceWindows) {
  const at::Tensor out = made(options())->forward(memory(), whole());
  EXPECT_EQ(out.sizes(), at::IntArrayRef({3, 1, 3, 16}));
  EXPECT_LT(difference(out, golden_["out"].slice(1, 0, 1)), tolerance);
}

TEST_F(WindowQFormerParts, WithSharedQueriesReadEveryWindowAsTheyReadTheWholeClip) {
  WindowQFormerOptions shared = options();
  shared.utterance_queries = false;
  WindowQFormer qformer(shared);
  nn::initialise(qformer, 1);
  const at::Tensor spans = windows().spans_BW2.slice(1, 0, 1).expand({-1, 2, -1}), mask = at::ones({3, 2}, at::kBool);
  const at::Tensor out = qformer.forward(memory(), {spans, mask});
  EXPECT_TRUE(out.select(1, 0).allclose(out.select(1, 1), 0, tolerance));
}

TEST_F(WindowQFormerParts, OfTheWholeClipMayHaveLayersOfTheirOwn) {
  WindowQFormerOptions own = options();
  own.whole_layers = true;
  WindowQFormer qformer(own);
  nn::initialise(qformer, 1);
  const at::Tensor before = qformer.forward(memory(), windows());
  {
    const at::NoGradGuard no_grad;
    qformer.named_parameters()["whole_layer0.mlp.down.bias"].add_(at::arange(16) * 0.1);
  }
  const at::Tensor after = qformer.forward(memory(), windows());
  EXPECT_GT(difference(before.select(1, 0), after.select(1, 0)), 0.01);
  EXPECT_TRUE(before.slice(1, 1).equal(after.slice(1, 1)));
  EXPECT_GT(difference(qformer.forward(memory(), whole()).select(1, 0), made(options())->forward(memory(), whole()).select(1, 0)),
            0.01);
}

TEST_F(WindowQFormerParts, WithoutATokenForNothingRefuseAClipWithoutMoments) {
  WindowQFormerOptions none = options();
  none.nothing_token = false;
  WindowQFormer qformer(none);
  TimedTokens empty = memory();
  empty.mask_BT = empty.mask_BT.clone();
  empty.mask_BT[1].fill_(false);
  empty.mask_BT[0][0] = empty.mask_BT[2][0] = true;
  expect_error(
      ErrorKind::data,
      [&] {
        qformer.forward(empty, windows(), {"first", "second", "third"});
      },
      "clip 'second' has no picture or no sound");
}

TEST_F(WindowQFormerParts, GivesZerosAtWindowsOfPaddingAlone) {
  const WindowSpans none{windows().spans_BW2, at::zeros_like(windows().mask_BW)};
  EXPECT_EQ(made(options())->forward(memory(), none).abs().sum().item<double>(), 0);
}

WindowSpans clip_of(float seconds, const std::vector<float>& utterances = {}) {
  std::vector<float> spans{0, seconds};
  spans.insert(spans.end(), utterances.begin(), utterances.end());
  const auto count = int64_t(spans.size()) / 2;
  return {at::tensor(spans).view({1, count, 2}), at::ones({1, count}, at::kBool)};
}

std::vector<std::pair<float, float>> listed(const WindowSpans& windows) {
  std::vector<std::pair<float, float>> spans;
  for (int64_t w = 0; w < windows.mask_BW.size(1); ++w)
    if (windows.mask_BW[0][w].item<bool>())
      spans.emplace_back(windows.spans_BW2[0][w][0].item<float>(), windows.spans_BW2[0][w][1].item<float>());
  return spans;
}

using Listed = std::vector<std::pair<float, float>>;

class WindowsOfAClip : public testing::Test {
 protected:
  Listed of(const WindowOptions& options, int64_t frames = 5) const {
    const at::Tensor times = at::arange(8, at::kFloat).view({1, 8}) * 0.5, mask = at::arange(8).lt(frames).view({1, 8});
    return listed(windows_of(options, clip_of(9, {0.5f, 1, 1, 2}), times, mask));
  }
  static constexpr float end = std::numeric_limits<float>::infinity();
};

TEST_F(WindowsOfAClip, AreTheClipAndItsUtterances) {
  EXPECT_EQ(of({}), (Listed{{0, 9}, {0.5f, 1}, {1, 2}}));
  EXPECT_EQ(of({.whole = false}), (Listed{{0.5f, 1}, {1, 2}}));
  EXPECT_EQ(of({.windows = Windows::none}), (Listed{{0, 9}}));
  EXPECT_EQ(of({.windows = Windows::none, .whole = false}), (Listed{{0, 9}}));
}

TEST_F(WindowsOfAClip, SlideOverFramesOfWhichTheLastMayBeFew) {
  EXPECT_EQ(of({.windows = Windows::sliding, .whole = false, .window_length = 2, .stride = 2}),
            (Listed{{0, 1}, {1, 2}, {2, end}}));
  EXPECT_EQ(of({.windows = Windows::sliding, .whole = false, .window_length = 3, .stride = 2}),
            (Listed{{0, 1.5f}, {1, end}, {2, end}}));
  EXPECT_EQ(of({.windows = Windows::sliding, .window_length = 9, .stride = 9}), (Listed{{0, 9}, {0, end}}));
}

TEST_F(WindowsOfAClip, OfFixedLengthCoverItUpToItsLastFrame) {
  EXPECT_EQ(of({.windows = Windows::fixed, .whole = false, .window_s = 1.5}), (Listed{{0, 1.5f}, {1.5f, 3}}));
  EXPECT_EQ(of({.windows = Windows::fixed, .whole = false, .window_s = 2}), (Listed{{0, 2}, {2, 4}}));  // a frame lies at 2
}

TEST_F(WindowsOfAClip, AreOneWhenItHasNoFrame) {
  EXPECT_EQ(of({.windows = Windows::sliding, .whole = false, .window_length = 2, .stride = 2}, 0).size(), 1u);
  EXPECT_EQ(of({.windows = Windows::fixed, .whole = false, .window_s = 2}, 0).size(), 1u);
}

TEST(MomentsOfWindows, EveryMomentOfAClipLiesInItsWholeWindow) {
  const at::Tensor times = at::arange(7, at::kFloat).view({1, 7}) * 0.3, mask = at::ones({1, 7}, at::kBool);
  const at::Tensor visible = moments_of_windows(times, mask, at::tensor({0.0f, 100.0f}).view({1, 1, 2}));
  EXPECT_TRUE(visible.all().item<bool>());
}

TEST(MomentsOfWindows, AreHalfOpen) {
  const at::Tensor times = at::tensor({0.0f, 1.0f, 2.0f}).view({1, 3}), mask = at::ones({1, 3}, at::kBool);
  const at::Tensor visible = moments_of_windows(times, mask, at::tensor({0.0f, 1.0f, 1.0f, 2.0f}).view({1, 2, 2}));
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
