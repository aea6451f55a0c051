#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/base/json.h"
#include "microemo/checkpoint/tensor_source.h"
#include "microemo/checkpoint/tensors.h"

// LoRA adapters as PEFT keeps them: folders of adapter_config.json and adapter_model.safetensors or .bin (0.5 and newer), and
// inside the state of a whole model, under one name or several. Modules are named as in the base
// ("model.layers.0.self_attn.q_proj").

namespace microemo::checkpoint {

struct PeftConfig {
  int64_t r = 8;
  double lora_alpha = 8, lora_dropout = 0;
  bool use_rslora = false;      ///< scale alpha / sqrt(r) instead of alpha / r
  bool fan_in_fan_out = false;  ///< the base's weights are [in, out]
  std::string base_model_name_or_path;
  std::vector<std::string> target_modules;      ///< last parts of names; one that is no name is a pattern, or "all-linear"
  std::map<std::string, int64_t> rank_pattern;  ///< by the end of a module's name, or with "^" the whole
  std::map<std::string, double> alpha_pattern;
  Json others = Json::object();  ///< keys that are not needed here; kept when the config is written again
};

/// A [r, in], B [out, r]: the module adds scale x B A to its weight.
struct LoraPair {
  at::Tensor a, b;
};

struct PeftAdapter {
  PeftConfig config;
  std::map<std::string, LoraPair> pairs;  ///< by module
  NamedTensors replaced;                  ///< whole tensors of modules_to_save and of a grown vocabulary, by the base's names

  /// alpha / r of a module, or as use_rslora and the patterns say.
  double scale(const std::string& module) const;
};

/// Reads an adapter's folder; tensors are views of its file. Throws Error(checkpoint): no adapter_config.json, a mistake in it
/// (with its line), a kind of adapter that cannot be merged here (not LORA, DoRA, trained biases, replicated layers, a start that
/// changed the base), a tensor of another kind, an A without its B, ranks that differ from the config.
PeftAdapter read_adapter(const std::filesystem::path& folder);

/// The adapter that a tensor in the state of a whole model is of ("default"); empty when it is of none.
std::string adapter_of(const std::string& tensor_name);
/// Names of the adapters in the state of a whole model, in order.
std::vector<std::string> adapters_in(const std::vector<std::string>& names);
/// One of them, with the config that the caller knows; the ranks are those of the tensors. Throws Error(checkpoint) when there is
/// none of this name, naming those that are, and for a tensor of it that is no LoRA of a linear layer.
PeftAdapter adapter_in(const TensorSource& source, const std::string& name, const PeftConfig& config);
/// Throws Error(checkpoint) at `source` unless one of the tensors is of the adapter `name`; lists the adapters that there are.
void require_adapter(const std::vector<std::string>& tensor_names, const std::string& name, const std::filesystem::path& source);

/// Writes adapter_config.json (keys sorted) and adapter_model.safetensors as PEFT does. Throws Error(environment).
void write_adapter(const std::filesystem::path& folder, const PeftAdapter& adapter);

/// The module whose weight this is ("….q_proj.weight" or, when wrapped by PEFT 0.6 and newer, "….q_proj.base_layer.weight"), of
/// those that the adapter changes; empty when it is none.
std::string adapted_module(const PeftAdapter& adapter, const std::string& weight_name);

/// Throws Error(checkpoint) at `source` unless the base has the weight of every adapted module with a shape that fits, naming
/// what differs with both shapes: the adapter is for another base.
void check_base(const PeftAdapter& adapter, const std::map<std::string, std::vector<int64_t>>& shapes,
                const std::filesystem::path& source);

/// weight + scale x B A, computed in fp32, in the weight's type; `sign` -1 takes it away again.
at::Tensor merge(const PeftAdapter& adapter, const std::string& module, const at::Tensor& weight, double sign = 1);

}  // namespace microemo::checkpoint
