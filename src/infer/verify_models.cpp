// Shapes: R rows, sounds or pictures, L tokens, samples or frames, C width, V vocabulary, Q queries.
#include "verify_models.h"

#include <algorithm>
#include <variant>

#include <fmt/ranges.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>

#include "microemo/checkpoint/tensor_source.h"
#include "microemo/model/bert.h"
#include "microemo/model/hf_decoder.h"
#include "microemo/model/hf_qformer.h"
#include "microemo/model/hf_vision.h"
#include "microemo/model/hubert.h"
#include "microemo/model/whisper_encoder.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view input_prefix = "input.", output_prefix = "output.";

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

void require_below(const Recording& recording, const std::string& name, const at::Tensor& ids_RL, int64_t count,
                   const std::string& limit) {
  if (ids_RL.lt(0).any().item<bool>() || ids_RL.ge(count).any().item<bool>())
    throw recording.refuse(
        fmt::format("input.{} holds {} to {}, and {}", name, ids_RL.min().item<int64_t>(), ids_RL.max().item<int64_t>(), limit));
}

at::Tensor read_ids(const Recording& recording, const std::string& name, int64_t vocabulary, int64_t max_tokens) {
  const at::Tensor ids_RL = integers(recording, name);
  if (ids_RL.numel() == 0) throw recording.refuse(fmt::format("input.{} is empty", name));
  require_below(recording, name, ids_RL, vocabulary, fmt::format("the vocabulary has {} tokens", vocabulary));
  if (ids_RL.size(1) > max_tokens)
    throw recording.refuse(
        fmt::format("input.{} has rows of {} tokens, and the model reads up to {}", name, ids_RL.size(1), max_tokens));
  return ids_RL;
}

