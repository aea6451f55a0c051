#pragma once
#include <filesystem>
#include <memory>

#include "microemo/checkpoint/hf_config.h"
#include "microemo/model/vit.h"

// The public vision encoders as options of Vit, and their weights.

namespace microemo::model {

/// CLIP's vision side (Radford et al. 2021) as transformers' CLIPVisionModel has it: hidden states are Vit's `states`, the image
/// features that AffectGPT 2025 takes are Vit::features.
VitShape clip_vision(const checkpoint::HfVisionConfig& config);
/// EVA-CLIP's ViT-g (Fang et al. 2022) as transformers' Blip2VisionModel has it; its post_layernorm is BLIP-2's ln_vision.
VitShape eva_vision(const checkpoint::HfVisionConfig& config);

/// openai/clip-vit-large-patch14.
VitShape clip_vit_large();
/// eva_vit_g.pth as LAVIS, TimeChat, Video-LLaMA and AffectGPT 2024 use it: 39 of its 40 blocks and, from the Q-Former's file,
/// ln_vision, whose epsilon is PyTorch's 1e-5 there.
VitShape eva_vit_giant();

/// The picture encoder of a folder of type clip, clip_vision_model, blip-2 or instructblip (or one that `microemo convert` wrote
/// with our names) in fp32. No parameter requires a gradient. Throws Error(checkpoint) as read_hf_config and TensorSource do, for
/// a model of another type, and for names and shapes that are not those of config.json, naming them with both shapes.
std::shared_ptr<Vit> load_hf_vision(const std::filesystem::path& folder);

/// The ViT-g of LAVIS' files: `eva` is eva_vit_g.pth, `qformer` the file of the Q-Former, which has ln_vision. `shape` for tests.
std::shared_ptr<Vit> load_eva(const std::filesystem::path& eva, const std::filesystem::path& qformer,
                              const VitShape& shape = eva_vit_giant());

}  // namespace microemo::model
