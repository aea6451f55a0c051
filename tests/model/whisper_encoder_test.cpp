#include "microemo/model/whisper_encoder.h"

#include "encoder_reference.h"
#include "microemo/model/whisper_mel.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using test::allowed_error;
using test::error_of;
using test::expect_error;

class WhisperModel : public testing::Test {
 protected:
  const test::EncoderReference reference_{"whisper"};
  const std::shared_ptr<WhisperEncoder> model_ = load_whisper_encoder(reference_.folder());
};

TEST_F(WhisperModel, EqualsTransformersInEveryHiddenState) {
  test::expect_states(model_->forward(reference_["input.input_features"]), reference_.states());
}

TEST_F(WhisperModel, EqualsTransformersGradients) {
  test::require_gradients(*model_);
  test::weighed_loss(model_->forward(reference_["input.input_features"]).back()).backward();
  test::expect_gradients(*model_, reference_.gradients("whisper"));
}

TEST_F(WhisperModel, EqualsTransformersWhereTheEpsilonsDecide) {
  test::quieten(*model_, {"conv1", "position", "attention.output", "mlp.down"});
  const auto states = model_->forward(reference_["input.input_features"]);
  EXPECT_LT(test::relative_error(states.back(), reference_["output.quiet"]), 1e-4);
}

TEST_F(WhisperModel, HasKeysWithoutABias) {
  const auto parameters = model_->named_parameters();
  EXPECT_TRUE(parameters.contains("block0.attention.query.bias"));
  EXPECT_FALSE(parameters.contains("block0.attention.key.bias"));
}

TEST_F(WhisperModel, HasTheExactGeluAndNotItsApproximation) {
  const auto p = model_->named_parameters();
  const auto first_state = [&](const char* form) {
    const at::Tensor x = at::gelu(at::conv1d(reference_["input.input_features"], p["conv0.weight"], p["conv0.bias"], 1, 1), form);
    return at::gelu(at::conv1d(x, p["conv1.weight"], p["conv1.bias"], 2, 1), form).transpose(1, 2) + p["position"];
  };
  EXPECT_LT(error_of(first_state("none"), reference_.states().front()), allowed_error);
  EXPECT_GT(error_of(first_state("tanh"), reference_.states().front()), 20 * allowed_error);
}

TEST_F(WhisperModel, DropsNothingInTrainingMode) {
  model_->train();
  test::expect_states(model_->forward(reference_["input.input_features"]), reference_.states());
}

TEST_F(WhisperModel, RefusesAnotherNumberOfMelBands) {
  expect_error(
      ErrorKind::config,
      [&] {
        model_->forward(at::zeros({1, 9, 42}));
      },
      "a spectrogram of 9 mel bands for an audio encoder of 8");
}

TEST_F(WhisperModel, RefusesASpectrogramThatIsTooShort) {
  expect_error(
      ErrorKind::data,
      [&] {
        model_->forward(at::zeros({1, 8, 41}));
      },
      "a spectrogram of 41 frames; the audio encoder wants 42");
}

TEST_F(WhisperModel, RefusesASpectrogramThatIsTooLong) {
  expect_error(
      ErrorKind::data,
      [&] {
        model_->forward(at::zeros({1, 8, 43}));
      },
      "a spectrogram of 43 frames");
}

TEST_F(WhisperModel, RefusesASpectrogramWithoutRows) {
  expect_error(
      ErrorKind::internal,
      [&] {
        model_->forward(at::zeros({8, 42}));
      },
      "three dimensions, not 2");
}

TEST_F(WhisperModel, RefusesHeadsThatDoNotDivideTheWidth) {
  expect_error(
      ErrorKind::config, [] { WhisperEncoder({.width = 16, .layers = 1, .heads = 3}); }, "3 attention heads");
}

TEST_F(WhisperModel, HearsTheSpectrogramThatTransformersMakes) {
  for (const int64_t bands : {80, 128}) {
    const at::Tensor mel_BMF = whisper_log_mel(reference_["input.sound"], bands, 1);
    EXPECT_EQ(mel_BMF.sizes(), at::IntArrayRef({2, bands, 100}));
    const at::Tensor every_ninth =
        mel_BMF.index({at::indexing::Slice(), at::indexing::Slice(), at::indexing::Slice(0, at::indexing::None, 9)});
    EXPECT_LT(error_of(every_ninth, reference_["output.mel." + std::to_string(bands)]), 1e-4) << bands;
  }
}

TEST_F(WhisperModel, SpectrogramOfARowDoesNotDependOnTheOthers) {
  const at::Tensor sound = reference_["input.sound"] * at::tensor({1.0F, 0.001F}).unsqueeze(1);
  EXPECT_LT(error_of(whisper_log_mel(sound, 80, 1).slice(0, 1), whisper_log_mel(sound.slice(0, 1), 80, 1)), 1e-6);
}

TEST_F(WhisperModel, SpectrogramOfSilenceIsFlat) {
  const at::Tensor mel_BMF = whisper_log_mel(at::zeros({1, 16000}), 80, 1);
  EXPECT_LT((mel_BMF + 1.5).abs().max().item<double>(), 1e-6);  // (log10(1e-10) + 4) / 4
}

TEST_F(WhisperModel, RefusesASpectrogramOfMoreThanItsSeconds) {
  expect_error(
      ErrorKind::data,
      [] {
        whisper_log_mel(at::zeros({1, 16001}), 80, 1);
      },
      "a sound of 1.000 s for an audio encoder of 1 s");
}

}  // namespace
}  // namespace microemo::model
