#include "microemo/train/optimizer.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::train {
namespace {

bool matches(const std::string& pattern, const std::string& name) { return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0; }

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return matches(pattern, name); });
}

void check_patterns(const char* key, const std::vector<std::string>& patterns, const std::vector<std::string>& names) {
  for (const std::string& pattern : patterns) {
    if (std::any_of(names.begin(), names.end(), [&](const std::string& name) { return matches(pattern, name); })) continue;
    const std::string nearest = nearest_name(pattern, names);
    throw ConfigError("'{}' of train.{} matches no parameter{}", pattern, key,
                      nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest))
        .hint(fmt::format("patterns are matched with whole names such as '{}'; * stands for any text", names.front()));
  }
}

/// add_weight_decay of LAVIS' runner, after its rule on dimensions.
bool is_spared_by_lavis(const std::string& name) {
  const auto holds = [&](const char* word) { return name.find(word) != std::string::npos; };
  return holds("bias") || holds("ln") || holds("bn");
}

struct RateFactor {
  std::string pattern;
  double factor = 1;
};

std::vector<RateFactor> rate_factors(const std::vector<std::string>& entries, const std::vector<std::string>& names) {
  std::vector<RateFactor> factors;
  for (const std::string& entry : entries) {
    const size_t equals = entry.rfind('=');
    const std::string number = equals == std::string::npos ? std::string() : entry.substr(equals + 1);
    char* end = nullptr;
    const double factor = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0' || !std::isfinite(factor) || factor < 0)
      throw ConfigError("'{}' is no PATTERN=FACTOR", entry)
          .at("train.rate_factors")
          .hint("for example *lora*=5, or video_qformer.*=0.1");
    factors.push_back({entry.substr(0, equals), factor});
    check_patterns("rate_factors", {factors.back().pattern}, names);
  }
  return factors;
}

double rate_factor_of(const std::string& name, const std::vector<RateFactor>& factors) {
  for (const RateFactor& one : factors)
    if (matches(one.pattern, name)) return one.factor;
  return 1;
}

std::vector<int64_t> trained_sizes(const torch::nn::Module& module) {
  std::vector<int64_t> sizes;
  for (const at::Tensor& parameter : module.parameters())
    if (parameter.requires_grad()) sizes.push_back(parameter.numel());
  return sizes;
}

/// A view of some elements, flat, or of all as they are.
at::Tensor part_of(const at::Tensor& values, const parallel::ElementRange& range) {
  return range.size() == values.numel() ? values : values.view(-1).narrow(0, range.begin, range.size());
}

bool decays(const at::Tensor& parameter, const std::string& name, const TrainOptions& options) {
  if (parameter.dim() < 2) return false;
  return options.decay_rule == DecayRule::lavis ? !is_spared_by_lavis(name) : !matches_any(options.no_decay, name);
}

}  // namespace

bool learns(const torch::nn::Module& module) { return std::ranges::any_of(module.parameters(), &at::Tensor::requires_grad); }

void select_trainable(torch::nn::Module& module, const TrainOptions& options) {
  std::vector<std::string> names;
  for (const auto& item : module.named_parameters()) names.push_back(item.key());
  check_patterns("trainable", options.trainable, names);
  check_patterns("frozen", options.frozen, names);
  bool any = false;
  for (auto& item : module.named_parameters()) {
    const bool trained = matches_any(options.trainable, item.key()) && !matches_any(options.frozen, item.key());
    item.value().set_requires_grad(trained);
    any |= trained;
  }
  if (!any) throw ConfigError("no parameter is left to train").hint("change train.trainable or train.frozen");
}

AdamW::AdamW(const torch::nn::Module& module, const TrainOptions& options, Share share)
    : share_(share),
      ranges_(trained_sizes(module), share.world),
      beta1_(options.beta1),
      beta2_(options.beta2),
      epsilon_(options.epsilon),
      weight_decay_(options.weight_decay) {
  std::vector<std::string> trained;
  for (const auto& item : module.named_parameters())
    if (item.value().requires_grad()) trained.push_back(item.key());
  const std::vector<RateFactor> factors = rate_factors(options.rate_factors, trained);
  for (const auto& item : module.named_parameters()) {
    at::Tensor parameter = item.value();
    if (!parameter.requires_grad()) continue;
    checkpoint::require_writable(parameter, item.key());
    MICROEMO_CHECK(parameter.scalar_type() == at::kFloat, "parameter '{}' is trained and is not fp32", item.key());
    // A range is one of row-major order.
    if (share.world > 1 && !parameter.is_contiguous()) parameter.set_data(parameter.detach().contiguous());
    slots_.push_back({.name = item.key(),
                      .parameter = parameter,
                      .step = {},
                      .mean = {},
                      .mean_square = {},
                      .own = ranges_.of(share.rank, slots_.size()),
                      .decays = decays(parameter, item.key(), options),
                      .rate_factor = rate_factor_of(item.key(), factors)});
    Slot& slot = slots_.back();
    if (slot.own.size() == 0) continue;
    slot.step = at::zeros({}, parameter.options().requires_grad(false));
    slot.mean = at::zeros_like(part_of(parameter.detach(), slot.own), at::MemoryFormat::Preserve);
    slot.mean_square = slot.mean.clone();
  }
}

