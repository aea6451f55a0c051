#include "microemo/checkpoint/convert.h"

#include <algorithm>
#include <map>
#include <set>

#include <ATen/ops/empty.h>

#include "key_map_pattern.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/log.h"
#include "microemo/checkpoint/key_map.h"
#include "types.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_of(const LazyTensors& tensors) {
  std::vector<std::string> names;
  for (const LazyTensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

std::map<std::string, const LazyTensor*> by_name(const LazyTensors& tensors) {
  std::map<std::string, const LazyTensor*> index;
  for (const LazyTensor& tensor : tensors) index[tensor.name] = &tensor;
  return index;
}

at::Tensor meta_of(const at::Tensor& tensor) { return at::empty(tensor.sizes(), tensor.options().device(at::kMeta)); }

/// The delta rule of every public name that is kept, and the names that are not.
struct DeltaRules {
  std::map<std::string, DeltaRule> kept;
  std::set<std::string> ignored;
};

DeltaRules delta_rules(const std::vector<std::string>& names, const fs::path& source) {
  DeltaRules rules;
  const KeyPlan plan = plan_keys(require_family(names, source), names, KeyDirection::to_ours, source);
  for (const KeyStep& step : plan.steps) rules.kept.emplace(step.from.front(), step.delta);
  rules.ignored.insert(plan.ignored.begin(), plan.ignored.end());
  return rules;
}

void check_same_names(const DeltaRules& rules, const LazyTensors& base, const fs::path& source) {
  std::vector<std::string> base_names, delta_names;
  for (const auto& [name, rule] : rules.kept) delta_names.push_back(name);
  for (const LazyTensor& tensor : base) base_names.push_back(tensor.name);
  const std::set<std::string> in_base(base_names.begin(), base_names.end());
  for (const std::string& name : delta_names)
    if (!in_base.contains(name))
      throw CheckpointError("the base has no '{}'", name).where(source).hint("it has " + nearest_of(name, base_names));
  for (const std::string& name : base_names)
    if (!rules.kept.contains(name) && !rules.ignored.contains(name) && !name.ends_with("rotary_emb.inv_freq"))
      throw CheckpointError("the difference has no '{}', which the base has", name)
          .where(source)
          .hint("it has " + nearest_of(name, delta_names));
}

LazyTensors renamed(const KeyPlan& plan, const LazyTensors& tensors) {
  const auto index = by_name(tensors);
  LazyTensors result;
  for (const KeyStep& step : plan.steps) {
    std::vector<at::Tensor> metas;
    std::vector<std::function<at::Tensor()>> makers;
    for (const std::string& name : step.from) {
      metas.push_back(name.empty() ? at::Tensor() : index.at(name)->meta);
      makers.push_back(name.empty() ? [] { return at::Tensor(); } : index.at(name)->make);
    }
    const auto make = [step, makers] {
      std::vector<at::Tensor> from;
      for (const auto& maker : makers) from.push_back(maker());
      return apply_step(step, from);
    };
    if (step.to.empty())
      make();  // a block that must be zero
    else
      result.push_back({step.to, meta_of(apply_step(step, metas)), make});
  }
  return result;
}

/// What stands beside weights and belongs to the model: config.json, tokenizer files. No weights of another format either.
bool belongs_to_model(const fs::path& file) {
  static const std::set<std::string> weights{".safetensors", ".bin", ".pth", ".pt", ".h5", ".msgpack", ".gguf", ".onnx"};
  const std::string name = file.filename().string();
  return !weights.contains(file.extension().string()) && !name.ends_with(".index.json") && !name.starts_with("adapter_") &&
         !name.starts_with(".");
}

void copy_beside(const fs::path& from, const fs::path& to) {
  if (!fs::is_directory(from)) return;
  for (const auto& entry : fs::directory_iterator(from)) {
    if (!entry.is_regular_file() || !belongs_to_model(entry.path())) continue;
    std::error_code failure;
    fs::copy_file(entry.path(), to / entry.path().filename(), failure);
    if (failure)
      throw EnvironmentError("'{}' cannot be copied: {}", entry.path().filename().string(), failure.message()).where(to);
  }
}

/// What a reader of `container` would not give back.
void check_container(Container container, const LazyTensors& tensors) {
  for (const LazyTensor& tensor : tensors) {
    if (container == Container::pth && tensor.meta.scalar_type() == at::ScalarType::Float4_e2m1fn_x2)
      throw CheckpointError("tensor '{}' has the type F4, which .pth files do not hold here", tensor.name)
          .hint("write it as safetensors");
    if (container != Container::pth && tensor.name == "__metadata__")
      throw CheckpointError("a tensor has the name '__metadata__', which safetensors files keep for themselves")
          .hint("write it as .pth, or give it another name");
  }
}

/// A tensor of a kind that is not read (sparse, quantised, complex128) is among them: it must not be lost in silence.
void tell_of_skipped(const TensorSource& source) {
  constexpr size_t most_told = 8;
  const auto& skipped = source.skipped();
  for (size_t i = 0; i < std::min(skipped.size(), most_told); ++i)
    log_warning(fmt::format("'{}' is not read: {}", skipped[i].path, skipped[i].global));
  if (skipped.size() > most_told) log_warning(fmt::format("and {} more are not read", skipped.size() - most_told));
}

/// A folder under another name until it is whole.
class PendingModel {
 public:
  explicit PendingModel(const fs::path& final_path)
      : final_(final_path.has_filename() ? final_path : final_path.parent_path()), partial_(final_) {
    partial_ += ".partial";
    if (fs::exists(final_) && !(fs::is_directory(final_) && fs::is_empty(final_)))
      throw EnvironmentError("the output exists already and is not empty").where(final_).hint("name a new folder");
    refuse_foreign();
    std::error_code failure;
    fs::remove_all(partial_, failure);
    fs::create_directories(partial_, failure);
    if (failure)
      throw EnvironmentError("the folder cannot be made: {}", failure.message()).where(partial_).hint("check the access rights");
    write_file_atomic(partial_ / mark, "");
  }
  ~PendingModel() {
    std::error_code ignored;
    fs::remove_all(partial_, ignored);
  }
  PendingModel(const PendingModel&) = delete;
  PendingModel& operator=(const PendingModel&) = delete;

  const fs::path& path() const { return partial_; }
  void commit() {
    std::error_code failure;
    fs::remove(partial_ / mark, failure);
    fs::remove(final_, failure);
    fs::rename(partial_, final_, failure);
    if (failure) throw EnvironmentError("the folder cannot be renamed: {}", failure.message()).where(final_);
  }

 private:
  /// Only what an interrupted conversion left may be removed.
  void refuse_foreign() const {
    if (!fs::exists(partial_) || (fs::is_directory(partial_) && (fs::is_empty(partial_) || fs::exists(partial_ / mark)))) return;
    throw EnvironmentError("it stands where the output is made, and no interrupted conversion left it")
        .where(partial_)
        .hint("move it away, or name another output");
  }

  static constexpr const char* mark = ".microemo-conversion";
  fs::path final_, partial_;
};

}  // namespace

