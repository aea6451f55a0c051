#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "microemo/base/config.h"

// config.json of the public models that MicroEmo can take weights from, typed. Members have the names that Hugging Face gives
// them; a key that is absent has the value that the public library would take. Keys that do not bear on the weights or the
// computation are passed over.

namespace microemo::checkpoint {

enum class HfDecoderActivation { silu };
constexpr auto names_of(HfDecoderActivation) { return std::array{std::pair{HfDecoderActivation::silu, "silu"}}; }

enum class HfActivation { gelu, quick_gelu };
constexpr auto names_of(HfActivation) {
  return std::array{std::pair{HfActivation::gelu, "gelu"}, std::pair{HfActivation::quick_gelu, "quick_gelu"}};
}

enum class HfGelu { gelu };
constexpr auto names_of(HfGelu) { return std::array{std::pair{HfGelu::gelu, "gelu"}}; }

enum class HfPositions { absolute };
constexpr auto names_of(HfPositions) { return std::array{std::pair{HfPositions::absolute, "absolute"}}; }

enum class HfRopeType { none, linear, llama3 };
constexpr auto names_of(HfRopeType) {
  return std::array{std::pair{HfRopeType::none, "default"}, std::pair{HfRopeType::linear, "linear"},
                    std::pair{HfRopeType::llama3, "llama3"}};
}

/// "rope_scaling", "rope_parameters" in newer files.
struct HfRopeScaling {
  HfRopeType rope_type = HfRopeType::none;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_position_embeddings = 8192;
};
template <class Visitor>
void describe(Visitor& option, HfRopeScaling& o) {
  option("rope_type", o.rope_type, "How the angles of long texts are scaled.");
  option("factor", o.factor, "Positions are divided by it.").min(1);
  option("low_freq_factor", o.low_freq_factor, "llama3: wavelengths over the original length by this are scaled.").above(0);
  option("high_freq_factor", o.high_freq_factor, "llama3: those under the original length by this are kept.").above(0);
  option("original_max_position_embeddings", o.original_max_position_embeddings, "llama3: the original length.").min(1);
}

/// LLaMA 1 to 3.1 and Vicuna ("llama"), Mistral ("mistral"), Qwen2 and Qwen2.5 ("qwen2").
struct HfDecoderConfig {
  std::string model_type;
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0, num_attention_heads = 0;
  int64_t num_key_value_heads = 0, head_dim = 0;  ///< as many heads as there are, hidden_size / heads where a file has none
  int64_t vocab_size = 0, max_position_embeddings = 2048;
  int64_t sliding_window = 0;  ///< 0: attention sees the whole text
  double rms_norm_eps = 1e-6, rope_theta = 10000;
  HfRopeScaling rope_scaling;
  HfDecoderActivation hidden_act = HfDecoderActivation::silu;
  bool tie_word_embeddings = false;                        ///< the output rows are those of the token table; no lm_head.weight
  bool query_key_value_bias = false, output_bias = false;  ///< from attention_bias; Qwen2 has the first three
  int64_t bos_token_id = -1, pad_token_id = -1;            ///< -1: none
  std::vector<int64_t> eos_token_id;                       ///< generation_config.json goes before config.json
  std::string torch_dtype = "float32";

