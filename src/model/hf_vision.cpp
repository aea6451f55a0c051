#include "microemo/model/hf_vision.h"

#include "load_encoder.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* part = "visual_encoder";

VitShape common_shape(const checkpoint::HfVisionConfig& config) {
  VitShape shape;
  shape.channels = config.num_channels;
  shape.picture_height = shape.picture_width = config.image_size;
  shape.patch = config.patch_size;
  shape.width = config.hidden_size;
  shape.layers = config.num_hidden_layers;
  shape.heads = config.num_attention_heads;
  shape.hidden = config.intermediate_size;
  shape.class_token = true;
  shape.norm_epsilon = shape.output_norm_epsilon = config.layer_norm_eps;
  static_assert(int(nn::Activation::gelu) == int(checkpoint::HfActivation::gelu) &&
                int(nn::Activation::quick_gelu) == int(checkpoint::HfActivation::quick_gelu));
  shape.activation = nn::Activation(int(config.hidden_act));
  return shape;
}

VitShape vision_shape(const checkpoint::HfConfig& config) {
  if (const auto* clip = std::get_if<checkpoint::HfClipConfig>(&config.model)) return clip_vision(clip->vision);
  if (const auto* blip = std::get_if<checkpoint::HfBlipConfig>(&config.model)) return eva_vision(blip->vision);
  throw CheckpointError("a model of type '{}' has no picture encoder that is known here", config.model_type)
      .where(config.path)
      .hint("name a folder of a clip, clip_vision_model, blip-2 or instructblip model");
}

double parameters_of(const VitShape& shape) {
  const double side = double(shape.picture_width) / double(shape.patch);
  return block_parameters(shape.layers, shape.width, shape.hidden) +
         double(shape.width) * (side * side + double(shape.channels) * double(shape.patch) * double(shape.patch));
}

}  // namespace

VitShape clip_vision(const checkpoint::HfVisionConfig& config) {
  VitShape shape = common_shape(config);
  shape.patch_bias = false;
  shape.input_norm = true;
  shape.projection = config.projection_dim;
  return shape;
}

VitShape eva_vision(const checkpoint::HfVisionConfig& config) {
  VitShape shape = common_shape(config);
  shape.query_value_bias = config.qkv_bias;
  shape.key_bias = false;
  return shape;
}

VitShape clip_vit_large() {
  return clip_vision({.hidden_size = 1024,
                      .intermediate_size = 4096,
                      .num_hidden_layers = 24,
                      .num_attention_heads = 16,
                      .patch_size = 14,
                      .projection_dim = 768});
}

VitShape eva_vit_giant() {
  VitShape shape = eva_vision({.hidden_size = 1408,
                               .intermediate_size = 6144,
                               .num_hidden_layers = 39,
                               .num_attention_heads = 16,
                               .patch_size = 14,
                               .layer_norm_eps = 1e-6,
                               .hidden_act = checkpoint::HfActivation::gelu});
  shape.output_norm_epsilon = 1e-5;
  return shape;
}

std::shared_ptr<Vit> load_hf_vision(const fs::path& folder) {
  VitShape shape = vision_shape(checkpoint::read_hf_config(folder));
  const checkpoint::NamedTensors tensors = checkpoint::read_part(folder, part);
  // CLIPVisionModel is saved without the projection, CLIPVisionModelWithProjection and CLIPModel with it.
  if (!tensors.contains("projection.weight")) shape.projection = 0;
  checkpoint::require_size(parameters_of(shape), tensors, folder);
  return frozen_with(std::make_shared<Vit>(shape), tensors, folder);
}

std::shared_ptr<Vit> load_eva(const fs::path& eva, const fs::path& qformer, const VitShape& shape) {
  checkpoint::NamedTensors tensors = checkpoint::read_part(eva, part);
  for (const auto& [name, tensor] : checkpoint::read_part(qformer, part))
    if (name.starts_with("norm.")) tensors.insert_or_assign(name, tensor);
  return frozen_with(std::make_shared<Vit>(shape), tensors, eva);
}

}  // namespace microemo::model
