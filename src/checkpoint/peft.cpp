#include "microemo/checkpoint/peft.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/ranges.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/tensor_writer.h"
#include "peft_config.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view file_prefix = "base_model.model.";
constexpr size_t most_listed = 8;

template <class Shape>
std::string shape_text(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// "….q_proj.lora_A.default.weight" taken apart; the adapter's name is empty in an adapter's own file.
struct LoraName {
  std::string module, adapter;
  bool is_a = false;
};

std::optional<LoraName> parse(const std::string& name) {
  constexpr std::string_view mark = ".lora_", end = ".weight";
  const size_t at = name.rfind(mark);
  if (at == std::string::npos || !name.ends_with(end)) return std::nullopt;
  const std::string_view inside = std::string_view(name).substr(at + mark.size(), name.size() - at - mark.size() - end.size());
  const bool is_half = inside.starts_with('A') || inside.starts_with('B');
  if (!is_half || (inside.size() > 1 && inside[1] != '.') || inside.find('.', 2) != std::string_view::npos) return std::nullopt;
  return LoraName{name.substr(0, at), std::string(inside.size() > 2 ? inside.substr(2) : ""), inside[0] == 'A'};
}

/// The module as its base names it: what PEFT and a model around it put before is cut off.
std::string base_name(const std::string& name) {
  const size_t at = name.find(file_prefix);
  return at == std::string::npos ? name : name.substr(at + file_prefix.size());
}

void check_pairs(PeftAdapter& adapter, const fs::path& source) {
  if (adapter.pairs.empty())
    throw CheckpointError("there are no tensors of a LoRA adapter").where(source).hint("name the folder of an adapter");
  for (const auto& [module, pair] : adapter.pairs) {
    if (!pair.a.defined() || !pair.b.defined())
      throw CheckpointError("the adapter of '{}' has no lora_{}", module, pair.a.defined() ? "B" : "A")
          .where(source)
          .hint("complete the file");
    if (pair.a.dim() != 2 || pair.b.dim() != 2 || pair.a.size(0) != pair.b.size(1))
      throw CheckpointError("lora_A {} and lora_B {} of '{}' do not go together", shape_text(pair.a.sizes()),
                            shape_text(pair.b.sizes()), module)
          .where(source)
          .hint("only LoRA of linear layers is supported");
    if (!pair.a.is_floating_point() || !pair.b.is_floating_point())
      throw CheckpointError("lora_A and lora_B of '{}' are {} and {}; wanted: floating point", module,
                            c10::toString(pair.a.scalar_type()), c10::toString(pair.b.scalar_type()))
          .where(source)
          .hint("fetch the adapter again, or save it in a floating-point type");
  }
}

/// The value of the first pattern that the module's name ends with; "^" at its start asks for the whole name.
template <class T>
T by_pattern(const std::map<std::string, T>& patterns, const std::string& module, T fallback) {
  for (const auto& [pattern, value] : patterns) {
    const bool whole = pattern.starts_with('^');
    if (module == pattern.substr(whole ? 1 : 0) || (!whole && module.ends_with("." + pattern))) return value;
  }
  return fallback;
}

void check_ranks(const PeftAdapter& adapter, const fs::path& source) {
  for (const auto& [module, pair] : adapter.pairs) {
    const int64_t wanted = by_pattern(adapter.config.rank_pattern, module, adapter.config.r);
    if (pair.a.size(0) != wanted)
      throw CheckpointError("the adapter of '{}' has the rank {}, and adapter_config.json says {}", module, pair.a.size(0),
                            wanted)
          .where(source)
          .hint("use the config that belongs to these tensors");
  }
}

void add(PeftAdapter& adapter, const std::string& name, const LoraName& parts, const at::Tensor& tensor, const fs::path& source) {
  LoraPair& pair = adapter.pairs[base_name(parts.module)];
  at::Tensor& half = parts.is_a ? pair.a : pair.b;
  if (half.defined())
    throw CheckpointError("'{}' stands a second time under another name", name).where(source).hint("remove one of the two");
  half = tensor;
}

/// DoRA's lengths, embeddings, biases: without them the others would be merged wrongly.
Error other_kind(const std::string& name, const fs::path& source) {
  return CheckpointError("'{}' is of a kind of adapter that is not supported", name)
      .where(source)
      .hint("only LoRA of linear layers is supported");
}

/// "….lora_embedding_A.default", "….lora_magnitude_vector.default.weight".
bool is_other_kind_of(const std::string& tensor_name, const std::string& adapter) {
  const std::string part = "." + adapter;
  return tensor_name.find(".lora_") != std::string::npos &&
         (tensor_name.ends_with(part) || tensor_name.find(part + ".", tensor_name.find(".lora_")) != std::string::npos);
}

/// "a, b, c and 5 more".
std::string some_of(const std::vector<std::string>& names) {
  const std::vector<std::string> first(names.begin(), names.begin() + std::ptrdiff_t(std::min(names.size(), most_listed)));
  const std::string text = fmt::format("\n  {}", fmt::join(first, "\n  "));
  return names.size() > most_listed ? fmt::format("{}\n  and {} more", text, names.size() - most_listed) : text;
}

}  // namespace

double PeftAdapter::scale(const std::string& module) const {
  const double alpha = by_pattern(config.alpha_pattern, module, config.lora_alpha);
  const auto rank = double(by_pattern(config.rank_pattern, module, config.r));
  return config.use_rslora ? alpha / std::sqrt(rank) : alpha / rank;
}

