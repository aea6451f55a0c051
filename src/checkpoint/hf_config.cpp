#include "microemo/checkpoint/hf_config.h"

#include <functional>
#include <map>

#include "hf_reader.h"
#include "microemo/base/error.h"
#include "microemo/base/nearest.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;

/// The keys of a decoder as they stand in the file, before what depends on the model's type.
struct DecoderKeys {
  HfDecoderConfig& config;
  bool attention_bias = false, mlp_bias = false, use_sliding_window = false;
};

template <class Visitor>
void describe(Visitor& option, DecoderKeys& keys) {
  HfDecoderConfig& o = keys.config;
  option("hidden_size", o.hidden_size, "Width.").min(1).max(1000000);
  option("intermediate_size", o.intermediate_size, "Width inside the MLP.").min(1).max(10000000);
  option("num_hidden_layers", o.num_hidden_layers, "Blocks.").min(1).max(10000);
  option("num_attention_heads", o.num_attention_heads, "Query heads.").min(1).max(100000);
  option("num_key_value_heads", o.num_key_value_heads, "Key and value heads; 0 as many as query heads.").min(0).max(100000);
  option("head_dim", o.head_dim, "Width of a head; 0 hidden_size / num_attention_heads.").min(0).max(1000000);
  option("vocab_size", o.vocab_size, "Rows of the token table.").min(1).max(100000000);
  option("max_position_embeddings", o.max_position_embeddings, "Longest text.").min(1).max(16777216);
  option("sliding_window", o.sliding_window, "How far attention sees.").min(0);
  option("use_sliding_window", keys.use_sliding_window, "Qwen2: whether it is limited.");
  option("rms_norm_eps", o.rms_norm_eps, "Epsilon of RMSNorm.").above(0);
  option("rope_theta", o.rope_theta, "Base of the rotary angles.").above(1);
  option("hidden_act", o.hidden_act, "Activation.");
  option("tie_word_embeddings", o.tie_word_embeddings, "Output rows are the token table's.");
  option("attention_bias", keys.attention_bias, "LLaMA: the four projections of attention have biases.");
  option("mlp_bias", keys.mlp_bias, "Not supported.");
  option("bos_token_id", o.bos_token_id, "First token.");
  option("pad_token_id", o.pad_token_id, "Padding.");
  option("torch_dtype", o.torch_dtype, "Type of the weights.");
}

std::vector<int64_t> token_ids(const HfFile& file, const Json& object, const std::string& section) {
  const auto value = object.find("eos_token_id");
  if (value == object.end() || value->is_null()) return {};
  try {
    if (value->is_array()) return json_get<std::vector<int64_t>>(object, "eos_token_id", file.path());
    return {json_get<int64_t>(object, "eos_token_id", file.path())};
  } catch (const Error& error) {
    throw file.refuse(section, "eos_token_id", error.message(), error.next_step());
  }
}

/// Newer files hold the base here too.
struct RopeKeys {
  HfRopeScaling& scaling;
  double& rope_theta;
};

template <class Visitor>
void describe(Visitor& option, RopeKeys& keys) {
  describe(option, keys.scaling);
  option("rope_theta", keys.rope_theta, "Base of the rotary angles.").above(1);
}

/// What the public library does not compute without.
std::vector<std::string> required_keys(const Json& rope_type) {
  std::vector<std::string> keys{"rope_type"};
  if (rope_type != Json("default")) keys.push_back("factor");
  if (rope_type == Json("llama3"))
    keys.insert(keys.end(), {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
  return keys;
}

void check_frequencies(const HfRopeScaling& scaling, const HfFile& file, const std::string& section) {
  if (scaling.rope_type == HfRopeType::llama3 && scaling.high_freq_factor <= scaling.low_freq_factor)
    throw file.refuse(section, "high_freq_factor",
                      fmt::format("'high_freq_factor' is {:g}, which is not above low_freq_factor, {:g}",
                                  scaling.high_freq_factor, scaling.low_freq_factor),
                      "mend the two");
}

/// "rope_scaling" of older files, "rope_parameters" of newer ones; "type" of the oldest.
void read_rope(HfDecoderConfig& config, const HfFile& file, const Json& object) {
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) continue;
    if (!found->is_object()) throw file.refuse("", name, fmt::format("'{}' is no object with keys", name), "mend the value");
    Json scaling = *found;
    if (scaling.contains("type") && !scaling.contains("rope_type")) scaling["rope_type"] = scaling["type"];
    RopeKeys keys{config.rope_scaling, config.rope_theta};
    file.fill(keys, scaling, name, required_keys(scaling.value("rope_type", Json())));
    check_frequencies(config.rope_scaling, file, name);
    return;
  }
}

void check_heads(const HfDecoderConfig& c, const HfFile& file, const std::string& section) {
  if (c.num_attention_heads % c.num_key_value_heads != 0)
    throw file.refuse(section, "num_key_value_heads",
                      fmt::format("{} query heads cannot share {} key/value heads", c.num_attention_heads, c.num_key_value_heads),
                      "mend num_key_value_heads");
  if (c.head_dim * c.num_attention_heads == 0 || c.head_dim % 2 != 0)
    throw file.refuse(section, "num_attention_heads",
                      fmt::format("a width of {} cannot have {} heads", c.hidden_size, c.num_attention_heads),
                      "mend hidden_size, num_attention_heads or head_dim");
}

