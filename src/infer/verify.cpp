// Shapes: R rows or pictures, L tokens, C width, V vocabulary, n positions that are compared.
#include "microemo/infer/verify.h"

#include <algorithm>
#include <map>

#include <fmt/ranges.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/tensor_source.h"
#include "microemo/model/hf_decoder.h"
#include "microemo/model/hf_vision.h"

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
  if (tensor.dim() != 2 || tensor.is_floating_point() || tensor.is_complex())
    throw recording.refuse(fmt::format("input.{} is {} [{}]; wanted: whole numbers [rows, tokens]", name,
                                       c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", ")));
  return tensor.to(at::kLong);
}

/// The first of `known` has to be there.
void check_inputs(const Recording& recording, const std::string& model, const std::vector<std::string>& known) {
  for (const auto& [name, tensor] : recording.inputs)
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw recording.refuse(fmt::format("a {} has no input '{}'", model, name));
  if (!recording.inputs.contains(known.front())) throw recording.refuse(fmt::format("input.{} is missing", known.front()));
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

/// One row of positions for all rows, or one for each.
void check_positions(const Recording& recording, const at::Tensor& ids_RL) {
  if (!recording.inputs.contains("position_ids")) return;
  const at::Tensor positions = integers(recording, "position_ids");
  if ((positions.size(0) != 1 && positions.size(0) != ids_RL.size(0)) || positions.size(1) != ids_RL.size(1))
    throw recording.refuse(fmt::format("input.position_ids is [{}], and input.input_ids [{}]", fmt::join(positions.sizes(), ", "),
                                       fmt::join(ids_RL.sizes(), ", ")));
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

at::Tensor read_pictures(const Recording& recording, const model::VitShape& shape) {
  const at::Tensor& pictures = recording.inputs.at("pixel_values");
  const std::vector<int64_t> wanted{shape.channels, shape.picture_height, shape.picture_width};
  if (pictures.dim() != 4 || !pictures.is_floating_point() || pictures.sizes().slice(1) != at::IntArrayRef(wanted))
    throw recording.refuse(fmt::format("input.pixel_values is {} [{}]; wanted: floating point [pictures, {}]",
                                       c10::toString(pictures.scalar_type()), fmt::join(pictures.sizes(), ", "),
                                       fmt::join(wanted, ", ")));
  if (pictures.numel() == 0) throw recording.refuse("input.pixel_values is empty");
  return pictures.to(at::kFloat);
}

/// What the vision side computes, by the public library's names: of CLIP as a whole they have a prefix, and the features have
/// length 1.
Tensors run_vision(const model::Vit& encoder, const at::Tensor& pictures, bool whole_clip) {
  std::vector<at::Tensor> states;
  encoder.forward(pictures, &states);
  const at::Tensor features = encoder.features(pictures);
  const std::string prefix = whole_clip ? "vision_model_output." : "";
  Tensors outputs{{prefix + "last_hidden_state", states.back()}};
  if (encoder.shape().projection > 0) outputs["image_embeds"] = whole_clip ? features / features.norm(2, -1, true) : features;
  for (size_t i = 0; i < states.size(); ++i) outputs[prefix + std::string(state_prefix) + std::to_string(i)] = states[i];
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
  if (recorded.is_complex()) throw recording.refuse(fmt::format("output.{} holds complex numbers", name));
  const auto counted = [&](const at::Tensor& t) {
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
    const bool state = name.starts_with(state_prefix);
    return std::tuple(!state, state ? name.size() : 0, name);
  };
  return rank(a.name) < rank(b.name);
}

/// Outputs of a model here, and which positions of [R, L, …] are compared; undefined: all.
struct Run {
  Tensors outputs;
  at::Tensor mask_RL;
};

Run decoder_run(const fs::path& folder, const checkpoint::HfDecoderConfig& config, const Recording& recording,
                const VerifyOptions& options) {
  check_inputs(recording, "decoder", {"input_ids", "attention_mask", "position_ids"});
  const at::Tensor ids_RL = read_ids(recording, config.vocab_size, config.max_tokens());
  const at::Tensor mask_RL = read_mask(recording, ids_RL);
  check_positions(recording, ids_RL);
  const auto weights = options.as_stored ? model::WeightType::as_stored : model::WeightType::fp32;
  const auto decoder = model::load_hf_decoder(folder, {weights, ids_RL.size(1)});
  return {run_decoder(*decoder, ids_RL), mask_RL};
}

Run clip_run(const fs::path& folder, const checkpoint::HfConfig& config, const Recording& recording,
             const VerifyOptions& options) {
  if (options.as_stored) throw ConfigError("--type stored is for decoders").hint("leave --type out for a picture encoder");
  const bool whole_clip = config.model_type == "clip";
  // Of CLIP as a whole the text side is recorded too; it is not run.
  std::vector<std::string> known{"pixel_values"};
  if (whole_clip) known.insert(known.end(), {"input_ids", "attention_mask", "position_ids"});
  check_inputs(recording, "picture encoder", known);
  const auto encoder = model::load_hf_vision(folder);
  return {run_vision(*encoder, read_pictures(recording, encoder->shape()), whole_clip), {}};
}

VerifyReport report_of(const std::string& model_type, const Run& run, const Recording& recording, double tolerance) {
  VerifyReport report{model_type, tolerance, {}, {}};
  for (const auto& [name, tensor] : recording.outputs)
    if (run.outputs.contains(name))
      report.outputs.push_back(compare(name, run.outputs.at(name), recording, run.mask_RL, tolerance));
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
  const auto* decoder = std::get_if<checkpoint::HfDecoderConfig>(&config.model);
  if (!decoder && !std::holds_alternative<checkpoint::HfClipConfig>(config.model))
    throw CheckpointError("models of type '{}' cannot be run here yet", config.model_type)
        .where(config.path)
        .hint("verify a llama, mistral, qwen2, clip or clip_vision_model folder");
  const Recording recording = read_recording(reference);
  const at::NoGradGuard no_grad;
  const Run run = decoder ? decoder_run(folder, *decoder, recording, options) : clip_run(folder, config, recording, options);
  return report_of(config.model_type, run, recording, options.tolerance);
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