LazyTensors lazy_tensors(const TensorSource& source) {
  tell_of_skipped(source);
  LazyTensors tensors;
  for (const TensorEntry& entry : source.entries()) {
    const auto type = type_of_word(entry.dtype);
    if (!type)
      throw CheckpointError("tensor '{}' has the type {}, which cannot be read here", entry.name, entry.dtype)
          .where(source.files().at(entry.file))
          .hint("convert it to a type that PyTorch has");
    const at::TensorOptions options = at::TensorOptions(at::kMeta).dtype(*type);
    tensors.push_back(
        {entry.name, at::empty(shape_in_memory(*type, entry.shape), options), [source, entry] { return source.tensor(entry); }});
  }
  return tensors;
}

LazyTensors add_delta(LazyTensors delta, const LazyTensors& base, const fs::path& source) {
  const DeltaRules rules = delta_rules(names_of(delta), source);
  check_same_names(rules, base, source);
  const auto index = by_name(base);
  for (LazyTensor& tensor : delta) {
    const auto rule = rules.kept.find(tensor.name);
    if (rule == rules.kept.end()) continue;
    const LazyTensor& below = *index.at(tensor.name);
    try {
      check_delta(tensor.name, rule->second, below.meta, tensor.meta);
    } catch (Error& error) {
      throw error.where(source);
    }
    tensor.make = [name = tensor.name, how = rule->second, base_of = below.make, delta_of = tensor.make] {
      return apply_delta(name, how, base_of(), delta_of());
    };
  }
  return delta;
}

