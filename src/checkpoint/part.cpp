#include "microemo/checkpoint/part.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::checkpoint {
namespace {

std::vector<std::string> names_of(const TensorSource& source) {
  std::vector<std::string> names;
  for (const TensorEntry& entry : source.entries()) names.push_back(entry.name);
  return names;
}

/// A file of a training state holds other things beside its weights.
TensorSource open_weights(const std::filesystem::path& path) {
  const TensorSource whole(path);
  const std::vector<std::string> names = names_of(whole);
  const bool is_state = std::any_of(names.begin(), names.end(), [](const auto& name) { return name.starts_with("model/"); });
  return is_state ? TensorSource(path, {.sub_dict = "model"}) : whole;
}

/// What the rules make of a public file, but only what begins with the prefix, and blocks that have to be zero.
NamedTensors mapped_to_ours(const TensorSource& source, const KeyPlan& plan, const std::string& prefix) {
  NamedTensors tensors;
  for (const KeyStep& step : plan.steps) {
    if (!step.to.empty() && !step.to.starts_with(prefix)) continue;
    const at::Tensor tensor = apply_step(step, {source.tensor(step.from.front())});
    if (!step.to.empty()) tensors.emplace(step.to.substr(prefix.size()), tensor);
  }
  return tensors;
}

NamedTensors named_as_ours(const TensorSource& source, const std::vector<std::string>& names, const std::string& prefix) {
  NamedTensors tensors;
  for (const std::string& name : names)
    if (name.starts_with(prefix)) tensors.emplace(name.substr(prefix.size()), source.tensor(name));
  return tensors;
}

/// Tensors whose names begin with the prefix, without it.
NamedTensors read_under(const std::filesystem::path& path, const std::string& prefix, const std::string& family) {
  const TensorSource source = open_weights(path);
  const std::vector<std::string> names = names_of(source);
  if (are_our_names(names)) return named_as_ours(source, names, prefix);
  const KeyFamily& rules = family.empty() ? require_family(names, path) : find_family(family);
  return mapped_to_ours(source, plan_keys(rules, names, KeyDirection::to_ours, path), prefix);
}

}  // namespace

NamedTensors read_part(const std::filesystem::path& path, const std::string& part, const std::string& family) {
  const NamedTensors tensors = read_under(path, part + ".", family);
  if (tensors.empty())
    throw CheckpointError("it holds nothing of '{}'", part).where(path).hint("see what it holds with microemo inspect");
  return tensors;
}

NamedTensors read_all_parts(const std::filesystem::path& path, const std::string& family) { return read_under(path, "", family); }

void require_size(double asked, const NamedTensors& held, const std::filesystem::path& path) {
  double parameters = 0;
  for (const auto& [name, tensor] : held) parameters += double(tensor.numel());
  if (asked > 4 * parameters + 1e6)
    throw CheckpointError("config.json asks for {:.3g} parameters, and the files hold {:.3g}", asked, parameters)
        .where(path)
        .hint("put the config.json of this model beside its weights");
}

}  // namespace microemo::checkpoint
