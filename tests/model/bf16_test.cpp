// Encoders in bfloat16 against transformers' own (tests/reference/bf16.py). The sizes are small: this type is slow on most CPUs.
#include "microemo/model/hf_qformer.h"
#include "microemo/model/hf_vision.h"
#include "microemo/model/hubert.h"
#include "microemo/model/whisper_encoder.h"
#include "public_reference.h"

namespace microemo::model {
namespace {

using test::encoder_data;

/// The recorded inputs of the script: each times 1, 1 + 1/16, …
at::Tensor scaled(const at::Tensor& values) {
  std::vector<at::Tensor> all;
  for (int i = 0; i < 16; ++i) all.push_back(values * (1 + i / 16.0));
  return at::cat(all);
}

class Bfloat16 : public testing::Test {
 protected:
  at::Tensor input(const std::string& name, const std::string& key) const {
    return checkpoint::TensorSource(encoder_data / (name + ".reference.safetensors")).tensor("input." + key).clone();
  }
  static double rms(const at::Tensor& t) { return t.square().mean().sqrt().item<double>(); }

  /// Two roundings of the same sums scatter by some per cent, hence a tenth.
  void expect_no_more_error_than_transformers(const std::string& name, const at::Tensor& exact, const at::Tensor& rounded) const {
    const checkpoint::TensorSource recorded(encoder_data / (name + ".bf16.safetensors"));
    const at::Tensor wanted = recorded.tensor("fp32");
    ASSERT_LT(test::error_of(exact, wanted), test::allowed_error);
    ASSERT_EQ(rounded.scalar_type(), at::kBFloat16);
    const double theirs = rms(recorded.tensor("bf16").to(at::kFloat) - wanted);
    EXPECT_GT(theirs, 1e-3);
    EXPECT_LE(rms(rounded.to(at::kFloat) - wanted), 1.1 * theirs) << "theirs " << theirs;
  }
};

TEST_F(Bfloat16, OfClip) {
  const at::NoGradGuard no_grad;
  const auto vit = load_hf_vision(encoder_data / "clip-vision");
  const at::Tensor pictures = scaled(input("clip-vision", "pixel_values")), exact = vit->features(pictures);
  vit->to(at::kBFloat16);
  expect_no_more_error_than_transformers("clip-vision", exact, vit->features(pictures.to(at::kBFloat16)));
}

TEST_F(Bfloat16, OfEvaAndTheQFormer) {
  const at::NoGradGuard no_grad;
  const auto vit = load_hf_vision(encoder_data / "blip2");
  const auto qformer = load_hf_qformer(encoder_data / "blip2");
  const at::Tensor pictures = scaled(input("blip2", "pixel_values")), exact = qformer->forward(vit->forward(pictures));
  vit->to(at::kBFloat16);
  qformer->to(at::kBFloat16);
  expect_no_more_error_than_transformers("blip2", exact, qformer->forward(vit->forward(pictures.to(at::kBFloat16))));
}

TEST_F(Bfloat16, OfEvaAndTheQFormerThatReadsText) {
  const at::NoGradGuard no_grad;
  const auto vit = load_hf_vision(encoder_data / "instructblip");
  const auto qformer = load_hf_qformer(encoder_data / "instructblip");
  const at::Tensor pictures = scaled(input("instructblip", "pixel_values"));
  const at::Tensor text = input("instructblip", "qformer_input_ids")
                              .masked_fill(input("instructblip", "qformer_attention_mask").eq(0), -1)
                              .repeat({16, 1});
  const at::Tensor exact = qformer->forward(vit->forward(pictures), text);
  vit->to(at::kBFloat16);
  qformer->to(at::kBFloat16);
  expect_no_more_error_than_transformers("instructblip", exact, qformer->forward(vit->forward(pictures.to(at::kBFloat16)), text));
}

TEST_F(Bfloat16, OfHubert) {
  const at::NoGradGuard no_grad;
  const auto hubert = load_hubert(encoder_data / "hubert-large");
  const at::Tensor samples = scaled(input("hubert-large", "input_values").slice(0, 0, 1)),
                   exact = hubert->forward(samples).states_BFC.back();
  hubert->to(at::kBFloat16);
  expect_no_more_error_than_transformers("hubert-large", exact, hubert->forward(samples.to(at::kBFloat16)).states_BFC.back());
}

TEST_F(Bfloat16, OfWhisper) {
  const at::NoGradGuard no_grad;
  const auto whisper = load_whisper_encoder(encoder_data / "whisper");
  const at::Tensor mel = scaled(input("whisper", "input_features")), exact = whisper->forward(mel).back();
  whisper->to(at::kBFloat16);
  expect_no_more_error_than_transformers("whisper", exact, whisper->forward(mel.to(at::kBFloat16)).back());
}

}  // namespace
}  // namespace microemo::model
