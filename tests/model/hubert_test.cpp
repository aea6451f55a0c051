#include "microemo/model/hubert.h"

#include "encoder_reference.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using test::allowed_error;
using test::EncoderReference;
using test::error_of;
using test::expect_error;

const std::vector<int64_t> lengths{1043, 617, 804};

/// Folders and outputs of tests/reference/audio_encoders.py: norms in the manner of HuBERT-large and of HuBERT-base.
class HubertModels : public testing::TestWithParam<const char*> {
 protected:
  bool is_large() const { return std::string(GetParam()) == "hubert-large"; }
  const EncoderReference reference_{GetParam()};
  const std::shared_ptr<Hubert> model_ = load_hubert(reference_.folder());
};

TEST_P(HubertModels, EqualTransformersInEveryHiddenStateOfPaddedRows) {
  const HubertStates states = model_->forward(reference_["input.input_values"], lengths);
  test::expect_states(states.states_BFC, reference_.states());
}

TEST_P(HubertModels, EqualTransformersWithoutAMask) {
  const HubertStates states = model_->forward(reference_["input.input_values"]);
  EXPECT_LT(error_of(states.states_BFC.back(), reference_["output.without_mask"]), allowed_error);
  EXPECT_TRUE(states.visible_BF.all().item<bool>());
}

TEST_P(HubertModels, EqualTransformersGradients) {
  test::require_gradients(*model_);
  const HubertStates states = model_->forward(reference_["input.input_values"], lengths);
  test::weighed_loss(states.states_BFC.back(), states.visible_BF).backward();
  test::expect_gradients(*model_, reference_.gradients("hubert"));
}

TEST_P(HubertModels, EqualTransformersWhereTheEpsilonsDecide) {
  std::vector<std::string> words{"/conv0.weight",      "feature_projection", "position_conv.scale",
                                 "position_conv.bias", "attention.output",   "mlp.down"};
  const std::vector<std::string> large{"/conv1.weight", "/conv2.weight", "/conv3."};
  const std::vector<std::string> base{"/conv0.bias", "attention_norm", "mlp_norm", "/norm."};
  words.insert(words.end(), (is_large() ? large : base).begin(), (is_large() ? large : base).end());
  test::quieten(*model_, words);
  const HubertStates states = model_->forward(reference_["input.input_values"], lengths);
  EXPECT_LT(test::relative_error(states.states_BFC.back(), reference_["output.quiet"]), 1e-4);
}

TEST_P(HubertModels, CountTheFramesThatTransformersCounts) {
  const at::Tensor expected = reference_["output.frames"];
  for (size_t i = 0; i < lengths.size(); ++i) EXPECT_EQ(model_->frames(lengths[i]), expected[int64_t(i)].item<int64_t>());
  const at::Tensor visible_BF = model_->forward(reference_["input.input_values"], lengths).visible_BF;
  EXPECT_TRUE(visible_BF.sum(1).equal(expected));
}

TEST_P(HubertModels, GiveAsManyFramesAsTheyCountForLengthsThatNoStrideDivides) {
  for (int64_t samples = model_->shortest(); samples < model_->shortest() + 90; samples += 7) {
    const HubertStates states = model_->forward(at::randn({1, samples}));
    EXPECT_EQ(states.states_BFC.back().size(1), model_->frames(samples)) << samples;
  }
}

TEST_P(HubertModels, GiveTheMeanOfTheLastFourStatesAsAffectGptDoes) {
  const HubertStates states = model_->forward(reference_["input.input_values"], lengths);
  EXPECT_LT(error_of(mean_of_last(states, 4), reference_["output.last_four"]), allowed_error);
}

TEST_P(HubertModels, DropNothingInTrainingMode) {
  model_->train();
  const HubertStates states = model_->forward(reference_["input.input_values"], lengths);
  test::expect_states(states.states_BFC, reference_.states());
}

TEST_P(HubertModels, NeedNoGradientWhenTheyAreLoaded) {
  for (const auto& item : model_->named_parameters()) EXPECT_FALSE(item.value().requires_grad()) << item.key();
}

TEST_P(HubertModels, RefuseASoundThatIsTooShortForAFrame) {
  const int64_t shortest = model_->shortest();
  EXPECT_NO_THROW(model_->forward(at::randn({1, shortest})));
  EXPECT_EQ(model_->frames(shortest - 1), 0);
  expect_error(
      ErrorKind::data,
      [&] {
        model_->forward(at::randn({1, shortest - 1}));
      },
      "too short for the audio encoder");
}

TEST_P(HubertModels, RefuseARowThatIsTooShortAmongLongerOnes) {
  expect_error(
      ErrorKind::data,
      [&] {
        model_->forward(at::randn({2, 400}), {400, 12});
      },
      "a sound of 12 samples is too short");
}