  /// Longest text for which the model computes what the public one does.
  int64_t max_tokens() const {
    return sliding_window > 0 && sliding_window < max_position_embeddings ? sliding_window : max_position_embeddings;
  }
};

/// The vision side of CLIP, and the ViT of BLIP-2 and InstructBLIP (EVA ViT-g).
struct HfVisionConfig {
  int64_t hidden_size = 768, intermediate_size = 3072, num_hidden_layers = 12, num_attention_heads = 12;
  int64_t image_size = 224, patch_size = 32, num_channels = 3, projection_dim = 512;
  double layer_norm_eps = 1e-5;
  HfActivation hidden_act = HfActivation::quick_gelu;
  bool qkv_bias = true;
};
template <class Visitor>
void describe(Visitor& option, HfVisionConfig& o) {
  option("hidden_size", o.hidden_size, "Width.").min(1).max(10000000);
  option("intermediate_size", o.intermediate_size, "Width inside the MLP.").min(1).max(10000000);
  option("num_hidden_layers", o.num_hidden_layers, "Blocks.").min(1).max(10000);
  option("num_attention_heads", o.num_attention_heads, "Heads.").min(1).max(100000);
  option("image_size", o.image_size, "Side of the picture.").min(1).max(100000);
  option("patch_size", o.patch_size, "Side of a patch.").min(1).max(100000);
  option("num_channels", o.num_channels, "Channels of the picture.").min(3).max(3);
  option("projection_dim", o.projection_dim, "Width of CLIP's common space.").min(1).max(10000000);
  option("layer_norm_eps", o.layer_norm_eps, "Epsilon of LayerNorm.").above(0);
  option("hidden_act", o.hidden_act, "Activation.");
  option("qkv_bias", o.qkv_bias, "BLIP-2: queries and values have biases.");
}

struct HfQFormerConfig {
  int64_t vocab_size = 30522, hidden_size = 768, num_hidden_layers = 12, num_attention_heads = 12, intermediate_size = 3072;
  int64_t max_position_embeddings = 512, cross_attention_frequency = 2, encoder_hidden_size = 1408;
  double layer_norm_eps = 1e-12;
  HfGelu hidden_act = HfGelu::gelu;
  HfPositions position_embedding_type = HfPositions::absolute;
};
template <class Visitor>
void describe(Visitor& option, HfQFormerConfig& o) {
  option("vocab_size", o.vocab_size, "Rows of the token table.").min(1).max(100000000);
  option("hidden_size", o.hidden_size, "Width.").min(1).max(10000000);
  option("num_hidden_layers", o.num_hidden_layers, "Layers.").min(1).max(10000);
  option("num_attention_heads", o.num_attention_heads, "Heads.").min(1).max(100000);
  option("intermediate_size", o.intermediate_size, "Width inside the MLPs.").min(1).max(10000000);
  option("max_position_embeddings", o.max_position_embeddings, "Longest text.").min(1).max(16777216);
  option("cross_attention_frequency", o.cross_attention_frequency, "Every how many layers look at the picture.")
      .min(1)
      .max(100000);
  option("encoder_hidden_size", o.encoder_hidden_size, "Width of what they look at.").min(1).max(10000000);
  option("layer_norm_eps", o.layer_norm_eps, "Epsilon of LayerNorm.").above(0);
  option("hidden_act", o.hidden_act, "Activation.");
  option("position_embedding_type", o.position_embedding_type, "How places in a text are told.");
}

struct HfClipConfig {
  HfVisionConfig vision;
};

/// "blip-2" (queries alone) and "instructblip" (queries and text).
struct HfBlipConfig {
  HfVisionConfig vision;
  HfQFormerConfig qformer;
  int64_t num_query_tokens = 32;
  bool qformer_reads_text = false;
  std::string text_model_type;        ///< "llama", "t5", "opt"
  std::vector<HfDecoderConfig> text;  ///< one when the language model is a decoder that is supported, else none
};

enum class HfConvNorm { group, layer };
constexpr auto names_of(HfConvNorm) {
  return std::array{std::pair{HfConvNorm::group, "group"}, std::pair{HfConvNorm::layer, "layer"}};
}

struct HfHubertConfig {
  int64_t hidden_size = 768, intermediate_size = 3072, num_hidden_layers = 12, num_attention_heads = 12;
  std::vector<int64_t> conv_dim = {512, 512, 512, 512, 512, 512, 512}, conv_kernel = {10, 3, 3, 3, 3, 2, 2},
                       conv_stride = {5, 2, 2, 2, 2, 2, 2};
  int64_t num_conv_pos_embeddings = 128, num_conv_pos_embedding_groups = 16;
  HfConvNorm feat_extract_norm = HfConvNorm::group;
  bool conv_bias = false, feat_proj_layer_norm = true, do_stable_layer_norm = false, conv_pos_batch_norm = false;
  double layer_norm_eps = 1e-5;
  HfGelu hidden_act = HfGelu::gelu, feat_extract_activation = HfGelu::gelu;
};
template <class Visitor>
void describe(Visitor& option, HfHubertConfig& o) {
  option("hidden_size", o.hidden_size, "Width.").min(1).max(10000000);
  option("intermediate_size", o.intermediate_size, "Width inside the MLP.").min(1).max(10000000);
  option("num_hidden_layers", o.num_hidden_layers, "Blocks.").min(1).max(10000);
  option("num_attention_heads", o.num_attention_heads, "Heads.").min(1).max(100000);
  option("conv_dim", o.conv_dim, "Channels of the convolutions over the waveform.").min(1).max(1000000);
  option("conv_kernel", o.conv_kernel, "Their kernels.").min(1).max(1000000);
  option("conv_stride", o.conv_stride, "Their strides.").min(1).max(1000000);
  option("num_conv_pos_embeddings", o.num_conv_pos_embeddings, "Kernel of the convolution that gives positions.")
      .min(1)
      .max(1000000);
  option("num_conv_pos_embedding_groups", o.num_conv_pos_embedding_groups, "Its groups.").min(1).max(1000000);
  option("feat_extract_norm", o.feat_extract_norm, "Which norm follows the convolutions.");
  option("conv_bias", o.conv_bias, "The convolutions have biases.");
  option("feat_proj_layer_norm", o.feat_proj_layer_norm, "A norm goes before the projection.");
  option("do_stable_layer_norm", o.do_stable_layer_norm, "Norms stand before attention and MLP, and one at the end.");
  option("conv_pos_batch_norm", o.conv_pos_batch_norm, "Not supported.");
  option("layer_norm_eps", o.layer_norm_eps, "Epsilon of LayerNorm.").above(0);
  option("hidden_act", o.hidden_act, "Activation.");
  option("feat_extract_activation", o.feat_extract_activation, "Activation of the convolutions.");
}

/// The encoder.
struct HfWhisperConfig {
  int64_t d_model = 384, encoder_layers = 4, encoder_attention_heads = 6, encoder_ffn_dim = 1536;
  int64_t num_mel_bins = 80, max_source_positions = 1500;
  HfGelu activation_function = HfGelu::gelu;
};
template <class Visitor>
void describe(Visitor& option, HfWhisperConfig& o) {
  option("d_model", o.d_model, "Width.").min(1).max(10000000);
  option("encoder_layers", o.encoder_layers, "Blocks.").min(1).max(10000);
  option("encoder_attention_heads", o.encoder_attention_heads, "Heads.").min(1).max(100000);
  option("encoder_ffn_dim", o.encoder_ffn_dim, "Width inside the MLP.").min(1).max(10000000);
  option("num_mel_bins", o.num_mel_bins, "Mel bands.").min(1).max(100000);
  option("max_source_positions", o.max_source_positions, "Tokens of 30 s.").min(1).max(16777216);
  option("activation_function", o.activation_function, "Activation.");
}

struct HfBertConfig {
  int64_t vocab_size = 30522, hidden_size = 768, num_hidden_layers = 12, num_attention_heads = 12, intermediate_size = 3072;
  int64_t max_position_embeddings = 512, type_vocab_size = 2;
  double layer_norm_eps = 1e-12;
  HfGelu hidden_act = HfGelu::gelu;
  HfPositions position_embedding_type = HfPositions::absolute;
};
template <class Visitor>
void describe(Visitor& option, HfBertConfig& o) {
  option("vocab_size", o.vocab_size, "Rows of the token table.").min(1);
  option("hidden_size", o.hidden_size, "Width.").min(1);
  option("num_hidden_layers", o.num_hidden_layers, "Blocks.").min(1);
  option("num_attention_heads", o.num_attention_heads, "Heads.").min(1);
  option("intermediate_size", o.intermediate_size, "Width inside the MLPs.").min(1);
  option("max_position_embeddings", o.max_position_embeddings, "Longest text.").min(1);
  option("type_vocab_size", o.type_vocab_size, "Kinds of tokens.").min(1);
  option("layer_norm_eps", o.layer_norm_eps, "Epsilon of LayerNorm.").above(0);
  option("hidden_act", o.hidden_act, "Activation.");
  option("position_embedding_type", o.position_embedding_type, "How positions are given.");
}

struct HfConfig {
  std::filesystem::path path;
  std::string model_type;
  std::variant<HfDecoderConfig, HfClipConfig, HfBlipConfig, HfHubertConfig, HfWhisperConfig, HfBertConfig> model;
};

/// Reads FOLDER/config.json, or the file itself. Throws Error(checkpoint) with file and line: a missing or broken file, a
/// model_type that is not supported (naming those that are), quantised weights, a missing key, a value of the wrong type or
/// outside its limits, an activation, scaling of positions or other choice that the model cannot compute, and heads, patches or
/// groups that do not divide.
HfConfig read_hf_config(const std::filesystem::path& folder_or_file);

/// The same, and Error(checkpoint) unless it is one of the decoders.
HfDecoderConfig read_hf_decoder_config(const std::filesystem::path& folder_or_file);

}  // namespace microemo::checkpoint