/// What the public library takes where a file says nothing.
HfDecoderConfig defaults_of(const std::string& type) {
  HfDecoderConfig config;
  config.model_type = type;
  if (type == "mistral") {
    config.num_key_value_heads = 8;
    config.max_position_embeddings = 131072;
    config.sliding_window = 4096;
  } else if (type == "qwen2") {
    config.num_key_value_heads = 32;
    config.max_position_embeddings = 32768;
    config.sliding_window = 4096;
  }
  return config;
}

void refuse_unsupported(const DecoderKeys& keys, const HfFile& file, const std::string& section) {
  if (keys.mlp_bias)
    throw file.refuse(section, "mlp_bias", "'mlp_bias' is true, and the decoder here has no biases in its MLP",
                      "use a model without them");
}

HfDecoderConfig read_decoder(const HfFile& file, const Json& object, const std::string& section, const std::string& type) {
  HfDecoderConfig config = defaults_of(type);
  DecoderKeys keys{config};
  const auto says_null = [&](const char* key) { return object.contains(key) && object.at(key).is_null(); };
  if (says_null("sliding_window")) config.sliding_window = 0;
  if (says_null("num_key_value_heads")) config.num_key_value_heads = 0;
  file.fill(keys, object, section,
            {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"});
  refuse_unsupported(keys, file, section);
  if (type == "llama" || (type == "qwen2" && !keys.use_sliding_window)) config.sliding_window = 0;
  if (config.num_key_value_heads == 0) config.num_key_value_heads = config.num_attention_heads;
  if (config.head_dim == 0 && config.hidden_size % config.num_attention_heads == 0)
    config.head_dim = config.hidden_size / config.num_attention_heads;
  config.query_key_value_bias = type == "qwen2" || (type == "llama" && keys.attention_bias);
  config.output_bias = type == "llama" && keys.attention_bias;
  if (const std::string dtype = file.text(object, section, "dtype"); !dtype.empty()) config.torch_dtype = dtype;
  config.eos_token_id = token_ids(file, object, section);
  read_rope(config, file, object);
  check_heads(config, file, section);
  return config;
}

HfDecoderConfig read_decoder_file(const HfFile& file, const std::string& type) {
  HfDecoderConfig config = read_decoder(file, file.root(), "", type);
  const fs::path generation = file.path().parent_path() / "generation_config.json";
  if (!fs::exists(generation)) return config;
  const HfFile beside(generation);
  if (const auto ids = token_ids(beside, beside.root(), ""); !ids.empty()) config.eos_token_id = ids;
  return config;
}

void check_width(const HfFile& file, const std::string& section, const char* key, int64_t width, int64_t heads) {
  if (width % heads != 0)
    throw file.refuse(section, key, fmt::format("a width of {} cannot have {} heads", width, heads), "mend the file");
}

void check_vision(const HfFile& file, const std::string& section, const HfVisionConfig& vision) {
  check_width(file, section, "num_attention_heads", vision.hidden_size, vision.num_attention_heads);
  if (vision.image_size % vision.patch_size != 0)
    throw file.refuse(
        section, "patch_size",
        fmt::format("pictures of {0} x {0} cannot be cut into patches of {1}", vision.image_size, vision.patch_size),
        "mend image_size or patch_size");
}

HfClipConfig read_clip(const HfFile& file, const std::string& type) {
  HfClipConfig config;
  const bool whole = type == "clip";
  const std::string section = whole ? "vision_config" : "";
  const Json vision = whole ? file.section(section) : file.root();
  file.fill(config.vision, vision, section);
  if (whole && file.root().contains("projection_dim")) {
    HfVisionConfig outer = config.vision;
    file.fill(outer, {{"projection_dim", file.root().at("projection_dim")}}, "");
    config.vision.projection_dim = outer.projection_dim;
  }
  check_vision(file, section, config.vision);
  return config;
}

struct BlipKeys {
  int64_t& num_query_tokens;
};

template <class Visitor>
void describe(Visitor& option, BlipKeys& keys) {
  option("num_query_tokens", keys.num_query_tokens, "Queries of the Q-Former.").min(1).max(100000);
}

/// The parts have their own config, of which transformers writes only what differs from EVA ViT-g and BERT.
HfBlipConfig read_blip(const HfFile& file, const std::string& type) {
  HfBlipConfig config;
  config.vision = {.hidden_size = 1408,
                   .intermediate_size = 6144,
                   .num_hidden_layers = 39,
                   .num_attention_heads = 16,
                   .patch_size = 14,
                   .layer_norm_eps = 1e-6,
                   .hidden_act = HfActivation::gelu};
  file.fill(config.vision, file.section("vision_config"), "vision_config");
  file.fill(config.qformer, file.section("qformer_config"), "qformer_config");
  check_vision(file, "vision_config", config.vision);
  check_width(file, "qformer_config", "num_attention_heads", config.qformer.hidden_size, config.qformer.num_attention_heads);
  BlipKeys keys{config.num_query_tokens};
  file.fill(keys, file.root(), "");
  config.qformer_reads_text = type == "instructblip";
  const Json text = file.section("text_config");
  config.text_model_type = file.text(text, "text_config", "model_type");
  if (config.text_model_type == "llama") config.text = {read_decoder(file, text, "text_config", "llama")};
  return config;
}

HfHubertConfig read_hubert(const HfFile& file) {
  HfHubertConfig config;
  file.fill(config, file.root(), "");
  check_width(file, "", "num_attention_heads", config.hidden_size, config.num_attention_heads);
  if (config.conv_dim.empty())
    throw file.refuse("", "conv_dim", "'conv_dim' is empty, and the waveform needs at least one convolution", "mend the value");
  if (config.conv_dim.size() != config.conv_kernel.size() || config.conv_dim.size() != config.conv_stride.size())
    throw file.refuse("", "conv_dim",
                      fmt::format("conv_dim, conv_kernel and conv_stride have {}, {} and {} elements", config.conv_dim.size(),
                                  config.conv_kernel.size(), config.conv_stride.size()),
                      "give each convolution one of each");
  if (config.hidden_size % config.num_conv_pos_embedding_groups != 0)
    throw file.refuse(
        "", "num_conv_pos_embedding_groups",
        fmt::format("a width of {} cannot have {} groups", config.hidden_size, config.num_conv_pos_embedding_groups),
        "mend the file");
  if (config.conv_pos_batch_norm)
    throw file.refuse("", "conv_pos_batch_norm", "'conv_pos_batch_norm' is true, which is not supported",
                      "use a model with a weight-normalised convolution");
  return config;
}

HfWhisperConfig read_whisper(const HfFile& file) {
  HfWhisperConfig config;
  file.fill(config, file.root(), "");
  check_width(file, "", "encoder_attention_heads", config.d_model, config.encoder_attention_heads);
  return config;
}

HfBertConfig read_bert(const HfFile& file) {
  HfBertConfig config;
  file.fill(config, file.root(), "");
  check_width(file, "", "num_attention_heads", config.hidden_size, config.num_attention_heads);
  return config;
}

using Reader = std::function<decltype(HfConfig::model)(const HfFile&, const std::string& type)>;

const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> table{
      {"llama", read_decoder_file},
      {"mistral", read_decoder_file},
      {"qwen2", read_decoder_file},
      {"clip", read_clip},
      {"clip_vision_model", read_clip},
      {"blip-2", read_blip},
      {"instructblip", read_blip},
      {"hubert", [](const HfFile& file, const std::string&) { return read_hubert(file); }},
      {"whisper", [](const HfFile& file, const std::string&) { return read_whisper(file); }},
      {"bert", [](const HfFile& file, const std::string&) { return read_bert(file); }},
  };
  return table;
}

/// Scales, zero points and packed values are no tensors of the model here. transformers writes null or nothing for plain weights.
void refuse_quantised(const HfFile& file) {
  const auto found = file.root().find("quantization_config");
  if (found == file.root().end() || found->is_null()) return;
  throw file.refuse("", "quantization_config", "the weights are quantised ('quantization_config'), which is not supported",
                    "take the model in float16, bfloat16 or float32");
}

Error unknown_type(const HfFile& file, const std::string& type) {
  std::vector<std::string> names;
  std::string all;
  for (const auto& [name, reader] : readers()) {
    names.push_back(name);
    all += (all.empty() ? "" : ", ") + name;
  }
  const std::string nearest = nearest_name(type, names);
  return file.refuse(
      "", "model_type",
      fmt::format("the model type '{}' is not supported{}", type, nearest.empty() ? "" : "; the nearest is '" + nearest + "'"),
      "supported: " + all);
}

}  // namespace

HfConfig read_hf_config(const fs::path& folder_or_file) {
  const fs::path path = fs::is_directory(folder_or_file) ? folder_or_file / "config.json" : folder_or_file;
  if (!fs::exists(path))
    throw CheckpointError("there is no config.json")
        .where(path)
        .hint("name a folder in the layout of Hugging Face, with config.json beside the weights");
  const HfFile file(path);
  const std::string type = file.text(file.root(), "", "model_type");
  if (type.empty()) throw CheckpointError("the key 'model_type' is missing").where(path).hint("name the config.json of a model");
  const auto reader = readers().find(type);
  if (reader == readers().end()) throw unknown_type(file, type);
  refuse_quantised(file);
  return {path, type, reader->second(file, type)};
}

HfDecoderConfig read_hf_decoder_config(const fs::path& folder_or_file) {
  const HfConfig config = read_hf_config(folder_or_file);
  if (const auto* decoder = std::get_if<HfDecoderConfig>(&config.model)) return *decoder;
  throw CheckpointError("a model of type '{}' is no decoder", config.model_type)
      .where(config.path)
      .hint("name a folder of a llama, mistral or qwen2 model");
}

}  // namespace microemo::checkpoint
