#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/ops/empty.h>

#include "microemo/base/json.h"
#include "microemo/checkpoint/tensors.h"

namespace microemo::test {

using checkpoint::NamedTensors;

/// Names and shapes without weights: tensors on the meta device.
inline void add(NamedTensors& list, const std::string& name, std::vector<int64_t> shape) {
  list[name] = at::empty(shape, at::TensorOptions(at::kMeta));
}

inline void add_linear(NamedTensors& list, const std::string& name, int64_t out, int64_t in) {
  add(list, name + ".weight", {out, in});
  add(list, name + ".bias", {out});
}

inline void add_norm(NamedTensors& list, const std::string& name, int64_t width) {
  add(list, name + ".weight", {width});
  add(list, name + ".bias", {width});
}

inline int64_t parameters(const NamedTensors& list) {
  int64_t count = 0;
  for (const auto& [name, tensor] : list) count += tensor.numel();
  return count;
}

inline std::vector<std::string> names_of(const NamedTensors& list) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : list) names.push_back(name);
  return names;
}

/// What tests/reference/checkpoint_names.py wrote of one model.
struct PublicModel {
  std::string family;
  int64_t tensors = 0, parameters = 0;
  NamedTensors list;
};

inline PublicModel public_model(const std::string& name) {
  const auto file = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint/names.json";
  const Json model = read_json(file).at(name);
  PublicModel result{model.at("family"), model.at("tensors"), model.at("parameters"), {}};
  for (const Json& row : model.at("rows")) {
    const std::string pattern = row.at(0);
    const size_t number = pattern.find("{i}");
    if (number == std::string::npos) add(result.list, pattern, row.at(1));
    for (const int64_t i : row.at(2).get<std::vector<int64_t>>())
      add(result.list, pattern.substr(0, number) + std::to_string(i) + pattern.substr(number + 3), row.at(1));
  }
  return result;
}

// Files that no public library can make without their code: names and shapes of the reference's tables (docs/checkpoints.md).

inline NamedTensors eva_vit_g(const std::string& prefix, int64_t blocks) {
  NamedTensors list;
  add(list, prefix + "cls_token", {1, 1, 1408});
  add(list, prefix + "pos_embed", {1, 257, 1408});
  add(list, prefix + "patch_embed.proj.weight", {1408, 3, 14, 14});
  add(list, prefix + "patch_embed.proj.bias", {1408});
  for (int64_t i = 0; i < blocks; ++i) {
    const std::string block = prefix + "blocks." + std::to_string(i) + ".";
    add_norm(list, block + "norm1", 1408);
    add_norm(list, block + "norm2", 1408);
    add(list, block + "attn.q_bias", {1408});
    add(list, block + "attn.v_bias", {1408});
    add(list, block + "attn.qkv.weight", {4224, 1408});
    add_linear(list, block + "attn.proj", 1408, 1408);
    add_linear(list, block + "mlp.fc1", 6144, 1408);
    add_linear(list, block + "mlp.fc2", 1408, 6144);
  }
  return list;
}

struct QFormerShape {
  int64_t layers = 12, memory_width = 1408, memory_every = 2;
  bool text = true;
};

/// Parameters only; the int64 position_ids are added by those whose files hold them.
inline NamedTensors bert_qformer(const std::string& prefix, const QFormerShape& shape) {
  NamedTensors list;
  const std::string embeddings = prefix + "bert.embeddings.";
  if (shape.text) {
    add(list, embeddings + "word_embeddings.weight", {30523, 768});
    add(list, embeddings + "position_embeddings.weight", {512, 768});
  }
  add_norm(list, embeddings + "LayerNorm", 768);
  const auto attention = [&](const std::string& name, int64_t memory) {
    add_linear(list, name + ".self.query", 768, 768);
    add_linear(list, name + ".self.key", 768, memory);
    add_linear(list, name + ".self.value", 768, memory);
    add_linear(list, name + ".output.dense", 768, 768);
    add_norm(list, name + ".output.LayerNorm", 768);
  };
  const auto mlp = [&](const std::string& layer, const std::string& suffix) {
    add_linear(list, layer + "intermediate" + suffix + ".dense", 3072, 768);
    add_linear(list, layer + "output" + suffix + ".dense", 768, 3072);
    add_norm(list, layer + "output" + suffix + ".LayerNorm", 768);
  };
  for (int64_t i = 0; i < shape.layers; ++i) {
    const std::string layer = prefix + "bert.encoder.layer." + std::to_string(i) + ".";
    attention(layer + "attention", 768);
    if (i % shape.memory_every == 0) attention(layer + "crossattention", shape.memory_width);
    mlp(layer, "_query");
    if (shape.text) mlp(layer, "");
  }
  return list;
}

inline NamedTensors imagebind_audio() {
  NamedTensors list;
  const std::string stem = "modality_preprocessors.audio.";
  add(list, stem + "cls_token", {1, 1, 768});
  add(list, stem + "rgbt_stem.proj.weight", {768, 1, 16, 16});
  add_norm(list, stem + "rgbt_stem.norm_layer", 768);
  add(list, stem + "pos_embedding_helper.pos_embed", {1, 229, 768});
  for (int64_t i = 0; i < 12; ++i) {
    const std::string block = "modality_trunks.audio.blocks." + std::to_string(i) + ".";
    add(list, block + "attn.in_proj_weight", {2304, 768});
    add(list, block + "attn.in_proj_bias", {2304});
    add(list, block + "attn.bias_k", {1, 1, 768});
    add(list, block + "attn.bias_v", {1, 1, 768});
    add_linear(list, block + "attn.out_proj", 768, 768);
    add_norm(list, block + "norm_1", 768);
    add_norm(list, block + "norm_2", 768);
    add_linear(list, block + "mlp.fc1", 3072, 768);
    add_linear(list, block + "mlp.fc2", 768, 3072);
  }
  add_norm(list, "modality_heads.audio.0", 768);
  add(list, "modality_heads.audio.2.weight", {1024, 768});
  add(list, "modality_postprocessors.audio.1.log_logit_scale", {});
  return list;
}

inline NamedTensors operator+(NamedTensors left, const NamedTensors& right) {
  left.insert(right.begin(), right.end());
  return left;
}

/// Video Q-Former, its queries and positions, and the projection of Video-LLaMA.
inline NamedTensors video_branch(int64_t frames) {
  NamedTensors list = bert_qformer("video_Qformer.", {2, 768, 1, false});
  add(list, "video_query_tokens", {1, 32, 768});
  add(list, "video_frame_position_embedding.weight", {frames, 768});
  add_linear(list, "llama_proj", 4096, 768);
  return list;
}

inline NamedTensors audio_branch() {
  NamedTensors list = bert_qformer("audio_Qformer.", {2, 1024, 1, false});
  add(list, "audio_query_tokens", {1, 8, 768});
  add(list, "audio_position_embedding.weight", {8, 1024});
  add_linear(list, "audio_llama_proj", 4096, 768);
  return list;
}

inline NamedTensors image_qformer(bool text, const std::string& projection, int64_t width) {
  NamedTensors list = bert_qformer("Qformer.", {12, 1408, 2, text});
  add(list, "query_tokens", {1, 32, 768});
  if (!projection.empty()) {
    add_norm(list, "ln_vision", 1408);
    add_linear(list, projection, width, 768);
  }
  return list;
}

}  // namespace microemo::test
