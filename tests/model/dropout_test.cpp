#include "microemo/nn/dropout.h"

#include "microemo/model/hf_decoder.h"
#include "microemo/model/hf_qformer.h"
#include "microemo/nn/loss.h"
#include "public_reference.h"

// Against tests/reference/dropout.py: transformers and peft in training mode with the masks of nn/dropout.h.

namespace microemo::model {
namespace {

using test::encoder_data;
using test::error_of;

constexpr double probability = 0.3;

checkpoint::TensorSource recorded() { return checkpoint::TensorSource(MICROEMO_SOURCE_DIR "/tests/data/dropout.safetensors"); }

TEST(DropoutParity, TheTextQFormerDropsWhereTransformersDoes) {
  const checkpoint::TensorSource inputs(encoder_data / "instructblip.reference.safetensors");
  const auto loaded = load_hf_qformer(encoder_data / "instructblip", /*keep_text=*/true);
  QFormerOptions options = loaded->options();
  options.layers.dropout = probability;
  QFormer qformer(options);
  checkpoint::load_into(qformer, checkpoint::tensors_of(*loaded), {});
  test::require_gradients(qformer);
  const at::Tensor text =
      inputs.tensor("input.qformer_input_ids").masked_fill(inputs.tensor("input.qformer_attention_mask").eq(0), -1);
  const nn::DropoutKeys keys(std::vector<uint64_t>{7, 123456789});
  const at::Tensor state = qformer.forward(inputs.tensor("output.image"), text, nullptr, keys);
  EXPECT_LT(error_of(state, recorded().tensor("qformer.state")), test::allowed_error);
  EXPECT_GT(error_of(qformer.forward(inputs.tensor("output.image"), text), recorded().tensor("qformer.state")), 0.1);
  test::weighed_loss(state).backward();
  EXPECT_LT(error_of(qformer.named_parameters()["queries"].grad(), recorded().tensor("qformer.queries.gradient")), 1e-4);
}

TEST(DropoutParity, AdaptersDropWherePeftDoes) {
  const checkpoint::TensorSource batch(encoder_data / "llama.training.safetensors"),
      values(encoder_data / "llama.lora.safetensors"), wanted = recorded();
  const auto decoder = load_hf_decoder(encoder_data / "llama");
  decoder->attach_lora(
      {.rank = 4, .alpha = 8, .dropout = probability, .targets = {"query", "key", "value", "output", "gate", "up", "down"}});
  std::vector<std::pair<std::string, at::Tensor>> adapters;
  for (auto& item : decoder->named_parameters())
    if (item.key().find(".lora_") != std::string::npos) adapters.emplace_back(test::peft_name(item.key()), item.value());
  for (auto& [name, adapter] : adapters) {
    const at::NoGradGuard no_grad;
    adapter.copy_(values.tensor("all/value/" + name)).set_requires_grad(true);
  }
  const nn::DropoutKeys keys(std::vector<uint64_t>{1, 2, (uint64_t{1} << 63) + 5});
  const at::Tensor hidden_RLC = decoder->forward(decoder->embed(batch.tensor("input_ids").clone()), nullptr, nullptr, keys);
  const at::Tensor next_RL = at::constant_pad_nd(batch.tensor("labels").slice(1, 1), {0, 1}, nn::ignored_label);
  const at::Tensor loss = nn::linear_cross_entropy_sum(hidden_RLC.flatten(0, 1), decoder->output_weight(), next_RL.flatten()) /
                          next_RL.ne(nn::ignored_label).sum();
  EXPECT_NEAR(loss.item<double>(), wanted.tensor("lora.loss").item<double>(), 1e-5);
  loss.backward();
  for (const auto& [name, adapter] : adapters)
    EXPECT_LT(test::relative_error(adapter.grad(), wanted.tensor("lora.gradient." + name)), 1e-4) << name;
}

}  // namespace
}  // namespace microemo::model
