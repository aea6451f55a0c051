#pragma once
#include <vector>

#include "microemo/checkpoint/key_map.h"

// Rules that several families share, without prefixes; the families that are made of them stand in key_map_tables.cpp.

namespace microemo::checkpoint {

std::vector<KeyRule> llama_rules();
/// LoRA beside them, as an adapter file names it, or as the state of a model with the adapter "default" does.
std::vector<KeyRule> llama_lora_rules(bool in_adapter_file);

std::vector<KeyRule> eva_rules();
std::vector<KeyRule> blip_vision_rules();
std::vector<KeyRule> clip_rules();

std::vector<KeyRule> bert_qformer_rules();
/// InstructBLIP reads text beside its queries; BLIP-2 has queries alone, and names their normalisation otherwise.
std::vector<KeyRule> blip_qformer_rules(bool with_text);

std::vector<KeyRule> imagebind_audio_rules();
std::vector<KeyRule> hubert_rules();
std::vector<KeyRule> whisper_rules();
std::vector<KeyRule> bert_rules();

/// "weight" and "bias" of one linear layer.
std::vector<KeyRule> linear_rules();

}  // namespace microemo::checkpoint
