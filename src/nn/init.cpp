#include "microemo/nn/init.h"

#include <cmath>
#include <map>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "microemo/base/random.h"
#include "microemo/nn/absent.h"
#include "microemo/nn/linear.h"

namespace microemo::nn {
namespace {

bool has_part(const std::string& name, const char* start) {
  return name.rfind(start, 0) == 0 || name.find(std::string(".") + start) != std::string::npos;
}

bool ends_with(const std::string& name, const std::string& end) {
  return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

double truncated_normal(Random& random) {
  double value = random.normal();
  while (std::abs(value) > 2) value = random.normal();
  return value;
}

void fill_normal(at::Tensor& parameter, double deviation, uint64_t seed, const std::string& name) {
  Random random(seed, "initialise " + name);
  const bool in_place = parameter.is_cpu() && parameter.scalar_type() == at::kFloat && parameter.is_contiguous();
  at::Tensor values = in_place ? parameter : at::empty(parameter.sizes(), at::kFloat);
  float* value = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) value[i] = float(deviation * truncated_normal(random));
  if (!in_place) parameter.copy_(values);
}

bool is_table(const std::string& name) {
  return has_part(name, "embedding") || has_part(name, "queries") || has_part(name, "position") ||
         has_part(name, "tokens.weight") || has_part(name, "utterances.weight");
}

bool has_to_be_filled(const Linear& linear) {
  return linear.kind() != FrozenDtype::fp32 || is_absent(linear.named_parameters(false)["weight"]);
}

/// Those that take their matrix by Linear::fill, by the names of their weights.
std::map<std::string, Linear*> frozen_linears(torch::nn::Module& module) {
  std::map<std::string, Linear*> found;
  const auto add = [&](const std::string& name, torch::nn::Module* one) {
    if (auto* linear = dynamic_cast<Linear*>(one); linear && has_to_be_filled(*linear)) found[name] = linear;
  };
  add("weight", &module);
  for (auto& item : module.named_modules({}, /*include_self=*/false)) add(item.key() + ".weight", item.value().get());
  return found;
}

void initialise_parameter(const std::string& name, at::Tensor parameter, uint64_t seed) {
  constexpr double table_deviation = 0.05, gain = 0.7;
  if (has_part(name, "zero_") || ends_with(name, "lora_B") || ends_with(name, "bias")) {
    parameter.zero_();
  } else if (is_table(name)) {
    fill_normal(parameter, table_deviation, seed, name);
  } else if (parameter.dim() >= 2) {
    fill_normal(parameter, gain / std::sqrt(double(parameter[0].numel())), seed, name);
  } else {
    parameter.fill_(1);
  }
}

}  // namespace

std::vector<std::string> initialise(torch::nn::Module& module, uint64_t seed, const std::set<std::string>& done,
                                    const std::function<void(const std::string&)>& on_filled) {
  const at::NoGradGuard no_grad;
  const std::map<std::string, Linear*> frozen = frozen_linears(module);
  std::vector<std::string> filled;
  for (auto& item : module.named_parameters()) {
    if (done.contains(item.key())) continue;
    if (const auto found = frozen.find(item.key()); found != frozen.end()) {
      const at::Tensor matrix_oi = at::empty({found->second->out(), found->second->in()}, at::kFloat);
      initialise_parameter(item.key(), matrix_oi, seed);
      found->second->fill(matrix_oi);
    } else {
      initialise_parameter(item.key(), item.value(), seed);
    }
    filled.push_back(item.key());
    if (on_filled) on_filled(item.key());
  }
  return filled;
}

}  // namespace microemo::nn
