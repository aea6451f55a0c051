#include <ATen/ATen.h>

#include "microemo/base/files.h"
#include "microemo/model/hf_decoder.h"
#include "microemo/nn/loss.h"
#include "public_reference.h"

namespace microemo::model {
namespace {

using test::encoder_data;
using test::error_of;

/// What tests/reference/decoder_training.py wrote of one decoder: padded rows, grouped queries, scaled positions, tied and own
/// output rows.
class DecoderTraining : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path file(const std::string& suffix) const { return encoder_data / (GetParam() + suffix); }
  at::Tensor recorded(const std::string& name) const { return training_.tensor(name).clone(); }

  /// Mean over the labels, as transformers has it; theirs are moved by one inside of the model, ours before it.
  at::Tensor loss_of(const Decoder& decoder) const {
    const at::Tensor ids_RL = recorded("input_ids"), labels_RL = recorded("labels");
    const at::Tensor hidden_RLC = decoder.forward(decoder.embed(ids_RL));
    const at::Tensor next_RL = at::constant_pad_nd(labels_RL.slice(1, 1), {0, 1}, nn::ignored_label);
    const at::Tensor sum =
        nn::linear_cross_entropy_sum(hidden_RLC.flatten(0, 1), decoder.output_weight(), next_RL.flatten(), /*chunk=*/7);
    return sum / next_RL.ne(nn::ignored_label).sum();
  }

  std::shared_ptr<Decoder> decoder_ = load_hf_decoder(encoder_data / GetParam());

 private:
  checkpoint::TensorSource training_{file(".training.safetensors")};
};

TEST_P(DecoderTraining, PaddingChangesNothingBeforeIt) {
  const at::NoGradGuard no_grad;
  const at::Tensor real_RL = recorded("attention_mask").to(at::kBool);
  ASSERT_FALSE(real_RL.all().item<bool>());
  std::vector<at::Tensor> states;
  states.push_back(decoder_->forward(decoder_->embed(recorded("input_ids")), nullptr, &states));
  ASSERT_EQ(states.size(), 3u);
  for (size_t i = 0; i < states.size(); ++i)
    EXPECT_LT(error_of(states[i].index({real_RL}), recorded("hidden_states." + std::to_string(i)).index({real_RL})), 1e-5) << i;
}

TEST_P(DecoderTraining, InBfloat16ItErrsNoMoreThanTransformersDoes) {
  const at::NoGradGuard no_grad;
  const at::Tensor real_RL = recorded("attention_mask").to(at::kBool);
  const at::Tensor exact = recorded("logits").index({real_RL});
  const auto rms_error = [&](const at::Tensor& logits_RLV) {
    return (logits_RLV.index({real_RL}).to(at::kFloat) - exact).square().mean().sqrt().item<double>();
  };
  decoder_->to(at::kBFloat16);
  const at::Tensor logits_RLV = decoder_->logits(decoder_->forward(decoder_->embed(recorded("input_ids"))));
  ASSERT_EQ(logits_RLV.scalar_type(), at::kBFloat16);
  const double theirs = rms_error(recorded("bf16.logits"));
  EXPECT_GT(theirs, 1e-3);
  EXPECT_LE(rms_error(logits_RLV), 1.05 * theirs);  // two roundings of the same sums scatter by some per cent
}

TEST_P(DecoderTraining, LossAndEveryGradientEqualTransformers) {
  test::require_gradients(*decoder_);
  const at::Tensor loss = loss_of(*decoder_);
  EXPECT_NEAR(loss.item<double>(), recorded("loss").item<double>(), 1e-5);
  loss.backward();
  test::expect_same_gradients(*decoder_, checkpoint::read_part(file(".gradients.safetensors"), "decoder", "llama"));
}

void expect_adapters_of_peft(const Decoder& decoder, const checkpoint::TensorSource& expected, const std::string& chosen) {
  size_t compared = 0;
  for (const auto& item : decoder.named_parameters()) {
    const bool adapter = item.key().find(".lora_") != std::string::npos;
    EXPECT_EQ(item.value().grad().defined(), adapter) << item.key();
    if (!adapter) continue;
    const at::Tensor wanted = expected.tensor(chosen + "/gradient/" + test::peft_name(item.key()));
    EXPECT_LT(test::relative_error(item.value().grad(), wanted), 1e-4) << chosen << " " << item.key();
    ++compared;
  }
  size_t recorded = 0;
  for (const checkpoint::TensorEntry& entry : expected.entries()) recorded += entry.name.starts_with(chosen + "/gradient/");
  EXPECT_EQ(compared, recorded) << chosen;
}

struct TargetSet {
  const char* name;
  std::vector<std::string> targets;
};
const TargetSet target_sets[] = {{"query_value", {"query", "value"}},
                                 {"attention", {"query", "key", "value", "output"}},
                                 {"mlp", {"gate", "up", "down"}},
                                 {"all", {"query", "key", "value", "output", "gate", "up", "down"}}};

TEST_P(DecoderTraining, AdaptersOnEverySetOfTargetsEqualPeft) {
  const checkpoint::TensorSource adapters(file(".lora.safetensors"));
  for (const TargetSet& set : target_sets) {
    const auto decoder = load_hf_decoder(encoder_data / GetParam());
    decoder->attach_lora({.rank = 4, .alpha = 8, .targets = set.targets});
    for (auto& item : decoder->named_parameters()) {
      if (item.key().find(".lora_") == std::string::npos) continue;
      const at::NoGradGuard no_grad;
      item.value().copy_(adapters.tensor(set.name + ("/value/" + test::peft_name(item.key()))));
    }
    const at::Tensor loss = loss_of(*decoder);
    EXPECT_NEAR(loss.item<double>(), adapters.tensor(std::string(set.name) + "/loss").item<double>(), 1e-5) << set.name;
    loss.backward();
    expect_adapters_of_peft(*decoder, adapters, set.name);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, DecoderTraining, testing::Values("llama", "mistral", "qwen2"));

}  // namespace
}  // namespace microemo::model
