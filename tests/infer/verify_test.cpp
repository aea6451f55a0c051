#include "microemo/infer/verify.h"

#include <ATen/ATen.h>

#include "microemo/base/files.h"
#include "microemo/checkpoint/tensors.h"
#include "support/errors.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;
using checkpoint::NamedTensors;
using test::expect_error;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const fs::path data = fs::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";

/// The recordings of tests/reference/hf_decoders.py, which a test may change.
class Verify : public testing::Test {
 protected:
  Verify() : recorded_(checkpoint::read_tensors(data / "llama.reference.safetensors")) {}

  VerifyReport verify(const VerifyOptions& options = {}) const {
    checkpoint::write_tensors(file_, recorded_);
    return verify_model(data / "llama", file_, options);
  }
  Error refusal(const std::string& part) const {
    return expect_error(
        ErrorKind::checkpoint, [&] { verify(); }, part);
  }

  TemporaryFolder place_;
  const fs::path file_ = place_.path() / "reference.safetensors";
  NamedTensors recorded_;
};

TEST_F(Verify, EveryGoldenModelIsWithin) {
  for (const std::string model : {"llama", "mistral", "qwen2"}) {
    const VerifyReport report = verify_model(data / model, data / (model + ".reference.safetensors"));
    EXPECT_TRUE(report.within()) << to_json(report).dump(2);
    EXPECT_EQ(report.model_type, model);
    ASSERT_EQ(report.outputs.size(), 4u);
    EXPECT_EQ(report.outputs[2].name, "hidden_states.2");
    EXPECT_THAT(report.outputs[3].shape, ElementsAre(2, 40, 96));
    EXPECT_EQ(report.outputs[3].next_token->top1, 1);
    EXPECT_LT(report.outputs[3].next_token->max_kl, 1e-9);
    EXPECT_TRUE(report.not_compared.empty());
  }
}

TEST_F(Verify, TheStoredTypeComputesTheSame) { EXPECT_TRUE(verify({.as_stored = true}).within()); }

TEST_F(Verify, ADifferenceIsMeasuredAndBeyond) {
  at::Tensor changed = recorded_.at("output.logits").clone();
  const double largest = changed.abs().max().item<double>();
  changed[0][3][7] += 0.5;
  recorded_["output.logits"] = changed;
  const VerifyReport report = verify();
  EXPECT_FALSE(report.within());
  const OutputComparison& logits = report.outputs.back();
  EXPECT_NEAR(logits.max_absolute, 0.5, 1e-4);
  EXPECT_NEAR(logits.max_relative, 0.5 / largest, 1e-2);
  EXPECT_GT(logits.next_token->max_kl, 1e-5);
  EXPECT_TRUE(report.outputs[0].within);
}

TEST_F(Verify, KlAndTop1FollowTheirDefinitions) {
  // A recording of one certain token everywhere: KL(recorded || ours) is then -log of what we give it.
  const at::Tensor ours = recorded_.at("output.logits");
  at::Tensor certain = at::full_like(ours, -1e4);
  certain.select(2, 5).fill_(1e4);
  recorded_["output.logits"] = certain;
  const auto found = verify().outputs.back().next_token;
  const at::Tensor expected = -at::log_softmax(ours.to(at::kDouble), -1).select(2, 5);
  EXPECT_NEAR(found->mean_kl, expected.mean().item<double>(), 1e-4);
  EXPECT_NEAR(found->max_kl, expected.max().item<double>(), 1e-4);
  EXPECT_NEAR(found->top1, ours.argmax(-1).eq(5).to(at::kDouble).mean().item<double>(), 1e-9);
}

TEST_F(Verify, NotANumberIsNotWithin) {
  at::Tensor broken = recorded_.at("output.logits").clone();
  broken[0][0][0] = NAN;
  recorded_["output.logits"] = broken;
  EXPECT_FALSE(verify().within());
}

TEST_F(Verify, PositionsThatTheMaskLeavesOutAreNotCompared) {
  at::Tensor mask = at::ones({2, 40}, at::kLong), logits = recorded_.at("output.logits").clone();
  mask.slice(1, 30).zero_();
  logits.slice(1, 30).fill_(1e3);
  recorded_["input.attention_mask"] = mask;
  recorded_["output.logits"] = logits;
  EXPECT_TRUE(verify().within());
}

