#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/clip_batch.h"
#include "microemo/model/decoder.h"
#include "microemo/model/options.h"

namespace microemo::model {

class Vit;
class QFormer;
class LocalBranch;
class GlobalLocalAttention;
class WindowQFormer;
class AttentionPool;
class AttentionFusion;
class SoundEncoder;
class AlignmentHeads;

/// One part of the loss: a sum over `count` weighted items of this batch. The loss of a step is the sum over names of weight *
/// sum / count, with sums and counts taken over the whole step, so that it does not depend on how the step is cut into batches.
struct LossTerm {
  const char* name = "";  ///< "answer", "movement", "window_movement", "window_voice"
  at::Tensor sum;         ///< 0-dimensional, fp32, with autograd
  double count = 0;       ///< 0 when nothing in this batch counts
  double weight = 1;
};

/// Losses of one batch, those whose weights are above 0: "answer" (label tokens) first, then the alignment terms.
struct BatchLoss {
  std::vector<LossTerm> terms;
  double movement_frames = 0;  ///< frames with a movement
  at::Tensor movement_right;   ///< of these, how many have the class that the frame-level head names; undefined when not computed
};

/// The model of the paper (arXiv 2407.16552) as docs/model.md states it: frames and faces, mixed by global-local attention,
/// become tokens of the clip and of each utterance; so does the sound; a LLaMA-style decoder reads them with the words. Its parts
/// are chosen by the options, and with those of configs/ it is TimeChat, Video-LLaMA or AffectGPT with the names of their public
/// files (checkpoint/key_map.h). A torch module: parameters by name, train/eval, to(device). Thread rule: one thread at a time.
class MicroEmo : public torch::nn::Module {
 public:
  /// Builds with uninitialised parameters: call nn::initialise, or load them. Throws Error(config) when options do not fit each
  /// other.
  MicroEmo(const ModelOptions& options, const InputShapes& shapes);
  ~MicroEmo() override;

  /// The media table: video tokens of all windows, then audio tokens, then one fused token of each clip where there is one, then
  /// the F tokens of each clip's features, [B*Wv*Qv + B*Wa*Qa + B + B*F, decoder width]. Row (b*Wv + w)*Qv + q is query q of
  /// video window w of clip b; audio rows follow in the same order. `for_alignment`, when given, receives what the alignment
  /// heads read, so that a model without a branch is taught the same by what it has instead. Throws Error(data) for a clip
  /// without picture or sound where no token stands for that.
  struct AlignmentInput {
    at::Tensor faces_BNC;   ///< face tokens; undefined without the local branch
    at::Tensor frames_BTC;  ///< mean of each whole frame's tokens
    at::Tensor video_BWC;   ///< mean of each window's video tokens; without utterance windows of the frames' tokens inside it
    at::Tensor audio_BWC;   ///< the same of the sound
  };
  at::Tensor media_tokens(const ClipBatch& batch, AlignmentInput* for_alignment = nullptr) const;
  /// The rows' input to the decoder, [R, L, decoder width]: text and media tokens in their places.
  at::Tensor splice(const ClipBatch& batch, const at::Tensor& media) const;
  BatchLoss forward(const ClipBatch& batch) const;

  /// What the ViT of whole frames gives for each of n frames, uint8 RGB, [n, S, C] ([n, 1, C] of CLIP's projected tokens):
  /// ClipBatch::encoded_BTSC. For a model that looks.
  at::Tensor encode_frames(const at::Tensor& frames_n3HW) const;
  /// What the image Q-Former gives for each, [n, Q, C], without dropout: ClipBatch::encoded_queries_BTQC. Text as in
  /// ClipBatch::time_text_BTL, [n, L], undefined where it reads none. For a model that has one.
  at::Tensor encode_queries(const at::Tensor& frames_n3HW, const at::Tensor& text_nL) const;
  /// What a public encoder of sound gives for each of n pieces: ClipBatch::encoded_pieces_BKSC. For a model that has one.
  at::Tensor encode_pieces(const at::Tensor& pieces_n) const;

  const Decoder& decoder() const { return *decoder_; }
  Decoder& decoder() { return *decoder_; }
  /// Null for a model that does not look.
  Vit* visual_encoder() const { return visual_encoder_.get(); }
  /// Parts beside the decoder and the frames' ViT whose layers backward may compute again, and how many each has: image_qformer,
  /// video_qformer, audio_qformer, and faces for the local branch.
  std::map<std::string, int64_t> recomputable() const;
  /// Chooses the layers of one of them. The same bits, dropout included.
  void recompute_layers(const std::string& part, const std::vector<bool>& chosen);
  /// On a GPU, records what is not trained of the encoders of frames, faces and sound, for shapes that come again (nn::Replay).
  void replay_shapes();
  const ModelOptions& options() const { return options_; }
  /// See Decoder::compute_in and Vit::compute_in; the other parts stay with fp32.
  void compute_in(at::ScalarType type);
  /// Where its weights lie, all on one.
  at::Device device() const { return decoder_->output_weight().device(); }

 private:
  void build_video(int64_t vocabulary);
  void build_audio();
  void build_features();
  /// The tokens of whole frames, and their class tokens [B, T, C] where the model has a token of them.
  struct Seen {
    TimedTokens frames;
    at::Tensor class_BTC;
  };
  /// What the ViT of whole frames gives for each, [B * T, S, C], or what the batch brings of it.
  at::Tensor encoded_frames(const ClipBatch& batch) const;
  /// What the image Q-Former makes of that, [B * T, Q, C], or what the batch brings of it.
  at::Tensor frame_queries(const ClipBatch& batch) const;
  Seen look(const ClipBatch& batch, AlignmentInput* for_alignment) const;
  Seen see_patches(const ClipBatch& batch) const;
  at::Tensor video_tokens(const ClipBatch& batch, const TimedTokens& frames, AlignmentInput* for_alignment) const;
  at::Tensor audio_tokens(const ClipBatch& batch, const TimedTokens& sound, AlignmentInput* for_alignment) const;
  at::Tensor feature_tokens(const ClipBatch& batch, const at::Tensor& class_BTC) const;
  at::Tensor spliced(const at::Tensor& ids_N, const at::Tensor& media_N, const at::Tensor& utterance_N,
                     const at::Tensor& table_mD) const;
  void add_answer(const ClipBatch& batch, const at::Tensor& media_nD, BatchLoss& loss) const;

  ModelOptions options_;
  InputShapes shapes_;
  std::shared_ptr<Vit> visual_encoder_;
  std::shared_ptr<QFormer> image_qformer_;
  std::shared_ptr<LocalBranch> local_branch_;
  std::shared_ptr<GlobalLocalAttention> global_local_;
  std::unique_ptr<SoundEncoder> sound_encoder_;
  std::shared_ptr<WindowQFormer> video_qformer_, audio_qformer_;
  std::shared_ptr<AttentionPool> video_pool_, audio_pool_;
  std::shared_ptr<AttentionFusion> fusion_;
  std::shared_ptr<nn::Linear> video_projection_, audio_projection_, fusion_projection_, class_projection_;
  std::vector<std::shared_ptr<nn::Linear>> feature_projections_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<AlignmentHeads> alignment_;
};

}  // namespace microemo::model
