#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "microemo/checkpoint/hf_config.h"
#include "microemo/model/window_qformer.h"

// The public Q-Formers as options, and their weights. Loaded parameters are fp32 and require no gradient. What loads throws
// Error(checkpoint) as TensorSource does, for a file without the part, and for names and shapes that are not those of the
// options, naming them with both shapes.

namespace microemo::model {

/// The Q-Former of a blip-2 or instructblip folder.
QFormerOptions hf_qformer(const checkpoint::HfBlipConfig& config);
/// blip2_pretrained_flant5xxl.pth: no text.
QFormerOptions blip2_qformer();
/// instruct_blip_vicuna7b_trimmed.pth, and TimeChat with its text kept: BERT's words and [DEC].
QFormerOptions instructblip_qformer(bool keep_text = false);
/// The video Q-Former of Video-LLaMA and AffectGPT 2024 (32 positions; it reads the clip in one window), of TimeChat (96
/// positions; sliding windows of 32 frames), and the audio Q-Former of the former (8 queries on 8 ImageBind clips of 1024
/// channels).
WindowQFormerOptions video_llama_qformer();
WindowQFormerOptions timechat_qformer();
WindowQFormerOptions video_llama_audio_qformer();

/// The Q-Former of a folder of type blip-2 or instructblip (or one that `microemo convert` wrote with our names). Throws
/// Error(checkpoint) also as read_hf_config does, and for a model of another type.
std::shared_ptr<QFormer> load_hf_qformer(const std::filesystem::path& folder, bool keep_text = false);

/// The image Q-Former of a file of LAVIS or TimeChat.
std::shared_ptr<QFormer> load_qformer(const std::filesystem::path& file, const QFormerOptions& options);

/// The video Q-Former of a file of Video-LLaMA, TimeChat or AffectGPT, or the part "audio_qformer". A table of other than
/// options.positions rows is stretched to them (nearest_positions).
std::shared_ptr<WindowQFormer> load_video_qformer(const std::filesystem::path& file, const WindowQFormerOptions& options,
                                                  const std::string& part = "video_qformer");

}  // namespace microemo::model