TEST_F(Verify, OutputsThatTheModelDoesNotHaveAreListed) {
  recorded_["output.attentions.0"] = at::ones({2});
  EXPECT_THAT(verify().not_compared, ElementsAre("attentions.0"));
}

TEST_F(Verify, AModelOfAnUnknownTypeIsOneClearError) {
  write_file_atomic(place_.path() / "config.json", R"({"model_type": "gemma2"})");
  expect_error(
      ErrorKind::checkpoint, [&] { verify_model(place_.path(), file_); }, "the model type 'gemma2' is not supported");
}

TEST_F(Verify, ClipsVisionSideIsWithin) {
  const VerifyReport report = verify_model(data / "clip-vision", data / "clip-vision.reference.safetensors");
  EXPECT_TRUE(report.within()) << to_json(report).dump(2);
  ASSERT_EQ(report.outputs.size(), 6u);
  EXPECT_EQ(report.outputs[3].name, "hidden_states.3");
  EXPECT_TRUE(report.not_compared.empty());
}

TEST_F(Verify, ClipAsAWholeIsWithinInItsVisionSide) {
  const VerifyReport report = verify_model(data / "clip", data / "clip.reference.safetensors");
  EXPECT_TRUE(report.within()) << to_json(report).dump(2);
  EXPECT_EQ(report.outputs.size(), 5u);
  EXPECT_THAT(report.not_compared, ::testing::Contains("text_embeds"));
}

class VerifyClip : public Verify {
 protected:
  VerifyClip() { recorded_ = checkpoint::read_tensors(data / "clip-vision.reference.safetensors"); }
  void clip_refusal(ErrorKind kind, const std::string& part, const VerifyOptions& options = {}) const {
    checkpoint::write_tensors(file_, recorded_);
    expect_error(
        kind, [&] { verify_model(data / "clip-vision", file_, options); }, part);
  }
};

TEST_F(VerifyClip, ADifferenceInOnePictureIsBeyond) {
  at::Tensor changed = recorded_.at("output.image_embeds").clone();
  changed[2][1] += 0.01;
  recorded_["output.image_embeds"] = changed;
  checkpoint::write_tensors(file_, recorded_);
  EXPECT_FALSE(verify_model(data / "clip-vision", file_).within());
}

TEST_F(VerifyClip, PicturesOfAnotherSizeAreAnErrorWithBothShapes) {
  recorded_["input.pixel_values"] = at::zeros({3, 3, 8, 12});
  clip_refusal(ErrorKind::checkpoint, "input.pixel_values is Float [3, 3, 8, 12]; wanted: floating point [pictures, 3, 12, 12]");
}

TEST_F(VerifyClip, ARecordingOfNoPicturesIsAnError) {
  for (auto& [name, tensor] : recorded_) tensor = tensor.slice(0, 0, 0);
  clip_refusal(ErrorKind::checkpoint, "input.pixel_values is empty");
}

TEST_F(VerifyClip, InputsOfADecoderAreAnError) {
  recorded_["input.input_ids"] = at::ones({1, 3}, at::kLong);
  clip_refusal(ErrorKind::checkpoint, "a picture encoder has no input 'input_ids'");
}

TEST_F(VerifyClip, ARecordingWithoutPicturesIsAnError) {
  recorded_.erase("input.pixel_values");
  recorded_["input.input_ids"] = at::ones({1, 3}, at::kLong);
  clip_refusal(ErrorKind::checkpoint, "a picture encoder has no input 'input_ids'");
}

TEST_F(VerifyClip, TheStoredTypeIsForDecoders) {
  clip_refusal(ErrorKind::config, "--type stored is for decoders", {.as_stored = true});
}

