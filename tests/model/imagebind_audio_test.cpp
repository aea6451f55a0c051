#include "microemo/model/imagebind_audio.h"

#include "encoder_reference.h"
#include "microemo/nn/init.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using test::allowed_error;
using test::error_of;
using test::expect_error;

constexpr ImageBindAudioOptions small{.width = 12, .layers = 3, .heads = 2, .out = 12, .mel_bands = 38, .frames = 57};

class ImageBindModel : public testing::Test {
 protected:
  ImageBindSound heard() const { return model_->forward(reference_["input.spectrogram"]); }
  void change(const std::string& name, double value) const {
    const at::NoGradGuard no_grad;
    if (at::Tensor* found = model_->named_parameters().find(name)) found->fill_(value);
    if (at::Tensor* found = model_->named_buffers().find(name)) found->fill_(value);
  }

  const test::EncoderReference reference_{"imagebind-audio"};
  const std::shared_ptr<ImageBindAudio> model_ = load_imagebind_audio(reference_.folder() / "imagebind_small.pth", small);
};

TEST_F(ImageBindModel, EqualsItsFormulasInEveryStateAndTheEmbedding) {
  const ImageBindSound sound = heard();
  test::expect_states(sound.states_nPC, reference_.states());
  EXPECT_LT(error_of(sound.feature_nC, reference_["output.feature"]), allowed_error);
  EXPECT_LT(error_of(sound.embedding_nD, reference_["output.embedding"]), allowed_error);
}

TEST_F(ImageBindModel, EqualsTheGradientsOfItsFormulas) {
  test::require_gradients(*model_);
  test::weighed_loss(heard().embedding_nD).backward();
  test::expect_gradients(*model_, reference_.gradients("imagebind-audio"));
}

TEST_F(ImageBindModel, EqualsItsFormulasWhereTheEpsilonsDecide) {
  test::quieten(*model_, {"patch_embedding", "patch_norm", "embedding_class", "position", "attention.output", "mlp.down"});
  const ImageBindSound sound = heard();
  EXPECT_LT(test::relative_error(sound.states_nPC.back(), reference_["output.quiet"]), 1e-4);
  EXPECT_LT(test::relative_error(sound.feature_nC, reference_["output.quiet_feature"]), 1e-4);
}

TEST_F(ImageBindModel, LetsEveryTokenSeeTheExtraKeyAndValue) {
  const at::Tensor before = heard().states_nPC[1];
  change("block0.attention.extra_value", 5);
  const at::Tensor moved_nP = (heard().states_nPC[1] - before).abs().amax(2);
  EXPECT_GT(moved_nP.min().item<double>(), 1e-3);
}

TEST_F(ImageBindModel, GivesEmbeddingsOfLength20) {
  const at::Tensor length_n = heard().embedding_nD.norm(2, {1});
  EXPECT_LT((length_n - 20).abs().max().item<double>(), 1e-4);
}

TEST_F(ImageBindModel, LimitsTheLengthOfEmbeddingsTo100) {
  change("log_scale", 9);
  EXPECT_LT((heard().embedding_nD.norm(2, {1}) - 100).abs().max().item<double>(), 1e-3);
}

TEST_F(ImageBindModel, DropsNoPathInTrainingMode) {
  model_->train();
  test::expect_states(heard().states_nPC, reference_.states());
}

TEST_F(ImageBindModel, ReadsItsPartOfAFileOfManySenses) {
  const checkpoint::TensorSource source(reference_.folder() / "imagebind_small.pth");
  EXPECT_TRUE(source.contains("modality_trunks.vision.blocks.0.norm_1.weight"));
  EXPECT_FALSE(model_->named_parameters().contains("modality_trunks.vision.blocks.0.norm_1.weight"));
}

TEST_F(ImageBindModel, FillsClipsWithZerosBeforeItNormalisesThem) {
  EXPECT_LT(error_of(imagebind_spectrogram(reference_["input.log_mel"], 57), reference_["output.spectrogram"]), allowed_error);
  const at::Tensor clip_nMF = imagebind_spectrogram(at::randn({1, 198, 128}));
  EXPECT_EQ(clip_nMF.sizes(), at::IntArrayRef({1, 128, 204}));
  EXPECT_LT((clip_nMF.slice(2, 198) - 0.467061).abs().max().item<double>(), 1e-6);
}

TEST_F(ImageBindModel, RefusesAClipOfMoreFramesThanItHears) {
  expect_error(
      ErrorKind::data,
      [] {
        imagebind_spectrogram(at::zeros({1, 205, 128}));
      },
      "a clip of 205 frames for an audio encoder of 204");
}

TEST_F(ImageBindModel, RefusesAnotherNumberOfMelBands) {
  expect_error(
      ErrorKind::config,
      [&] {
        model_->forward(at::zeros({1, 39, 57}));
      },
      "a spectrogram of 39 mel bands for an audio encoder of 38");
}

TEST_F(ImageBindModel, RefusesASpectrogramThatIsTooShort) {
  expect_error(
      ErrorKind::data,
      [&] {
        model_->forward(at::zeros({1, 38, 56}));
      },
      "a spectrogram of 56 frames; the audio encoder wants 57");
}

TEST_F(ImageBindModel, RefusesASpectrogramWithoutRows) {
  expect_error(
      ErrorKind::internal,
      [&] {
        model_->forward(at::zeros({38, 57}));
      },
      "three dimensions, not 2");
}

TEST_F(ImageBindModel, RefusesOptionsOfAnotherSizeWithBothShapes) {
  expect_error(
      ErrorKind::checkpoint, [&] { load_imagebind_audio(reference_.folder() / "imagebind_small.pth"); },
      "block0.attention.key.weight: file [12, 12], model [768, 768]");
}

TEST(ImageBindAudio, RefusesPatchesThatAreLargerThanTheSpectrogram) {
  expect_error(
      ErrorKind::config, [] { ImageBindAudio({.width = 12, .layers = 0, .heads = 2, .mel_bands = 15}); }, "patches of 16 x 16");
}

TEST(ImageBindAudio, RefusesHeadsThatDoNotDivideTheWidth) {
  expect_error(
      ErrorKind::config, [] { ImageBindAudio({.width = 12, .layers = 1, .heads = 5}); }, "5 attention heads");
}

/// 12 x 19 patches of a public clip, each the place of the convolution of stride 10 that the public code has.
TEST(ImageBindAudio, PatchesOverlapAndRunRowByRow) {
  ImageBindAudio model({.width = 12, .layers = 0, .heads = 2});
  nn::initialise(model, 3);
  const auto p = model.named_parameters();
  const at::Tensor clip_nMF = at::randn({2, 128, 204});
  const at::Tensor convolved = at::conv2d(clip_nMF.unsqueeze(1), p["patch_embedding.weight"].view({12, 1, 16, 16}), {}, 10);
  EXPECT_EQ(convolved.sizes(), at::IntArrayRef({2, 12, 12, 19}));
  const at::Tensor tokens =
      at::layer_norm(convolved.flatten(2).transpose(1, 2), {12}, p["patch_norm.weight"], p["patch_norm.bias"]);
  const at::Tensor actual = model.forward(clip_nMF).states_nPC.front();
  EXPECT_EQ(actual.size(1), 229);
  EXPECT_LT(error_of(actual.slice(1, 1), tokens + p["position"].slice(0, 1)), allowed_error);
}

}  // namespace
}  // namespace microemo::model
