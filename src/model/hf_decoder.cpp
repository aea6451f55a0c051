#include "microemo/model/hf_decoder.h"

#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/part.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;
using checkpoint::NamedTensors;

nn::RotaryScaling rope_scaling(const checkpoint::HfRopeScaling& given) {
  static_assert(int(nn::RotaryScalingKind::none) == int(checkpoint::HfRopeType::none) &&
                int(nn::RotaryScalingKind::linear) == int(checkpoint::HfRopeType::linear) &&
                int(nn::RotaryScalingKind::llama3) == int(checkpoint::HfRopeType::llama3));
  return {nn::RotaryScalingKind(int(given.rope_type)), given.factor, given.low_freq_factor, given.high_freq_factor,
          given.original_max_position_embeddings};
}

double parameters_of(const checkpoint::HfDecoderConfig& c) {
  const double attention =
      double(c.hidden_size) * double(c.head_dim) * double(2 * c.num_attention_heads + 2 * c.num_key_value_heads);
  const double block = attention + 3.0 * double(c.hidden_size) * double(c.intermediate_size);
  return double(c.num_hidden_layers) * block + double(c.vocab_size) * double(c.hidden_size);
}

/// Lets the parameters be the given tensors, of which names and shapes are known to fit.
void share(torch::nn::Module& module, const NamedTensors& tensors) {
  for (auto& item : module.named_parameters()) item.value().set_data(tensors.at(item.key()));
}

}  // namespace

DecoderOptions decoder_options(const checkpoint::HfDecoderConfig& config, int64_t max_tokens) {
  DecoderOptions options;
  options.vocabulary = config.vocab_size;
  options.width = config.hidden_size;
  options.layers = config.num_hidden_layers;
  options.heads = config.num_attention_heads;
  options.key_value_heads = config.num_key_value_heads;
  options.head_width = config.head_dim;
  options.hidden = config.intermediate_size;
  options.max_tokens = max_tokens > 0 ? std::min(max_tokens, config.max_tokens()) : config.max_tokens();
  options.rope_theta = config.rope_theta;
  options.rope_scaling = rope_scaling(config.rope_scaling);
  options.norm_epsilon = config.rms_norm_eps;
  options.utterance_embedding = false;
  options.tied_output = config.tie_word_embeddings;
  options.query_key_value_bias = config.query_key_value_bias;
  options.output_bias = config.output_bias;
  return options;
}

std::shared_ptr<Decoder> load_hf_decoder(const fs::path& folder, const HfDecoderLoading& loading) {
  const checkpoint::HfDecoderConfig config = checkpoint::read_hf_decoder_config(folder);
  NamedTensors tensors = checkpoint::read_part(folder, "decoder", "llama");
  // Files of tied models may hold the token table a second time.
  if (config.tie_word_embeddings) tensors.erase("output.weight");
  checkpoint::require_size(parameters_of(config), tensors, folder);
  auto decoder = std::make_shared<Decoder>(decoder_options(config, loading.max_tokens), config.vocab_size);
  for (at::Tensor& parameter : decoder->parameters()) parameter.requires_grad_(false);
  const checkpoint::LoadOptions options{.source = folder, .check_only = loading.weights == WeightType::as_stored};
  load_into(*decoder, tensors, options);
  if (loading.weights == WeightType::as_stored) share(*decoder, tensors);
  return decoder;
}

}  // namespace microemo::model
