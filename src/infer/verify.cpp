// Shapes: R rows, L tokens, C width, V vocabulary, n positions that are compared.
#include "microemo/infer/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/ranges.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/tensor_source.h"
#include "microemo/model/hf_decoder.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;
using Tensors = std::map<std::string, at::Tensor>;

constexpr std::string_view input_prefix = "input.", output_prefix = "output.", state_prefix = "hidden_states.";

/// The recorded file, its two kinds of tensors apart and without their prefix.
struct Recording {
  fs::path path;
  Tensors inputs, outputs;

  Error refuse(const std::string& message) const {
    return CheckpointError("{}", message).where(path).hint("record the file with tests/reference/record.py");
  }
};

Recording read_recording(const fs::path& path) {
  Recording recording{path, {}, {}};
  const checkpoint::TensorSource source(path);
  for (const checkpoint::TensorEntry& entry : source.entries()) {
    const std::string& name = entry.name;
    if (name.starts_with(input_prefix))
      recording.inputs[name.substr(input_prefix.size())] = source.tensor(entry);
    else if (name.starts_with(output_prefix))
      recording.outputs[name.substr(output_prefix.size())] = source.tensor(entry);
    else
      throw recording.refuse(fmt::format("'{}' is neither input.NAME nor output.NAME", name));
  }
  if (recording.inputs.empty()) throw recording.refuse("no inputs are recorded");
  if (recording.outputs.empty()) throw recording.refuse("no outputs are recorded");
  return recording;
}

at::Tensor integers(const Recording& recording, const std::string& name) {
  const at::Tensor& tensor = recording.inputs.at(name);
  if (tensor.dim() != 2 || tensor.is_floating_point())
    throw recording.refuse(fmt::format("input.{} is {} [{}]; wanted: whole numbers [rows, tokens]", name,
                                       c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", ")));
  return tensor.to(at::kLong);
}

void check_inputs(const Recording& recording) {
  const std::set<std::string> known{"input_ids", "attention_mask", "position_ids"};
  for (const auto& [name, tensor] : recording.inputs)
    if (!known.contains(name)) throw recording.refuse(fmt::format("a decoder has no input '{}'", name));
  if (!recording.inputs.contains("input_ids")) throw recording.refuse("input.input_ids is missing");
}

at::Tensor read_ids(const Recording& recording, int64_t vocabulary, int64_t max_tokens) {
  const at::Tensor ids_RL = integers(recording, "input_ids");
  if (ids_RL.numel() == 0) throw recording.refuse("input.input_ids is empty");
  if (ids_RL.lt(0).any().item<bool>() || ids_RL.ge(vocabulary).any().item<bool>())
    throw recording.refuse(fmt::format("input.input_ids holds {} to {}, and the vocabulary has {} tokens",
                                       ids_RL.min().item<int64_t>(), ids_RL.max().item<int64_t>(), vocabulary));
  if (ids_RL.size(1) > max_tokens)
    throw recording.refuse(
        fmt::format("input.input_ids has rows of {} tokens, and the model reads up to {}", ids_RL.size(1), max_tokens));
  return ids_RL;
}

/// Which positions count, [R, L] bool. Padding has to stand on the right, where a causal decoder needs no mask.
at::Tensor read_mask(const Recording& recording, const at::Tensor& ids_RL) {
  if (!recording.inputs.contains("attention_mask")) return at::ones(ids_RL.sizes(), at::kBool);
  const at::Tensor mask_RL = integers(recording, "attention_mask").ne(0);
  if (mask_RL.sizes() != ids_RL.sizes()) throw recording.refuse("input.attention_mask has not the shape of input.input_ids");
  if (!mask_RL.any().item<bool>()) throw recording.refuse("input.attention_mask leaves every position out");
  const at::Tensor later_RL = mask_RL.slice(1, 1), earlier_RL = mask_RL.slice(1, 0, -1);
  if (later_RL.logical_and(earlier_RL.logical_not()).any().item<bool>())
    throw recording.refuse("input.attention_mask pads on the left; here rows are padded on the right");
  return mask_RL;
}