void AdamW::clear_gradients() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = at::Tensor();
}

std::vector<at::Tensor> AdamW::gradients() const {
  std::vector<at::Tensor> found;
  for (const Slot& slot : slots_)
    if (slot.parameter.grad().defined()) found.push_back(slot.parameter.grad());
  return found;
}

std::vector<std::string> AdamW::decaying() const {
  std::vector<std::string> names;
  for (const Slot& slot : slots_)
    if (slot.decays) names.push_back(slot.name);
  return names;
}

std::map<std::string, double> AdamW::norms_by_part(const std::vector<at::Tensor>& norms) const {
  const at::NoGradGuard no_grad;
  std::map<std::string, std::vector<at::Tensor>> parts;
  size_t next = 0;
  for (const Slot& slot : slots_)
    if (slot.parameter.grad().defined()) parts[slot.name.substr(0, slot.name.find('.'))].push_back(norms.at(next++));
  std::map<std::string, double> result;
  for (const auto& [part, own] : parts) result[part] = at::linalg_vector_norm(at::stack(own), 2).item<double>();
  return result;
}

std::vector<std::string> AdamW::not_finite() const {
  std::vector<std::string> names;
  for (const Slot& slot : slots_)
    if (slot.parameter.grad().defined() && !std::isfinite(slot.parameter.grad().sum().item<double>())) names.push_back(slot.name);
  return names;
}

std::vector<std::string> AdamW::without_gradient() const {
  std::vector<std::string> names;
  for (const Slot& slot : slots_)
    if (!slot.parameter.grad().defined()) names.push_back(slot.name);
  return names;
}

void AdamW::step(double learning_rate) {
  std::map<std::pair<bool, double>, std::vector<const Slot*>> groups;
  for (const Slot& slot : slots_)
    if (slot.own.size() > 0 && slot.parameter.grad().defined()) groups[{slot.decays, slot.rate_factor}].push_back(&slot);
  for (const auto& [group, slots] : groups) update(slots, learning_rate * group.second, group.first ? weight_decay_ : 0);
}

void AdamW::update(const std::vector<const Slot*>& slots, double learning_rate, double weight_decay) {
  if (slots.empty()) return;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parameters, gradients, means, mean_squares, steps;
  for (const Slot* slot : slots) {
    parameters.push_back(part_of(slot->parameter, slot->own));
    gradients.push_back(part_of(slot->parameter.grad(), slot->own));
    means.push_back(slot->mean);
    mean_squares.push_back(slot->mean_square);
    steps.push_back(slot->step.add_(1));
  }
  at::_fused_adamw_(parameters, gradients, means, mean_squares, {}, steps, learning_rate, beta1_, beta2_, weight_decay, epsilon_,
                    /*amsgrad=*/false, /*maximize=*/false);
}

void AdamW::share_updates(const parallel::Group& group, double piece_mb) const {
  if (share_.world == 1) return;
  std::vector<at::Tensor> parameters;
  for (const Slot& slot : slots_) parameters.push_back(slot.parameter);
  parallel::share_ranges(group, parameters, ranges_, piece_mb);
}

std::vector<at::Tensor> gradient_norms(const std::vector<at::Tensor>& gradients) {
  MICROEMO_CHECK(!gradients.empty(), "no parameter has a gradient");
  const at::NoGradGuard no_grad;
  return at::_foreach_norm(gradients, 2);
}

at::Tensor clip_gradients(const std::vector<at::Tensor>& gradients, double most) {
  return clip_gradients(gradients, gradient_norms(gradients), most);
}

at::Tensor clip_gradients(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& norms, double most) {
  const at::NoGradGuard no_grad;
  const at::Tensor norm = at::linalg_vector_norm(at::stack(norms), 2);
  // The 1e-6 is that of torch.nn.utils.clip_grad_norm_.
  if (most > 0) at::_foreach_mul_(gradients, (most / (norm + 1e-6)).clamp_max(1.0));
  return norm;
}

}  // namespace microemo::train
