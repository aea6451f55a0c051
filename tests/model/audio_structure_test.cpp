// The public audio encoders at full size on the meta device: names, shapes and counts, without a weight. Their lists are those of
// the checkpoint room's tests (transformers and the reference's tables).
#include "checkpoint/public_names.h"
#include "encoder_reference.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/model/hubert.h"
#include "microemo/model/imagebind_audio.h"
#include "microemo/model/whisper_encoder.h"
#include "microemo/nn/on_meta.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using checkpoint::NamedTensors;

/// The part of a public list that the encoder is made of, under our names.
NamedTensors encoder_of(const std::string& family, const NamedTensors& list) {
  const auto plan =
      checkpoint::plan_keys(checkpoint::find_family(family), test::names_of(list), checkpoint::KeyDirection::to_ours, "public");
  NamedTensors tensors;
  for (const checkpoint::KeyStep& step : plan.steps)
    tensors.emplace(step.to.substr(std::string("audio_encoder.").size()), apply_step(step, {list.at(step.from.front())}));
  return tensors;
}

template <class Model, class Options>
void expect_structure(const Options& options, const NamedTensors& expected, int64_t tensors, int64_t parameters) {
  std::shared_ptr<Model> model;
  {
    const nn::OnMeta guard;
    model = std::make_shared<Model>(options);
  }
  EXPECT_EQ(checkpoint::load_into(*model, expected, {.source = "public", .check_only = true}).loaded.size(), size_t(tensors));
  int64_t count = 0;
  for (const at::Tensor& parameter : model->parameters()) {
    EXPECT_TRUE(parameter.is_meta());
    count += parameter.numel();
  }
  EXPECT_EQ(count, parameters);
}

TEST(AudioStructure, ChineseHubertLarge) {
  expect_structure<Hubert>(HubertOptions{}, encoder_of("hubert", test::public_model("hubert-large").list), 415, 315'435'136);
}

TEST(AudioStructure, WhisperLargeV2) {
  expect_structure<WhisperEncoder>(WhisperEncoderOptions{}, encoder_of("whisper", test::public_model("whisper-large-v2").list),
                                   487, 636'784'640);
}

TEST(AudioStructure, WhisperBase) {
  expect_structure<WhisperEncoder>(WhisperEncoderOptions{.width = 512, .layers = 6, .heads = 8, .hidden = 2048},
                                   encoder_of("whisper", test::public_model("whisper-base").list), 97, 20'590'592);
}

TEST(AudioStructure, ImageBindHugeAudio) {
  expect_structure<ImageBindAudio>(ImageBindAudioOptions{}, encoder_of("imagebind-audio", test::imagebind_audio()), 225,
                                   86'235'648);
}

TEST(AudioStructure, OfAnotherSizeDoesNotFit) {
  const NamedTensors list = encoder_of("imagebind-audio", test::imagebind_audio());
  test::expect_error(
      ErrorKind::checkpoint, [&] { expect_structure<ImageBindAudio>(ImageBindAudioOptions{.layers = 11}, list, 225, 0); },
      "18 unexpected:\n    block11.attention.extra_key");
}

}  // namespace
}  // namespace microemo::model