/// The recordings of tests/reference/vision.py and audio_encoders.py, under the names that record.py gives them.
class VerifyEncoder : public Verify {
 protected:
  void take(const std::string& model, const std::map<std::string, std::string>& names) {
    model_ = model;
    recorded_.clear();
    for (const auto& [name, tensor] : checkpoint::read_tensors(data / (model + ".reference.safetensors")))
      for (const auto& [from, to] : names)
        if (name.starts_with(from)) recorded_[to + name.substr(from.size())] = tensor;
  }
  VerifyReport verify_encoder(const VerifyOptions& options = {}) const {
    checkpoint::write_tensors(file_, recorded_);
    return verify_model(data / model_, file_, options);
  }
  void expect_within(size_t outputs) const {
    const VerifyReport report = verify_encoder();
    EXPECT_TRUE(report.within()) << to_json(report).dump(2);
    EXPECT_EQ(report.outputs.size(), outputs);
    EXPECT_TRUE(report.not_compared.empty());
  }
  void encoder_refusal(const std::string& part) const {
    expect_error(
        ErrorKind::checkpoint, [&] { verify_encoder(); }, part);
  }

  std::string model_;
  const std::map<std::string, std::string> sound_{{"input.input_values", "input.input_values"},
                                                  {"input.attention_mask", "input.attention_mask"},
                                                  {"output.hidden_states", "output.hidden_states"}};
  const std::map<std::string, std::string> mel_{{"input.input_features", "input.input_features"},
                                                {"output.hidden_states", "output.encoder_hidden_states"}};
  const std::map<std::string, std::string> picture_{{"input.", "input."},
                                                    {"output.image", "output.vision_outputs.last_hidden_state"},
                                                    {"output.vision", "output.vision_outputs.hidden_states"},
                                                    {"output.qformer", "output.qformer_outputs.hidden_states"}};
};

TEST_F(VerifyEncoder, HubertIsWithinInTheFramesThatTheMaskCounts) {
  for (const std::string model : {"hubert-base", "hubert-large"}) {
    take(model, sound_);
    expect_within(4);
  }
  at::Tensor changed = recorded_.at("output.hidden_states.2").clone();
  changed[0][0][0] += 1;
  recorded_["output.hidden_states.2"] = changed;
  EXPECT_FALSE(verify_encoder().within());
}

TEST_F(VerifyEncoder, WithoutAMaskHubertHearsPadding) {
  take("hubert-large", {{"input.input_values", "input.input_values"}, {"output.without_mask", "output.last_hidden_state"}});
  expect_within(1);
}

TEST_F(VerifyEncoder, WhispersEncoderIsWithin) {
  take("whisper", mel_);
  expect_within(4);
}

TEST_F(VerifyEncoder, PictureEncoderAndQFormerOfBlipAreWithin) {
  for (const std::string model : {"blip2", "instructblip"}) {
    take(model, picture_);
    expect_within(9);
  }
  at::Tensor changed = recorded_.at("output.qformer_outputs.hidden_states.3").clone();
  changed[0][0][0] += 1;
  recorded_["output.qformer_outputs.hidden_states.3"] = changed;
  EXPECT_FALSE(verify_encoder().within());
}

class VerifyBert : public VerifyEncoder {
 protected:
  VerifyBert() { take("bert", {{"input.", "input."}, {"output.", "output."}}); }
};

TEST_F(VerifyBert, IsWithinInTheTokensThatTheMaskCountsOfBothKinds) {
  const VerifyReport report = verify_encoder();
  EXPECT_TRUE(report.within()) << to_json(report).dump(2);
  EXPECT_EQ(report.outputs.size(), 5u);
  EXPECT_THAT(report.not_compared, ElementsAre("pooler_output"));
  recorded_["input.token_type_ids"] = at::zeros_like(recorded_.at("input.token_type_ids"));
  EXPECT_FALSE(verify_encoder().within());
}

TEST_F(VerifyBert, KindsOfTokensThatDoNotFitAreAnError) {
  const at::Tensor types = recorded_.at("input.token_type_ids");
  recorded_["input.token_type_ids"] = types.slice(1, 1);
  encoder_refusal("input.token_type_ids is [3, 6], and input.input_ids [3, 7]");
  recorded_["input.token_type_ids"] = types + 1;
  encoder_refusal("input.token_type_ids holds 1 to 2, and the model has 2 kinds of tokens");
}

