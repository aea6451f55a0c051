// Shapes: R rows or pictures, L tokens, V vocabulary, n positions that are compared.
#include "microemo/infer/verify.h"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/ranges.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"
#include "verify_models.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;

NextTokenAgreement agreement(const at::Tensor& ours_nV, const at::Tensor& recorded_nV) {
  const at::Tensor ours = at::log_softmax(ours_nV, -1, at::kDouble), recorded = at::log_softmax(recorded_nV, -1, at::kDouble);
  const at::Tensor kl_n = (recorded.exp() * (recorded - ours)).sum(-1);
  return {kl_n.mean().item<double>(), kl_n.max().item<double>(),
          ours.argmax(-1).eq(recorded.argmax(-1)).to(at::kDouble).mean().item<double>()};
}

OutputComparison compare(const std::string& name, const Output& output, const Recording& recording, double tolerance) {
  const auto& [ours, counted_RL] = output;
  const at::Tensor& recorded = recording.outputs.at(name);
  if (ours.sizes() != recorded.sizes())
    throw recording.refuse(fmt::format("output.{} has the shape [{}], and the model's is [{}]", name,
                                       fmt::join(recorded.sizes(), ", "), fmt::join(ours.sizes(), ", ")));
  if (recorded.is_complex()) throw recording.refuse(fmt::format("output.{} holds complex numbers", name));
  const auto counted = [&mask_RL = counted_RL](const at::Tensor& t) {
    if (!mask_RL.defined()) return t.to(at::kFloat);
    return t.flatten(0, 1).index_select(0, mask_RL.flatten().nonzero().squeeze(1)).to(at::kFloat);
  };
  const at::Tensor a = counted(ours), b = counted(recorded);
  OutputComparison result{name, recorded.sizes().vec(), (a - b).abs().max().item<double>(), 0, std::nullopt, false};
  result.max_relative = result.max_absolute / std::max(b.abs().max().item<double>(), 1e-30);
  // Written so that NaN is not within.
  result.within = result.max_relative <= tolerance;
  if (name == "logits") result.next_token = agreement(a, b);
  return result;
}

/// hidden_states.2 before hidden_states.10.
bool by_number(const OutputComparison& a, const OutputComparison& b) {
  const auto rank = [](const std::string& name) {
    const size_t digits = name.size() - std::min(name.size(), name.find_last_not_of("0123456789") + 1);
    return std::tuple(name.substr(0, name.size() - digits), digits, name);
  };
  return rank(a.name) < rank(b.name);
}

/// A state that the model does not have, or a name with a slip, would otherwise count as one that is not compared.
void check_names(const checkpoint::HfConfig& config, const Outputs& ours, const Recording& recording) {
  const std::vector<std::string> aside = outputs_left_aside(config);
  std::vector<std::string_view> known(aside.begin(), aside.end());
  for (const auto& [name, output] : ours) known.push_back(name);
  for (const auto& [name, tensor] : recording.outputs) {
    const bool is_known = std::any_of(known.begin(), known.end(), [&name](std::string_view one) {
      return one.ends_with('.') ? name.starts_with(one) : name == one;
    });
    if (!is_known)
      throw CheckpointError("a model of type '{}' and this size has no output '{}'", config.model_type, name)
          .where(recording.path)
          .hint("the nearest names are " + near_names(name, known));
  }
}

VerifyReport report_of(const std::string& model_type, const Outputs& ours, const Recording& recording, double tolerance) {
  VerifyReport report{model_type, tolerance, {}, {}};
  for (const auto& [name, tensor] : recording.outputs)
    if (ours.contains(name))
      report.outputs.push_back(compare(name, ours.at(name), recording, tolerance));
    else
      report.not_compared.push_back(name);
  if (report.outputs.empty())
    throw recording.refuse(fmt::format("none of the recorded outputs can be compared: {}", fmt::join(report.not_compared, ", ")));
  std::sort(report.outputs.begin(), report.outputs.end(), by_number);
  return report;
}

}  // namespace

bool VerifyReport::within() const {
  return std::all_of(outputs.begin(), outputs.end(), [](const OutputComparison& output) { return output.within; });
}

VerifyReport verify_model(const fs::path& folder, const fs::path& reference, const VerifyOptions& options) {
  const checkpoint::HfConfig config = checkpoint::read_hf_config(folder);
  const Recording recording = read_recording(reference);
  const at::NoGradGuard no_grad;
  const Outputs ours = run_model(folder, config, recording, options);
  check_names(config, ours, recording);
  return report_of(config.model_type, ours, recording, options.tolerance);
}

Json to_json(const VerifyReport& report) {
  Json outputs = Json::array();
  for (const OutputComparison& output : report.outputs) {
    Json row = {{"name", output.name},
                {"shape", output.shape},
                {"max_absolute", output.max_absolute},
                {"max_relative", output.max_relative},
                {"within", output.within}};
    if (output.next_token)
      row.update({{"mean_kl", output.next_token->mean_kl},
                  {"max_kl", output.next_token->max_kl},
                  {"top1_agreement", output.next_token->top1}});
    outputs.push_back(row);
  }
  return {{"model_type", report.model_type},
          {"tolerance", report.tolerance},
          {"within", report.within()},
          {"outputs", outputs},
          {"not_compared", report.not_compared}};
}

}  // namespace microemo::infer
