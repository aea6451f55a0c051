#include "microemo/checkpoint/load.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "mapped_tensor.h"
#include "microemo/base/error.h"
#include "microemo/base/nearest.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::checkpoint {
namespace {

constexpr size_t most_listed = 8;

std::string shape_text(const at::Tensor& tensor) { return fmt::format("[{}]", fmt::join(tensor.sizes(), ", ")); }

bool convertible(const at::Tensor& from, const at::Tensor& to, bool exact) {
  return from.scalar_type() == to.scalar_type() || (!exact && from.is_floating_point() && to.is_floating_point());
}

/// The first names of a list that may be long, each with what `detail` adds.
template <class Detail>
std::string listing(const char* title, const std::vector<std::string>& names, Detail detail) {
  if (names.empty()) return {};
  std::string text = fmt::format("\n  {} {}:", names.size(), title);
  for (size_t i = 0; i < std::min(names.size(), most_listed); ++i) text += fmt::format("\n    {}{}", names[i], detail(names[i]));
  if (names.size() > most_listed) text += fmt::format("\n    and {} more", names.size() - most_listed);
  return text;
}

struct Mismatch {
  LoadReport report;
  std::vector<std::string> wrong_shape, wrong_type;

  bool fatal(const LoadOptions& options) const {
    return (!options.allow_missing && !report.missing.empty()) || (!options.allow_unexpected && !report.unexpected.empty()) ||
           !wrong_shape.empty() || !wrong_type.empty();
  }
};

Mismatch compare(const NamedTensors& own, const NamedTensors& given, const LoadOptions& options) {
  Mismatch result;
  for (const auto& [name, target] : own) {
    const auto found = given.find(name);
    if (found == given.end())
      result.report.missing.push_back(name);
    else if (found->second.sizes() != target.sizes())
      result.wrong_shape.push_back(name);
    else if (!convertible(found->second, target, options.exact_type))
      result.wrong_type.push_back(name);
    else
      result.report.loaded.push_back(name);
  }
  for (const auto& [name, tensor] : given)
    if (!own.contains(name)) result.report.unexpected.push_back(name);
  return result;
}

Error mismatch_error(const Mismatch& found, const NamedTensors& own, const NamedTensors& given, const LoadOptions& options) {
  std::string text = "the tensors do not fit the model";
  const LoadReport& report = found.report;
  if (!options.allow_missing)
    text += listing("missing", report.missing, [&](const std::string& name) {
      const std::string nearest = nearest_name(name, report.unexpected);
      return nearest.empty() ? nearest : fmt::format(" (the file has '{}')", nearest);
    });
  if (!options.allow_unexpected) text += listing("unexpected", report.unexpected, [](const std::string&) { return ""; });
  text += listing("of another shape", found.wrong_shape, [&](const std::string& name) {
    return fmt::format(": file {}, model {}", shape_text(given.at(name)), shape_text(own.at(name)));
  });
  text += listing("of another type", found.wrong_type, [&](const std::string& name) {
    return fmt::format(": file {}, model {}", c10::toString(given.at(name).scalar_type()),
                       c10::toString(own.at(name).scalar_type()));
  });
  return CheckpointError("{}", text).where(options.source).hint("use the configuration that the checkpoint was trained with");
}

/// What the tensors have to fit.
NamedTensors targets_of(const torch::nn::Module& module, const LoadOptions& options) {
  NamedTensors targets = tensors_of(module);
  for (const auto& [name, target] : options.instead)
    if (target.like.defined())
      targets[name] = target.like;
    else
      targets.erase(name);
  return targets;
}

}  // namespace

NamedTensors tensors_of(const torch::nn::Module& module) {
  NamedTensors tensors;
  for (const auto& item : module.named_parameters()) tensors.emplace(item.key(), item.value().detach());
  for (const auto& item : module.named_buffers()) tensors.emplace(item.key(), item.value().detach());
  return tensors;
}

LoadReport load_into(torch::nn::Module& module, const NamedTensors& tensors, const LoadOptions& options) {
  const NamedTensors own = targets_of(module, options);
  Mismatch found = compare(own, tensors, options);
  if (found.fatal(options)) throw mismatch_error(found, own, tensors, options);
  for (const std::string& name : found.report.loaded) require_writable(own.at(name), name);
  if (options.check_only) return std::move(found.report);
  for (const std::string& name : found.report.loaded)
    if (const auto other = options.instead.find(name); other != options.instead.end())
      other->second.take(tensors.at(name));
    else
      copy_tensor(tensors.at(name), own.at(name));
  return std::move(found.report);
}

}  // namespace microemo::checkpoint
