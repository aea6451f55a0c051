#include "microemo/nn/init.h"

#include <cmath>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "microemo/base/random.h"

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
  at::Tensor values = at::empty(parameter.sizes(), at::kFloat);
  float* value = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) value[i] = float(deviation * truncated_normal(random));
  parameter.copy_(values);
}

bool is_table(const std::string& name) {
  return has_part(name, "embedding") || has_part(name, "queries") || has_part(name, "position") ||
         has_part(name, "tokens.weight") || has_part(name, "utterances.weight");
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

std::vector<std::string> initialise(torch::nn::Module& module, uint64_t seed, const std::set<std::string>& done) {
  const at::NoGradGuard no_grad;
  std::vector<std::string> filled;
  for (auto& item : module.named_parameters()) {
    if (done.contains(item.key())) continue;
    initialise_parameter(item.key(), item.value(), seed);
    filled.push_back(item.key());
  }
  return filled;
}

}  // namespace microemo::nn
