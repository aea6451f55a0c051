#include "microemo/model/hf_qformer.h"

#include "load_encoder.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* image_part = "image_qformer";

const checkpoint::HfBlipConfig& blip_config(const checkpoint::HfConfig& config) {
  if (const auto* blip = std::get_if<checkpoint::HfBlipConfig>(&config.model)) return *blip;
  throw CheckpointError("a model of type '{}' has no Q-Former", config.model_type)
      .where(config.path)
      .hint("name a folder of a blip-2 or instructblip model");
}

double parameters_of(const QFormerOptions& o) {
  const double rows = double(o.queries) + double(o.vocabulary) + (o.vocabulary > 0 ? double(o.max_text) : 0);
  return block_parameters(o.layers.layers, o.layers.width, o.layers.hidden) +
         double(o.layers.width) * (rows + double(o.layers.memory_width));
}

}  // namespace

QFormerOptions hf_qformer(const checkpoint::HfBlipConfig& config) {
  const checkpoint::HfQFormerConfig& given = config.qformer;
  QFormerOptions options = blip2_qformer();
  options.layers.layers = given.num_hidden_layers;
  options.layers.heads = given.num_attention_heads;
  options.layers.width = given.hidden_size;
  options.layers.hidden = given.intermediate_size;
  options.layers.memory_width = given.encoder_hidden_size;
  options.layers.look_every = given.cross_attention_frequency;
  options.layers.norm_epsilon = given.layer_norm_eps;
  options.queries = config.num_query_tokens;
  options.vocabulary = config.qformer_reads_text ? given.vocab_size : 0;
  options.max_text = given.max_position_embeddings;
  return options;
}

QFormerOptions blip2_qformer() { return {.layers = bert_layers(), .text_layers = true}; }

QFormerOptions instructblip_qformer(bool keep_text) {
  return {.layers = bert_layers(), .vocabulary = 30523, .text_layers = true, .keep_text = keep_text};
}

WindowQFormerOptions video_llama_qformer() {
  WindowQFormerOptions options{
      .layers = bert_layers(), .queries = 32, .positions = 32, .utterance_queries = false, .nothing_token = false};
  options.layers.layers = 2;
  options.layers.memory_width = 768;
  options.layers.look_every = 1;
  return options;
}

WindowQFormerOptions timechat_qformer() {
  WindowQFormerOptions options = video_llama_qformer();
  options.positions = 96;
  return options;
}

WindowQFormerOptions video_llama_audio_qformer() {
  WindowQFormerOptions options = video_llama_qformer();
  options.queries = options.positions = 8;
  options.layers.memory_width = 1024;
  return options;
}

std::shared_ptr<QFormer> load_hf_qformer(const fs::path& folder, bool keep_text) {
  const checkpoint::HfConfig config = checkpoint::read_hf_config(folder);
  QFormerOptions options = hf_qformer(blip_config(config));
  options.keep_text = keep_text;
  const checkpoint::NamedTensors tensors = checkpoint::read_part(folder, image_part);
  checkpoint::require_size(parameters_of(options), tensors, folder);
  return frozen_with(std::make_shared<QFormer>(options), tensors, folder);
}

std::shared_ptr<QFormer> load_qformer(const fs::path& file, const QFormerOptions& options) {
  const checkpoint::NamedTensors tensors = checkpoint::read_part(file, image_part);
  return frozen_with(std::make_shared<QFormer>(options), tensors, file);
}

std::shared_ptr<WindowQFormer> load_video_qformer(const fs::path& file, const WindowQFormerOptions& options,
                                                  const std::string& part) {
  checkpoint::NamedTensors tensors = checkpoint::read_part(file, part);
  if (const auto position = tensors.find("position"); position != tensors.end() && position->second.dim() == 2)
    if (position->second.size(0) != options.positions) position->second = nearest_positions(position->second, options.positions);
  return frozen_with(std::make_shared<WindowQFormer>(options), tensors, file);
}

}  // namespace microemo::model
