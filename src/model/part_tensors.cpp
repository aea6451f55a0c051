#include "part_tensors.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;
using checkpoint::NamedTensors;
using checkpoint::TensorSource;

TensorSource open_weights(const fs::path& path) {
  const TensorSource whole(path);
  const auto& entries = whole.entries();
  const bool is_state = std::any_of(entries.begin(), entries.end(), [](const auto& e) { return e.name.starts_with("model/"); });
  return is_state ? TensorSource(path, {.sub_dict = "model"}) : whole;
}

}  // namespace

NamedTensors part_tensors(const fs::path& source, const std::string& part) {
  const TensorSource weights = open_weights(source);
  const std::string prefix = part + ".";
  std::vector<std::string> names;
  for (const checkpoint::TensorEntry& entry : weights.entries()) names.push_back(entry.name);
  NamedTensors tensors;
  std::string what = "our names";
  if (checkpoint::are_our_names(names)) {
    for (const std::string& name : names)
      if (name.starts_with(prefix)) tensors.emplace(name.substr(prefix.size()), weights.tensor(name));
  } else {
    const checkpoint::KeyFamily& family = checkpoint::require_family(names, source);
    what = fmt::format("the names of '{}' ({})", family.name, family.description);
    for (const auto& step : plan_keys(family, names, checkpoint::KeyDirection::to_ours, source).steps) {
      if (step.to.starts_with(prefix))
        tensors.emplace(step.to.substr(prefix.size()), apply_step(step, {weights.tensor(step.from.front())}));
      else if (step.to.empty())
        apply_step(step, {weights.tensor(step.from.front())});  // a block that must be zero
    }
  }
  if (tensors.empty())
    throw CheckpointError("the weights have {}, and no part '{}'", what, part)
        .where(source)
        .hint("name the folder or file of a model that has this part; microemo inspect says what a file holds");
  return tensors;
}

void load_part(torch::nn::Module& module, const NamedTensors& tensors, const fs::path& source) {
  for (at::Tensor& parameter : module.parameters()) parameter.requires_grad_(false);
  checkpoint::load_into(module, tensors, {.source = source});
}

}  // namespace microemo::model
