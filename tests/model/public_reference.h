#pragma once
#include "encoder_reference.h"

namespace microemo::test {

/// PREFIX0, PREFIX1, … of a file.
inline std::vector<at::Tensor> states_of(const checkpoint::TensorSource& source, const std::string& prefix) {
  std::vector<at::Tensor> states;
  while (source.contains(prefix + std::to_string(states.size())))
    states.push_back(source.tensor(prefix + std::to_string(states.size())));
  return states;
}

/// Every parameter has a gradient, and it is the file's: within what the project promises, and small ones within a thousandth of
/// their largest value.
inline void expect_same_gradients(const torch::nn::Module& module, const checkpoint::NamedTensors& expected) {
  for (const auto& item : module.named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    ASSERT_TRUE(expected.contains(item.key())) << item.key();
    const at::Tensor &actual = item.value().grad(), &wanted = expected.at(item.key());
    EXPECT_LT(error_of(actual, wanted), 10 * allowed_error) << item.key();
    const double largest = std::max(wanted.abs().max().item<double>(), 0.01);  // a key's bias has none but for rounding
    EXPECT_LT((actual - wanted).abs().max().item<double>() / largest, 1e-3) << item.key();
  }
}

/// Our targets and the modules of transformers.
struct Target {
  const char *ours, *theirs;
};
inline constexpr Target targets[] = {{"query", "self_attn.q_proj"},  {"key", "self_attn.k_proj"}, {"value", "self_attn.v_proj"},
                                     {"output", "self_attn.o_proj"}, {"gate", "mlp.gate_proj"},   {"up", "mlp.up_proj"},
                                     {"down", "mlp.down_proj"}};

/// "block0.query.lora_A" as PEFT names it: "model.layers.0.self_attn.q_proj.lora_A".
inline std::string peft_name(const std::string& ours) {
  const size_t first = ours.find('.'), last = ours.rfind('.');
  const std::string module = ours.substr(first + 1, last - first - 1);
  for (const Target& target : targets)
    if (module == target.ours) return "model.layers." + ours.substr(5, first - 5) + "." + target.theirs + ours.substr(last);
  throw std::runtime_error("no target has the name " + ours);
}

}  // namespace microemo::test