PeftAdapter read_adapter(const fs::path& folder) {
  PeftAdapter adapter{read_peft_config(folder), {}, {}};
  const TensorSource source(folder);
  for (const TensorEntry& entry : source.entries()) {
    const auto parts = parse(entry.name);
    if (parts) {
      add(adapter, entry.name, *parts, source.tensor(entry), folder);
    } else if (entry.name.find("lora_") != std::string::npos) {
      throw other_kind(entry.name, folder);
    } else {
      adapter.replaced.emplace(base_name(entry.name), source.tensor(entry));
    }
  }
  check_pairs(adapter, folder);
  check_ranks(adapter, folder);
  return adapter;
}

std::string adapter_of(const std::string& tensor_name) {
  const auto parts = parse(tensor_name);
  return parts ? parts->adapter : "";
}

std::vector<std::string> adapters_in(const std::vector<std::string>& names) {
  std::set<std::string> found;
  for (const std::string& name : names) found.insert(adapter_of(name));
  found.erase("");
  return {found.begin(), found.end()};
}

void require_adapter(const std::vector<std::string>& tensor_names, const std::string& name, const fs::path& source) {
  const auto all = adapters_in(tensor_names);
  if (std::find(all.begin(), all.end(), name) != all.end()) return;
  throw CheckpointError("there is no adapter '{}'", name)
      .where(source)
      .hint(all.empty() ? "the file holds no adapters" : fmt::format("adapters: {}", fmt::join(all, ", ")));
}

PeftAdapter adapter_in(const TensorSource& source, const std::string& name, const PeftConfig& config) {
  PeftAdapter adapter{config, {}, {}};
  const fs::path& file = source.files().front();
  std::vector<std::string> names;
  for (const TensorEntry& entry : source.entries()) {
    names.push_back(entry.name);
    const auto parts = parse(entry.name);
    if (!parts && is_other_kind_of(entry.name, name)) throw other_kind(entry.name, file);
    if (parts && parts->adapter == name) add(adapter, entry.name, *parts, source.tensor(entry), file);
  }
  require_adapter(names, name, file);
  check_pairs(adapter, file);
  adapter.config.r = adapter.pairs.begin()->second.a.size(0);
  adapter.config.rank_pattern.clear();
  for (const auto& [module, pair] : adapter.pairs)
    if (const int64_t rank = pair.a.size(0); rank != adapter.config.r) adapter.config.rank_pattern[module] = rank;
  return adapter;
}

void write_adapter(const fs::path& folder, const PeftAdapter& adapter) {
  NamedTensors tensors;
  for (const auto& [module, pair] : adapter.pairs) {
    tensors[std::string(file_prefix) + module + ".lora_A.weight"] = pair.a;
    tensors[std::string(file_prefix) + module + ".lora_B.weight"] = pair.b;
  }
  for (const auto& [name, tensor] : adapter.replaced) tensors[std::string(file_prefix) + name] = tensor;
  std::vector<TensorPlan> plan;
  for (const auto& [name, tensor] : tensors) plan.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  write_safetensors_file(folder / "adapter_model.safetensors", plan, [&](const TensorPlan& one) { return tensors.at(one.name); });
  write_peft_config(folder, adapter.config);
}

std::string adapted_module(const PeftAdapter& adapter, const std::string& weight_name) {
  std::string module = base_name(weight_name);
  for (const std::string_view end : {".base_layer.weight", ".weight"})
    if (module.ends_with(end)) {
      module.resize(module.size() - end.size());
      return adapter.pairs.contains(module) ? module : "";
    }
  return {};
}

void check_base(const PeftAdapter& adapter, const std::map<std::string, std::vector<int64_t>>& shapes, const fs::path& source) {
  std::set<std::string> found;
  std::vector<std::string> wrong;
  for (const auto& [name, shape] : shapes) {
    const std::string module = adapted_module(adapter, name);
    if (module.empty()) continue;
    found.insert(module);
    const LoraPair& pair = adapter.pairs.at(module);
    std::vector<int64_t> wanted{pair.b.size(0), pair.a.size(1)};
    if (adapter.config.fan_in_fan_out) std::swap(wanted[0], wanted[1]);
    if (shape != wanted) wrong.push_back(fmt::format("{}: base {}, adapter {}", module, shape_text(shape), shape_text(wanted)));
  }
  for (const auto& [module, pair] : adapter.pairs)
    if (!found.contains(module)) wrong.push_back(fmt::format("{}: not in the base", module));
  if (wrong.empty()) return;
  const std::string trained_on = adapter.config.base_model_name_or_path;
  throw CheckpointError("the adapter is for another base:{}", some_of(wrong))
      .where(source)
      .hint(trained_on.empty() ? "name the base that it was trained on" : "it was trained on " + trained_on);
}

at::Tensor merge(const PeftAdapter& adapter, const std::string& module, const at::Tensor& weight, double sign) {
  const LoraPair& pair = adapter.pairs.at(module);
  at::Tensor product = at::mm(pair.b.to(at::kFloat), pair.a.to(at::kFloat));
  if (adapter.config.fan_in_fan_out) product = product.t();
  return (weight.to(at::kFloat) + product * (sign * adapter.scale(module))).to(weight.scalar_type());
}

}  // namespace microemo::checkpoint