void check_positions(const Recording& recording, const at::Tensor& ids_RL) {
  if (!recording.inputs.contains("position_ids")) return;
  const at::Tensor positions = integers(recording, "position_ids");
  if (!positions.eq(at::arange(ids_RL.size(1), at::kLong)).all().item<bool>())
    throw recording.refuse("input.position_ids are not 0, 1, 2, …");
}

/// What the decoder computes, by the public library's names. The last hidden state is the one after the last norm.
Tensors run_decoder(const model::Decoder& decoder, const at::Tensor& ids_RL) {
  std::vector<at::Tensor> states;
  states.push_back(decoder.forward(decoder.embed(ids_RL), nullptr, &states));
  Tensors outputs{{"logits", decoder.logits(states.back())}, {"last_hidden_state", states.back()}};
  for (size_t i = 0; i < states.size(); ++i) outputs[std::string(state_prefix) + std::to_string(i)] = states[i];
  return outputs;
}

NextTokenAgreement agreement(const at::Tensor& ours_nV, const at::Tensor& recorded_nV) {
  const at::Tensor ours = at::log_softmax(ours_nV, -1, at::kDouble), recorded = at::log_softmax(recorded_nV, -1, at::kDouble);
  const at::Tensor kl_n = (recorded.exp() * (recorded - ours)).sum(-1);
  return {kl_n.mean().item<double>(), kl_n.max().item<double>(),
          ours.argmax(-1).eq(recorded.argmax(-1)).to(at::kDouble).mean().item<double>()};
}

OutputComparison compare(const std::string& name, const at::Tensor& ours, const Recording& recording, const at::Tensor& mask_RL,
                         double tolerance) {
  const at::Tensor& recorded = recording.outputs.at(name);
  if (ours.sizes() != recorded.sizes())
    throw recording.refuse(fmt::format("output.{} has the shape [{}], and the model's is [{}]", name,
                                       fmt::join(recorded.sizes(), ", "), fmt::join(ours.sizes(), ", ")));
  const at::Tensor rows = mask_RL.flatten().nonzero().squeeze(1);
  const auto counted = [&](const at::Tensor& t) { return t.flatten(0, 1).index_select(0, rows).to(at::kFloat); };
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
    const bool state = name.starts_with(state_prefix);
    return std::tuple(!state, state ? name.size() : 0, name);
  };
  return rank(a.name) < rank(b.name);
}

}  // namespace

bool VerifyReport::within() const {
  return std::all_of(outputs.begin(), outputs.end(), [](const OutputComparison& output) { return output.within; });
}

VerifyReport verify_model(const fs::path& folder, const fs::path& reference, const VerifyOptions& options) {
  const checkpoint::HfConfig config = checkpoint::read_hf_config(folder);
  const auto* shape = std::get_if<checkpoint::HfDecoderConfig>(&config.model);
  if (!shape)
    throw CheckpointError("models of type '{}' cannot be run here yet", config.model_type)
        .where(config.path)
        .hint("verify a llama, mistral or qwen2 folder");
  const Recording recording = read_recording(reference);
  check_inputs(recording);
  const at::Tensor ids_RL = read_ids(recording, shape->vocab_size, shape->max_tokens());
  const at::Tensor mask_RL = read_mask(recording, ids_RL);
  check_positions(recording, ids_RL);

  const at::NoGradGuard no_grad;
  const auto weights = options.as_stored ? model::WeightType::as_stored : model::WeightType::fp32;
  const auto decoder = model::load_hf_decoder(folder, {weights, ids_RL.size(1)});
  const Tensors ours = run_decoder(*decoder, ids_RL);
  VerifyReport report{config.model_type, options.tolerance, {}, {}};
  for (const auto& [name, tensor] : recording.outputs)
    if (ours.contains(name))
      report.outputs.push_back(compare(name, ours.at(name), recording, mask_RL, options.tolerance));
    else
      report.not_compared.push_back(name);
  if (report.outputs.empty())
    throw recording.refuse(fmt::format("none of the recorded outputs can be compared: {}", fmt::join(report.not_compared, ", ")));
  std::sort(report.outputs.begin(), report.outputs.end(), by_number);
  return report;
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
