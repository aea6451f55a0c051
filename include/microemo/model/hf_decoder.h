#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "microemo/checkpoint/hf_config.h"
#include "microemo/model/decoder.h"

namespace microemo::model {

enum class WeightType {
  fp32,       ///< converted, in memory of their own: what a CPU computes with
  as_stored,  ///< views of the mapped file: nothing is copied, and the model computes in the file's type
};

struct HfDecoderLoading {
  WeightType weights = WeightType::fp32;
  int64_t max_tokens = 0;  ///< longest row; 0 takes the config's limit. Memory for positions grows with it
};

/// The options of the decoder that computes what a public one does. max_tokens as above.
DecoderOptions decoder_options(const checkpoint::HfDecoderConfig& config, int64_t max_tokens = 0);

/// A LLaMA, Mistral or Qwen2 folder in the layout of Hugging Face (or one that `microemo convert` wrote with our names) as a
/// decoder. No parameter requires a gradient; those stored as they are must not be written to. Throws Error(checkpoint) as
/// read_hf_config and TensorSource do, and for names or shapes that are not those of config.json, naming them with both shapes.
std::shared_ptr<Decoder> load_hf_decoder(const std::filesystem::path& folder, const HfDecoderLoading& loading = {});

}  // namespace microemo::model