TEST_P(HubertModels, RefuseLengthsThatAreNotThoseOfTheRows) {
  expect_error(
      ErrorKind::internal,
      [&] {
        model_->forward(at::randn({2, 400}), {400});
      },
      "1 lengths of 2 sounds");
  expect_error(
      ErrorKind::internal,
      [&] {
        model_->forward(at::randn({1, 400}), {401});
      },
      "a length of 401 in rows of 400 samples");
}

TEST_P(HubertModels, RefuseSoundsOfSeveralChannels) {
  expect_error(
      ErrorKind::internal,
      [&] {
        model_->forward(at::randn({1, 2, 400}));
      },
      "two dimensions, not 3");
}

INSTANTIATE_TEST_SUITE_P(Golden, HubertModels, testing::Values("hubert-large", "hubert-base"));

/// The group norm of HuBERT-base hears padding, in transformers too.
TEST(Hubert, HearsNothingOfWhatStandsInThePaddingWhereNormsAreOfOneFrame) {
  const EncoderReference reference("hubert-large");
  at::Tensor noisy = reference["input.input_values"];
  for (size_t i = 0; i < lengths.size(); ++i) noisy[int64_t(i)].slice(0, lengths[i]).fill_(50);
  const HubertStates states = load_hubert(reference.folder())->forward(noisy, lengths);
  const at::Tensor visible = states.visible_BF.unsqueeze(2);
  EXPECT_LT(error_of(states.states_BFC.back() * visible, reference.states().back() * visible), allowed_error);
}

TEST(Hubert, PutsItsLearnedRowWhereFramesAreHidden) {
  const EncoderReference reference("hubert-large");
  const auto model = load_hubert(reference.folder());
  const HubertStates states = model->forward(reference["input.input_values"], {}, reference["input.mask_time_indices"]);
  EXPECT_LT(error_of(states.states_BFC.back(), reference["output.masked"]), allowed_error);
}

TEST(Hubert, RefusesToHideFramesWithoutARowForThem) {
  const auto model = load_hubert(test::encoder_data / "hubert-base");
  expect_error(
      ErrorKind::internal,
      [&] {
        model->forward(at::randn({1, 400}), {}, at::ones({1, 9}, at::kBool));
      },
      "no row for hidden frames");
}

TEST(Hubert, HearsAFrameIn400SamplesWithThePublicConvolutions) {
  const Hubert model({.width = 16, .layers = 0, .heads = 2, .position_groups = 4});
  EXPECT_EQ(model.shortest(), 400);
  EXPECT_EQ(model.frames(399), 0);
  EXPECT_EQ(model.frames(400), 1);
  EXPECT_EQ(model.frames(32000), 99);  // 2 s
}

TEST(Hubert, NormalisesEachSoundOverItsOwnLengthAsTransformersDoes) {
  const EncoderReference reference("hubert-large");
  EXPECT_LT(error_of(normalised_samples(reference["input.raw"], lengths), reference["input.input_values"]), allowed_error);
}

TEST(Hubert, NormalisesAllSoundsTogetherAsAffectGptMakesTransformersDo) {
  const EncoderReference reference("hubert-large");
  const at::Tensor joint = normalised_samples(reference["input.raw"], {}, SampleNorm::joint);
  EXPECT_LT(error_of(joint, reference["input.joint"]), allowed_error);
  EXPECT_GT(error_of(normalised_samples(reference["input.raw"]), reference["input.joint"]), 0.01);
}

TEST(Hubert, RefusesTheMeanOfMoreStatesThanThereAre) {
  const HubertStates states{{at::zeros({1, 2, 3}), at::zeros({1, 2, 3})}, at::ones({1, 2}, at::kBool)};
  expect_error(
      ErrorKind::config, [&] { mean_of_last(states, 3); }, "the last 3 states of 2");
  expect_error(
      ErrorKind::config, [&] { mean_of_last(states, 0); }, "the last 0 states of 2");
}

TEST(Hubert, RefusesGroupsThatDoNotDivideTheWidth) {
  expect_error(
      ErrorKind::config, [] { Hubert({.width = 16, .layers = 0, .heads = 2, .position_groups = 5}); }, "5 groups");
}

TEST(Hubert, RefusesHeadsThatDoNotDivideTheWidth) {
  expect_error(
      ErrorKind::config, [] { Hubert({.width = 16, .layers = 1, .heads = 3, .position_groups = 4}); }, "3 attention heads");
}

TEST(Hubert, RefusesToHaveNoConvolutions) {
  expect_error(
      ErrorKind::config, [] { Hubert({.width = 16, .layers = 0, .heads = 2, .convolutions = {}}); }, "without convolutions");
}

}  // namespace
}  // namespace microemo::model