TEST_F(VerifyBert, IdsAndRowsBeyondItsTablesAreAnError) {
  recorded_["input.input_ids"] = at::full({3, 7}, 30, at::kLong);
  encoder_refusal("input.input_ids holds 30 to 30, and the vocabulary has 30 tokens");
  recorded_["input.input_ids"] = at::ones({3, 10}, at::kLong);
  encoder_refusal("rows of 10 tokens, and the model reads up to 9");
  recorded_.erase("input.input_ids");
  encoder_refusal("input.input_ids is missing");
}

TEST_F(VerifyEncoder, SoundsOfAWrongShapeTypeOrLengthAreAnError) {
  take("hubert-large", sound_);
  const at::Tensor sounds = recorded_.at("input.input_values");
  recorded_["input.input_values"] = sounds.unsqueeze(1);
  encoder_refusal("input.input_values is Float [3, 1, 1043]; wanted: floating point [sounds, samples]");
  recorded_["input.input_values"] = sounds.to(at::kLong);
  encoder_refusal("input.input_values is Long [3, 1043]");
  recorded_["input.input_values"] = sounds.slice(1, 0, 5);
  encoder_refusal("input.attention_mask has not the shape of input.input_values");
  recorded_.erase("input.attention_mask");
  encoder_refusal("row 0 of input.input_values has 5 samples, and a frame needs");
  recorded_["input.input_values"] = sounds.slice(0, 0, 0);
  encoder_refusal("input.input_values is empty");
}

TEST_F(VerifyEncoder, MelValuesOfAnotherShapeAreAnErrorWithBoth) {
  take("whisper", mel_);
  recorded_["input.input_features"] = at::zeros({2, 8, 40});
  encoder_refusal("input.input_features is Float [2, 8, 40]; wanted: floating point [sounds, 8, 42]");
}

TEST_F(VerifyEncoder, TextOfAQFormerHasToFitItsPictures) {
  take("instructblip", picture_);
  const at::Tensor ids = recorded_.at("input.qformer_input_ids");
  recorded_["input.qformer_input_ids"] = ids.slice(0, 0, 1);
  encoder_refusal("input.qformer_input_ids has 1 rows, and there are 2 pictures");
  recorded_["input.qformer_input_ids"] = at::full({2, 7}, 1 << 20, at::kLong);
  encoder_refusal("input.qformer_input_ids holds 1048576 to 1048576");
  recorded_.erase("input.qformer_input_ids");
  encoder_refusal("input.qformer_input_ids is missing");
  take("blip2", picture_);
  recorded_["input.qformer_input_ids"] = ids;
  encoder_refusal("a BLIP-2 has no input 'qformer_input_ids'");
}

TEST_F(VerifyEncoder, AnEncoderIsNotComputedInTheStoredType) {
  take("whisper", mel_);
  expect_error(
      ErrorKind::config, [&] { verify_encoder({.as_stored = true}); }, "--type stored is for decoders");
}

TEST_F(Verify, AFileWithoutInputsOrOutputsIsAnError) {
  NamedTensors all = recorded_;
  recorded_ = {{"input.input_ids", all.at("input.input_ids")}};
  refusal("no outputs are recorded");
  recorded_ = {{"output.logits", all.at("output.logits")}};
  refusal("no inputs are recorded");
}

TEST_F(Verify, AnotherNameIsAnError) {
  recorded_["logits"] = at::ones({1});
  const Error error = refusal("'logits' is neither input.NAME nor output.NAME");
  EXPECT_EQ(error.place(), file_.string());
  EXPECT_THAT(error.next_step(), HasSubstr("record.py"));
}

TEST_F(Verify, OutputsOfWhichNoneCanBeComparedAreAnError) {
  recorded_ = {{"input.input_ids", recorded_.at("input.input_ids")}, {"output.attentions.0", at::ones({1})}};
  refusal("none of the recorded outputs can be compared: attentions.0");
}