/// Which positions of [R, L] an input counts, bool; all without it. Padding has to stand on the right.
at::Tensor read_mask(const Recording& recording, const std::string& name, const std::string& of) {
  const at::IntArrayRef shape = recording.inputs.at(of).sizes();
  if (!recording.inputs.contains(name)) return at::ones(shape, at::kBool);
  const at::Tensor mask_RL = integers(recording, name).ne(0);
  if (mask_RL.sizes() != shape) throw recording.refuse(fmt::format("input.{} has not the shape of input.{}", name, of));
  if (!mask_RL.any().item<bool>()) throw recording.refuse(fmt::format("input.{} leaves every position out", name));
  const at::Tensor later_RL = mask_RL.slice(1, 1), earlier_RL = mask_RL.slice(1, 0, -1);
  if (later_RL.logical_and(earlier_RL.logical_not()).any().item<bool>())
    throw recording.refuse(fmt::format("input.{} pads on the left; here rows are padded on the right", name));
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

/// Adds a list of hidden states and the last one of all.
void add_states(Outputs& outputs, const std::string& prefix, const std::vector<at::Tensor>& states, const at::Tensor& last,
                const at::Tensor& counted_RL = {}) {
  outputs[prefix + "last_hidden_state"] = {last, counted_RL};
  for (size_t i = 0; i < states.size(); ++i) outputs[fmt::format("{}hidden_states.{}", prefix, i)] = {states[i], counted_RL};
}

Outputs run_decoder(const fs::path& folder, const checkpoint::HfDecoderConfig& config, const Recording& recording,
                    const VerifyOptions& options) {
  check_inputs(recording, "decoder", {"input_ids", "attention_mask", "position_ids"});
  const at::Tensor ids_RL = read_ids(recording, "input_ids", config.vocab_size, config.max_tokens());
  const at::Tensor mask_RL = read_mask(recording, "attention_mask", "input_ids");
  check_positions(recording, ids_RL);
  const auto weights = options.as_stored ? model::WeightType::as_stored : model::WeightType::fp32;
  const auto decoder = model::load_hf_decoder(folder, {weights, ids_RL.size(1)});
  // The last hidden state is the one after the last norm.
  std::vector<at::Tensor> states;
  states.push_back(decoder->forward(decoder->embed(ids_RL), nullptr, &states));
  Outputs outputs{{"logits", {decoder->logits(states.back()), mask_RL}}};
  add_states(outputs, "", states, states.back(), mask_RL);
  return outputs;
}

/// Floating point of these lengths; -1 any, but not 0.
at::Tensor read_values(const Recording& recording, const std::string& name, const std::string& wanted,
                       const std::vector<int64_t>& lengths) {
  const at::Tensor& values = recording.inputs.at(name);
  bool fits = values.dim() == int64_t(lengths.size()) && values.is_floating_point();
  for (size_t i = 0; fits && i < lengths.size(); ++i) fits = lengths[i] == -1 || values.size(int64_t(i)) == lengths[i];
  if (!fits)
    throw recording.refuse(fmt::format("input.{} is {} [{}]; wanted: floating point {}", name,
                                       c10::toString(values.scalar_type()), fmt::join(values.sizes(), ", "), wanted));
  if (values.numel() == 0) throw recording.refuse(fmt::format("input.{} is empty", name));
  return values.to(at::kFloat);
}

at::Tensor read_pictures(const Recording& recording, const model::VitShape& shape) {
  const std::vector<int64_t> lengths{-1, shape.channels, shape.picture_height, shape.picture_width};
  const std::string wanted = fmt::format("[pictures, {}]", fmt::join(lengths.begin() + 1, lengths.end(), ", "));
  return read_values(recording, "pixel_values", wanted, lengths);
}

/// Of CLIP as a whole the names have a prefix, the features have length 1, and the text side is recorded too; it is not run.
Outputs run_clip(const fs::path& folder, const Recording& recording, bool whole) {
  std::vector<std::string> known{"pixel_values"};
  if (whole) known.insert(known.end(), {"input_ids", "attention_mask", "position_ids"});
  check_inputs(recording, "picture encoder", known);
  const auto encoder = model::load_hf_vision(folder);
  const at::Tensor pictures = read_pictures(recording, encoder->shape());
  std::vector<at::Tensor> states;
  encoder->forward(pictures, &states);
  Outputs outputs;
  add_states(outputs, whole ? "vision_model_output." : "", states, states.back());
  const at::Tensor features = encoder->features(pictures);
  if (encoder->shape().projection > 0) outputs["image_embeds"] = {whole ? features / features.norm(2, -1, true) : features, {}};
  return outputs;
}

/// Text of InstructBLIP's Q-Former for so many pictures, with -1 for padding.
at::Tensor read_instruction(const Recording& recording, const checkpoint::HfQFormerConfig& config, int64_t pictures) {
  constexpr const char* name = "qformer_input_ids";
  if (!recording.inputs.contains(name)) throw recording.refuse(fmt::format("input.{} is missing", name));
  const at::Tensor ids_RL = read_ids(recording, name, config.vocab_size, config.max_position_embeddings);
  if (ids_RL.size(0) != pictures)
    throw recording.refuse(fmt::format("input.{} has {} rows, and there are {} pictures", name, ids_RL.size(0), pictures));
  return ids_RL.masked_fill(read_mask(recording, "qformer_attention_mask", name).logical_not(), -1);
}

/// The picture encoder and the Q-Former; the language model behind them is not run.
Outputs run_blip(const fs::path& folder, const checkpoint::HfBlipConfig& config, const Recording& recording) {
  std::vector<std::string> known{"pixel_values", "input_ids", "attention_mask"};
  if (config.qformer_reads_text) known.insert(known.end(), {"qformer_input_ids", "qformer_attention_mask"});
  check_inputs(recording, "BLIP-2", known);
  const auto encoder = model::load_hf_vision(folder);
  const at::Tensor pictures = read_pictures(recording, encoder->shape());
  std::vector<at::Tensor> states;
  const at::Tensor image = encoder->forward(pictures, &states);
  Outputs outputs;
  add_states(outputs, "vision_outputs.", states, image);
  at::Tensor text_RL, counted_RL;
  if (config.qformer_reads_text) {
    text_RL = read_instruction(recording, config.qformer, pictures.size(0));
    counted_RL = at::cat({at::ones({text_RL.size(0), config.num_query_tokens}, at::kBool), text_RL.ge(0)}, 1);
  }
  states.clear();
  model::load_hf_qformer(folder, /*keep_text=*/true)->forward(image, text_RL, &states);
  add_states(outputs, "qformer_outputs.", states, states.back(), counted_RL);
  return outputs;
}

Outputs run_hubert(const fs::path& folder, const Recording& recording) {
  check_inputs(recording, "HuBERT", {"input_values", "attention_mask"});
  const auto encoder = model::load_hubert(folder);
  const at::Tensor samples_RL = read_values(recording, "input_values", "[sounds, samples]", {-1, -1});
  const bool padded = recording.inputs.contains("attention_mask");
  const at::Tensor lengths = read_mask(recording, "attention_mask", "input_values").sum(1);
  std::vector<int64_t> samples;
  for (int64_t row = 0; row < lengths.size(0); ++row) {
    samples.push_back(lengths[row].item<int64_t>());
    if (samples.back() < encoder->shortest())
      throw recording.refuse(fmt::format("row {} of input.input_values has {} samples, and a frame needs {}", row, samples.back(),
                                         encoder->shortest()));
  }
  // Without a mask the public library hears padding.
  const model::HubertStates found = encoder->forward(samples_RL, padded ? samples : std::vector<int64_t>());
  Outputs outputs;
  add_states(outputs, "", found.states_BFC, found.states_BFC.back(), padded ? found.visible_BF : at::Tensor());
  return outputs;
}

/// The encoder; the decoder behind it is not run.
Outputs run_whisper(const fs::path& folder, const checkpoint::HfWhisperConfig& config, const Recording& recording) {
  check_inputs(recording, "Whisper encoder", {"input_features", "attention_mask", "decoder_input_ids", "decoder_attention_mask"});
  const int64_t frames = 2 * config.max_source_positions;
  const std::string wanted = fmt::format("[sounds, {}, {}]", config.num_mel_bins, frames);
  const at::Tensor mel = read_values(recording, "input_features", wanted, {-1, config.num_mel_bins, frames});
  const std::vector<at::Tensor> states = model::load_whisper_encoder(folder)->forward(mel);
  Outputs outputs;
  add_states(outputs, "encoder_", states, states.back());
  return outputs;
}

/// Numbers of the two kinds of tokens, or nothing.
at::Tensor read_types(const Recording& recording, const at::Tensor& ids_RL, int64_t kinds) {
  constexpr const char* name = "token_type_ids";
  if (!recording.inputs.contains(name)) return {};
  const at::Tensor types_RL = integers(recording, name);
  if (types_RL.sizes() != ids_RL.sizes())
    throw recording.refuse(fmt::format("input.{} is [{}], and input.input_ids [{}]", name, fmt::join(types_RL.sizes(), ", "),
                                       fmt::join(ids_RL.sizes(), ", ")));
  require_below(recording, name, types_RL, kinds, fmt::format("the model has {} kinds of tokens", kinds));
  return types_RL;
}

/// What its heads make of the last state is not computed.
Outputs run_bert(const fs::path& folder, const checkpoint::HfBertConfig& config, const Recording& recording) {
  check_inputs(recording, "BERT", {"input_ids", "attention_mask", "token_type_ids", "position_ids"});
  const at::Tensor ids_RL = read_ids(recording, "input_ids", config.vocab_size, config.max_position_embeddings);
  const at::Tensor mask_RL = read_mask(recording, "attention_mask", "input_ids");
  check_positions(recording, ids_RL);
  const at::Tensor types_RL = read_types(recording, ids_RL, config.type_vocab_size);
  const std::vector<at::Tensor> states = model::load_bert(folder)->forward(ids_RL, mask_RL, types_RL);
  Outputs outputs;
  add_states(outputs, "", states, states.back(), mask_RL);
  return outputs;
}

}  // namespace