LazyTensors apply_adapter(LazyTensors base, const PeftAdapter& adapter, double sign, const fs::path& source) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const LazyTensor& tensor : base) shapes[tensor.name] = tensor.meta.sizes().vec();
  check_base(adapter, shapes, source);
  if (sign < 0 && !adapter.replaced.empty())
    throw CheckpointError("the adapter replaced '{}' as a whole, which cannot be undone", adapter.replaced.begin()->first)
        .where(source)
        .hint("start from the base");
  for (const auto& [name, tensor] : adapter.replaced)
    if (!shapes.contains(name))
      throw CheckpointError("the adapter replaces '{}', which the base does not have", name)
          .where(source)
          .hint("name the base that it was trained on");
  for (LazyTensor& tensor : base) {
    if (const auto whole = adapter.replaced.find(tensor.name); whole != adapter.replaced.end()) {
      tensor.meta = meta_of(whole->second);
      tensor.make = [value = whole->second] { return value; };
    } else if (const std::string module = adapted_module(adapter, tensor.name); !module.empty()) {
      if (!tensor.meta.is_floating_point())
        throw CheckpointError("'{}' is {}, and an adapter is added to floating-point weights", tensor.name,
                              c10::toString(tensor.meta.scalar_type()))
            .where(source)
            .hint("take the base in float16, bfloat16 or float32");
      tensor.make = [adapter, module, sign, weight = tensor.make] { return merge(adapter, module, weight(), sign); };
    }
  }
  return base;
}

LazyTensors only_adapter(LazyTensors tensors, const std::string& name, const fs::path& source) {
  require_adapter(names_of(tensors), name, source);
  std::erase_if(tensors, [&](const LazyTensor& tensor) {
    const std::string adapter = adapter_of(tensor.name);
    return !adapter.empty() && adapter != name;
  });
  for (LazyTensor& tensor : tensors)
    if (adapter_of(tensor.name) == name) tensor.name.replace(tensor.name.rfind("." + name + ".") + 1, name.size(), "default");
  return tensors;
}

Renaming rename(LazyTensors tensors, const std::string& from, const std::string& to, const fs::path& source) {
  const KeyFamily* target = to == "microemo" ? nullptr : &find_family(to);
  Renaming result{std::move(tensors), {}, from};
  const std::vector<std::string> names = names_of(result.tensors);
  if (from.empty() && are_our_names(names)) result.from = "microemo";
  if (result.from != "microemo") {
    const KeyFamily& family = from.empty() ? require_family(names, source) : find_family(from);
    const KeyPlan plan = plan_keys(family, names, KeyDirection::to_ours, source);
    result = {renamed(plan, result.tensors), plan.ignored, family.name};
  }
  if (target)
    result.tensors = renamed(plan_keys(*target, names_of(result.tensors), KeyDirection::to_public, source), result.tensors);
  return result;
}

std::vector<fs::path> write_tensors_as(const OutputPlace& out, const LazyTensors& tensors,
                                       const std::function<void(const LazyTensor&)>& on_tensor) {
  const fs::path& path = out.path;
  check_container(out.container, tensors);
  std::vector<TensorPlan> plan;
  for (const LazyTensor& tensor : tensors) plan.push_back({tensor.name, tensor.meta.scalar_type(), tensor.meta.sizes().vec()});
  const auto index = by_name(tensors);
  const TensorMaker make = [&](const TensorPlan& one) {
    const LazyTensor& tensor = *index.at(one.name);
    at::Tensor made = tensor.make();
    on_tensor(tensor);
    return made;
  };
  if (out.container == Container::safetensors) return write_safetensors_file(path, plan, make, out.metadata), std::vector{path};
  if (out.container == Container::pth) return write_pth(path, plan, make), std::vector{path};
  PendingModel folder(path);
  std::vector<fs::path> files =
      write_safetensors_folder(folder.path(), plan, make, {.shard_bytes = out.shard_bytes, .metadata = out.metadata});
  copy_beside(out.beside, folder.path());
  folder.commit();
  std::erase_if(files, [](const fs::path& file) { return file.extension() == ".json"; });
  for (fs::path& file : files) file = path / file.filename();
  return files;
}

}  // namespace microemo::checkpoint
