// Shapes: B clips, T whole frames, N face frames, S audio tokens, W windows (clip first, then utterances), Q query tokens, C
// width, D decoder width, R rows, L tokens.
#include "microemo/model/microemo.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "alignment_heads.h"
#include "microemo/base/error.h"
#include "microemo/model/audio_encoder.h"
#include "microemo/model/local_branch.h"
#include "microemo/model/qformers.h"
#include "microemo/model/vit.h"
#include "microemo/nn/loss.h"
#include "microemo/nn/rotary.h"

namespace microemo::model {
namespace {

VitShape frame_vit_shape(const VisualEncoderOptions& o, const InputShapes& shapes) {
  return {.channels = 3,
          .picture_height = shapes.frame_height,
          .picture_width = shapes.frame_width,
          .patch = o.patch,
          .width = o.width,
          .layers = o.layers,
          .heads = o.heads};
}

/// What a window Q-Former reads.
struct TimedTokens {
  at::Tensor tokens_BSC, times_BS, mask_BS;
};

/// One vector for each window, for the alignment heads.
at::Tensor window_means(Windows windows, const at::Tensor& tokens_BWQC, const TimedTokens& memory, const ClipBatch& clips) {
  if (windows == Windows::utterance) return tokens_BWQC.mean(2);
  return mean_of_windows(memory.tokens_BSC, memory.times_BS, memory.mask_BS, clips.windows_BW2);
}

/// Bytes to [-1, 1].
at::Tensor normalise_frames(const at::Tensor& bytes) { return bytes.to(at::kFloat) / 127.5 - 1; }

}  // namespace

MicroEmo::MicroEmo(const ModelOptions& options, const InputShapes& shapes) : options_(options), shapes_(shapes) {
  const int64_t vocabulary = options.decoder.vocabulary > 0 ? options.decoder.vocabulary : shapes.vocabulary;
  if (options.visual.enabled) build_video(vocabulary);
  if (options.audio.enabled) build_audio();
  decoder_ = register_module("decoder", std::make_shared<Decoder>(options.decoder, vocabulary));
  alignment_ = register_module("alignment", std::make_shared<AlignmentHeads>(options, shapes));
}

void MicroEmo::build_video(int64_t vocabulary) {
  const int64_t width = options_.visual.width;
  const auto& video = options_.video_qformer;
  visual_encoder_ = register_module("visual_encoder", std::make_shared<Vit>(frame_vit_shape(options_.visual, shapes_)));
  image_qformer_ = register_module("image_qformer", std::make_shared<ImageQFormer>(options_.image_qformer, width, vocabulary));
  if (options_.local.enabled) {
    local_branch_ = register_module("local_branch", std::make_shared<LocalBranch>(options_.local, shapes_, width));
    global_local_ = register_module("global_local", std::make_shared<GlobalLocalAttention>(options_.local, width));
  }
  const WindowQFormer::Shape shape{video.windows, video.queries, video.layers, video.heads, width};
  video_qformer_ = register_module("video_qformer", std::make_shared<WindowQFormer>(shape));
  video_projection_ = register_module("video_projection", std::make_shared<nn::Linear>(width, options_.decoder.width));
}

void MicroEmo::build_audio() {
  const auto& audio = options_.audio;
  audio_encoder_ = register_module("audio_encoder", std::make_shared<AudioEncoder>(audio, shapes_.mel_bands));
  const WindowQFormer::Shape shape{audio.windows, audio.queries, audio.qformer_layers, audio.heads, audio.width};
  audio_qformer_ = register_module("audio_qformer", std::make_shared<WindowQFormer>(shape));
  audio_projection_ = register_module("audio_projection", std::make_shared<nn::Linear>(audio.width, options_.decoder.width));
}

MicroEmo::~MicroEmo() = default;

at::Tensor MicroEmo::video_tokens(const ClipBatch& clips, AlignmentInput* for_alignment) const {
  const int64_t batch = clips.frames_BTCHW.size(0), frames = clips.frames_BTCHW.size(1), width = options_.visual.width;
  const at::Tensor patches_nPC = visual_encoder_->forward(normalise_frames(clips.frames_BTCHW.flatten(0, 1)));
  at::Tensor frames_BTQC =
      image_qformer_->forward(patches_nPC, clips.time_text_BTL.flatten(0, 1)).view({batch, frames, -1, width});
  if (local_branch_) {
    const at::Tensor faces_BNC =
        local_branch_->forward(clips.faces_BNCSS, clips.face_times_BN, clips.face_mask_BN, clips.face_padding_BN);
    frames_BTQC =
        global_local_->forward(frames_BTQC, faces_BNC, clips.frame_times_BT, clips.face_times_BN, clips.face_padding_BN);
    if (for_alignment) for_alignment->faces_BNC = faces_BNC;
  }
  if (for_alignment) for_alignment->frames_BTC = frames_BTQC.mean(2);
  frames_BTQC = frames_BTQC + nn::time_features(clips.frame_times_BT, width).unsqueeze(2);

  const int64_t queries = frames_BTQC.size(2);
  const TimedTokens memory{frames_BTQC.flatten(1, 2), clips.frame_times_BT.repeat_interleave(queries, 1),
                           clips.frame_mask_BT.repeat_interleave(queries, 1)};
  const at::Tensor video_BWQC =
      video_qformer_->forward(memory.tokens_BSC, memory.times_BS, memory.mask_BS, clips.windows_BW2, clips.window_mask_BW);
  if (for_alignment) for_alignment->video_BWC = window_means(options_.video_qformer.windows, video_BWQC, memory, clips);
  return video_projection_->forward(video_BWQC);
}

at::Tensor MicroEmo::audio_tokens(const ClipBatch& clips, AlignmentInput* for_alignment) const {
  const AudioTokens sound = audio_encoder_->forward(clips.mel_BFM, clips.mel_times_BF, clips.mel_mask_BF);
  const at::Tensor timed_BSC = sound.tokens_BSC + nn::time_features(sound.times_BS, options_.audio.width);
  const at::Tensor audio_BWQC =
      audio_qformer_->forward(timed_BSC, sound.times_BS, sound.mask_BS, clips.windows_BW2, clips.window_mask_BW);
  if (for_alignment)
    for_alignment->audio_BWC =
        window_means(options_.audio.windows, audio_BWQC, {timed_BSC, sound.times_BS, sound.mask_BS}, clips);
  return audio_projection_->forward(audio_BWQC);
}

at::Tensor MicroEmo::media_tokens(const ClipBatch& clips, AlignmentInput* for_alignment) const {
  std::vector<at::Tensor> tables;
  if (visual_encoder_) tables.push_back(video_tokens(clips, for_alignment).flatten(0, 2));
  if (audio_encoder_) tables.push_back(audio_tokens(clips, for_alignment).flatten(0, 2));
  return tables.empty() ? at::zeros({0, options_.decoder.width}, decoder_->output_weight().options()) : at::cat(tables);
}

at::Tensor MicroEmo::splice(const ClipBatch& clips, const at::Tensor& media) const {
  at::Tensor tokens_RLD = decoder_->embed(clips.ids_RL);
  if (media.size(0) > 0) {
    const at::Tensor is_media_RL1 = clips.media_RL.ge(0).unsqueeze(2);
    const at::Tensor placed_RLD = media.index_select(0, clips.media_RL.clamp_min(0).flatten()).view(tokens_RLD.sizes());
    tokens_RLD = at::where(is_media_RL1, placed_RLD, tokens_RLD);
  }
  return decoder_->add_utterances(tokens_RLD, clips.utterance_RL);
}

void MicroEmo::add_answer(const ClipBatch& clips, const at::Tensor& media_nD, BatchLoss& loss) const {
  const at::Tensor hidden_RLD = decoder_->forward(splice(clips, media_nD));
  const at::Tensor labels_n = clips.labels_RL.flatten();
  const double label_tokens = labels_n.ne(nn::ignored_label).sum().item<double>();
  loss.terms.push_back({"answer", nn::linear_cross_entropy_sum(hidden_RLD.flatten(0, 1), decoder_->output_weight(), labels_n),
                        label_tokens, options_.alignment.answer});
}

BatchLoss MicroEmo::forward(const ClipBatch& clips) const {
  AlignmentInput for_alignment;
  const at::Tensor media_nD = media_tokens(clips, &for_alignment);
  BatchLoss loss;
  if (options_.alignment.answer > 0) add_answer(clips, media_nD, loss);
  alignment_->add_terms(clips, for_alignment, loss);
  return loss;
}

MediaLayout media_layout(const ModelOptions& options) {
  return {.video_queries = options.visual.enabled ? options.video_qformer.queries : 0,
          .audio_queries = options.audio.enabled ? options.audio.queries : 0,
          .video_utterances = options.video_qformer.windows == Windows::utterance,
          .audio_utterances = options.audio.windows == Windows::utterance};
}

}  // namespace microemo::model