TEST_F(Verify, AnOutputThatNoModelOfTheFamilyHasIsAnErrorWithTheNearestNames) {
  recorded_["output.logit"] = recorded_.at("output.logits");
  const Error error = refusal("a model of type 'llama' and this size has no output 'logit'");
  EXPECT_EQ(error.place(), file_.string());
  EXPECT_THAT(error.next_step(), ::testing::StartsWith("the nearest names are 'logits'"));
  recorded_.erase("output.logit");
  recorded_["output.image_embeds"] = at::ones({1});
  refusal("has no output 'image_embeds'");
}

TEST_F(Verify, StatesOfADeeperModelAreAnError) {
  recorded_["output.hidden_states.3"] = recorded_.at("output.hidden_states.2");
  EXPECT_THAT(refusal("has no output 'hidden_states.3'").next_step(), HasSubstr("'hidden_states.2'"));
}

TEST_F(Verify, WhatIsLeftAsideOfOneFamilyIsAnErrorOfAnother) {
  recorded_["output.pooler_output"] = at::ones({1});
  refusal("has no output 'pooler_output'");
}

TEST_F(Verify, AnInputThatADecoderDoesNotTakeIsAnError) {
  recorded_["input.pixel_values"] = at::ones({1, 3, 4, 4});
  refusal("a decoder has no input 'pixel_values'");
}

TEST_F(Verify, IdsOfAnotherTypeOrOutsideTheVocabularyAreAnError) {
  recorded_["input.input_ids"] = at::ones({2, 40});
  refusal("input.input_ids is Float [2, 40]; wanted: whole numbers [rows, tokens]");
  recorded_["input.input_ids"] = at::full({2, 40}, 96, at::kLong);
  refusal("input.input_ids holds 96 to 96, and the vocabulary has 96 tokens");
  recorded_["input.input_ids"] = at::full({2, 40}, -1, at::kLong);
  refusal("input.input_ids holds -1 to -1");
}

TEST_F(Verify, RowsBeyondTheModelsLimitAreAnError) {
  recorded_["input.input_ids"] = at::ones({1, 129}, at::kLong);
  refusal("rows of 129 tokens, and the model reads up to 128");
}

TEST_F(Verify, PaddingOnTheLeftIsAnError) {
  at::Tensor mask = at::ones({2, 40}, at::kLong);
  mask.slice(1, 0, 3).zero_();
  recorded_["input.attention_mask"] = mask;
  refusal("input.attention_mask pads on the left");
}

TEST_F(Verify, AMaskThatLeavesEverythingOutIsAnError) {
  recorded_["input.attention_mask"] = at::zeros({2, 40}, at::kLong);
  refusal("input.attention_mask leaves every position out");
}

TEST_F(Verify, PositionsOfTheirOwnAreAnError) {
  recorded_["input.position_ids"] = at::arange(1, 41).view({1, 40});
  refusal("input.position_ids are not 0, 1, 2");
}

TEST_F(Verify, PositionsOfAnotherShapeAreAnErrorWithBoth) {
  recorded_["input.position_ids"] = at::arange(7).view({1, 7});
  refusal("input.position_ids is [1, 7], and input.input_ids [2, 40]");
  recorded_["input.position_ids"] = at::arange(40).expand({3, 40});
  refusal("input.position_ids is [3, 40], and input.input_ids [2, 40]");
  recorded_["input.position_ids"] = at::arange(40).view({1, 40});
  EXPECT_TRUE(verify().within());
}

TEST_F(Verify, ComplexNumbersAreAnError) {
  recorded_["output.logits"] = recorded_.at("output.logits").to(at::kComplexFloat);
  refusal("output.logits holds complex numbers");
  recorded_["input.input_ids"] = recorded_.at("input.input_ids").to(at::kComplexFloat);
  refusal("input.input_ids is ComplexFloat [2, 40]; wanted: whole numbers [rows, tokens]");
}

TEST_F(Verify, AnotherShapeIsAnErrorWithBoth) {
  recorded_["output.logits"] = at::ones({2, 40, 95});
  refusal("output.logits has the shape [2, 40, 95], and the model's is [2, 40, 96]");
}

TEST_F(Verify, AMissingRecordingIsAnError) {
  EXPECT_THROW(verify_model(data / "llama", place_.path() / "none.safetensors"), Error);
}

}  // namespace
}  // namespace microemo::infer
