#include "microemo/model/hf_vision.h"

#include "microemo/base/error.h"
#include "part_tensors.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;

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

/// Before anything is allocated: a config of another model may ask for far more than its files hold.
void check_size(const VitShape& shape, const checkpoint::NamedTensors& tensors, const fs::path& folder) {
  double held = 0;
  for (const auto& [name, tensor] : tensors) held += double(tensor.numel());
  const double width = double(shape.width), side = double(shape.picture_width) / double(shape.patch);
  const double asked = double(shape.layers) * width * (4 * width + 2 * double(shape.hidden)) + side * side * width +
                       double(shape.channels) * double(shape.patch) * double(shape.patch) * width;
  if (asked > 4 * held + 1e6)
    throw CheckpointError("config.json asks for {:.3g} parameters, and the files hold {:.3g}", asked, held)
        .where(folder)
        .hint("put the config.json of this model beside its weights");
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
  const checkpoint::NamedTensors tensors = part_tensors(folder, "visual_encoder");
  // CLIPVisionModel is saved without the projection, CLIPVisionModelWithProjection and CLIPModel with it.
  if (!tensors.contains("projection.weight")) shape.projection = 0;
  check_size(shape, tensors, folder);
  auto encoder = std::make_shared<Vit>(shape);
  load_part(*encoder, tensors, folder);
  return encoder;
}

std::shared_ptr<Vit> load_eva(const fs::path& eva, const fs::path& qformer, const VitShape& shape) {
  checkpoint::NamedTensors tensors = part_tensors(eva, "visual_encoder");
  for (const auto& [name, tensor] : part_tensors(qformer, "visual_encoder"))
    if (name.starts_with("norm.")) tensors.insert_or_assign(name, tensor);
  auto encoder = std::make_shared<Vit>(shape);
  load_part(*encoder, tensors, eva);
  return encoder;
}

}  // namespace microemo::model