Error Recording::refuse(const std::string& message) const {
  return CheckpointError("{}", message).where(path).hint("record the file with tests/reference/record.py");
}

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

Outputs run_model(const fs::path& folder, const checkpoint::HfConfig& config, const Recording& recording,
                  const VerifyOptions& options) {
  if (const auto* decoder = std::get_if<checkpoint::HfDecoderConfig>(&config.model))
    return run_decoder(folder, *decoder, recording, options);
  if (options.as_stored) throw ConfigError("--type stored is for decoders").hint("leave --type out for an encoder");
  if (const auto* blip = std::get_if<checkpoint::HfBlipConfig>(&config.model)) return run_blip(folder, *blip, recording);
  if (const auto* whisper = std::get_if<checkpoint::HfWhisperConfig>(&config.model))
    return run_whisper(folder, *whisper, recording);
  if (const auto* bert = std::get_if<checkpoint::HfBertConfig>(&config.model)) return run_bert(folder, *bert, recording);
  if (std::holds_alternative<checkpoint::HfHubertConfig>(config.model)) return run_hubert(folder, recording);
  return run_clip(folder, recording, config.model_type == "clip");
}

std::vector<std::string> outputs_left_aside(const checkpoint::HfConfig& config) {
  struct Names {
    std::vector<std::string> operator()(const checkpoint::HfDecoderConfig&) const {
      return {"attentions.", "past_key_values.", "loss"};
    }
    std::vector<std::string> operator()(const checkpoint::HfClipConfig&) const {
      return {"logits_per_image",
              "logits_per_text",
              "text_embeds",
              "text_model_output.",
              "pooler_output",
              "attentions.",
              "vision_model_output.pooler_output",
              "vision_model_output.attentions.",
              "loss"};
    }
    std::vector<std::string> operator()(const checkpoint::HfBlipConfig&) const {
      return {"logits",
              "language_model_outputs.",
              "vision_outputs.pooler_output",
              "vision_outputs.attentions.",
              "qformer_outputs.pooler_output",
              "qformer_outputs.attentions.",
              "qformer_outputs.cross_attentions.",
              "loss"};
    }
    std::vector<std::string> operator()(const checkpoint::HfHubertConfig&) const { return {"attentions.", "logits", "loss"}; }
    std::vector<std::string> operator()(const checkpoint::HfWhisperConfig&) const {
      return {"last_hidden_state",   "decoder_hidden_states.", "logits",           "encoder_attentions.",
              "decoder_attentions.", "cross_attentions.",      "past_key_values.", "loss"};
    }
    std::vector<std::string> operator()(const checkpoint::HfBertConfig&) const {
      return {"pooler_output",    "logits", "prediction_logits", "seq_relationship_logits", "attentions.", "cross_attentions.",
              "past_key_values.", "loss"};
    }
  };
  return std::visit(Names(), config.model);
}

}  // namespace microemo::infer
