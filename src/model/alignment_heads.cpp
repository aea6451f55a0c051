#include "alignment_heads.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/ones.h>

#include "microemo/nn/loss.h"
#include "microemo/nn/sent.h"

namespace microemo::model {
namespace {

at::Tensor cross_entropy_sum(const at::Tensor& logits_nK, const at::Tensor& labels_n, const at::Tensor& class_weights = {}) {
  return at::cross_entropy_loss(logits_nK, labels_n,
                                class_weights.defined() ? std::optional<at::Tensor>(class_weights) : std::nullopt,
                                at::Reduction::Sum, nn::ignored_label);
}

double count(const at::Tensor& chosen) { return chosen.sum().item<double>(); }

LossTerm window_term(const char* name, const nn::Linear& head, const at::Tensor& tokens_BWC, const at::Tensor& labels_BW,
                     double weight) {
  const at::Tensor logits_nK = head.forward(tokens_BWC).flatten(0, 1), labels_n = labels_BW.flatten();
  return {name, cross_entropy_sum(logits_nK, nn::sent(labels_n, logits_nK.device())), count(labels_n.ne(nn::ignored_label)),
          weight};
}

}  // namespace

AlignmentHeads::AlignmentHeads(const ModelOptions& model, const InputShapes& shapes) : options_(model.alignment) {
  const auto add_head = [this](const char* name, int64_t width, int64_t classes) {
    return register_module(name, std::make_shared<nn::Linear>(width, classes));
  };
  movement_class_weights_ = at::ones({shapes.movement_classes});
  movement_class_weights_[0] = options_.none_weight;
  if (options_.movement > 0 && model.visual.enabled)
    movement_ = add_head("movement", frame_token_width(model), shapes.movement_classes);
  // Without tokens of the whole clip and each utterance their place is taken by the mean of what lies inside.
  const auto has_tokens = [](auto pooling, const WindowOptions& window) {
    return pooling == decltype(pooling)::qformer && window.windows == Windows::utterance && window.whole;
  };
  const bool video = has_tokens(model.video_qformer.pooling, model.video_qformer.window),
             audio = has_tokens(model.audio.pooling, model.audio.window);
  if (options_.window_movement > 0 && model.visual.enabled)
    window_movement_ =
        add_head("window_movement", video ? video_token_width(model) : frame_token_width(model), shapes.movement_classes);
  if (options_.window_voice > 0 && model.audio.enabled)
    window_voice_ = add_head("window_voice", audio ? audio_token_width(model) : sound_token_width(model), shapes.voice_classes);
}

void AlignmentHeads::add_movement(const ClipBatch& batch, const MicroEmo::AlignmentInput& input, BatchLoss& loss) const {
  const bool faces = input.faces_BNC.defined();
  const at::Tensor logits_nK = movement_->forward(faces ? input.faces_BNC : input.frames_BTC).flatten(0, 1),
                   labels_n = (faces ? batch.movement_BN : batch.movement_BT).flatten();
  const at::Tensor counted = labels_n.ne(nn::ignored_label), moving = labels_n.gt(0);
  const auto there = [&](const at::Tensor& t) { return nn::sent(t, logits_nK.device()); };
  const at::Tensor labels_there_n = there(labels_n);
  const double weighted = count(moving) + options_.none_weight * count(counted.logical_and(moving.logical_not()));
  loss.terms.push_back(
      {"movement", cross_entropy_sum(logits_nK, labels_there_n, there(movement_class_weights_)), weighted, options_.movement});
  loss.movement_frames += count(moving);
  loss.movement_right = logits_nK.argmax(1).eq(labels_there_n).logical_and(there(moving)).sum();
}

void AlignmentHeads::add_terms(const ClipBatch& batch, const MicroEmo::AlignmentInput& input, BatchLoss& loss) const {
  if (movement_ && batch.movement_BN.defined()) add_movement(batch, input, loss);
  if (window_movement_ && batch.window_movement_BW.defined())
    loss.terms.push_back(
        window_term("window_movement", *window_movement_, input.video_BWC, batch.window_movement_BW, options_.window_movement));
  if (window_voice_ && batch.window_voice_BW.defined())
    loss.terms.push_back(
        window_term("window_voice", *window_voice_, input.audio_BWC, batch.window_voice_BW, options_.window_voice));
}

}  // namespace microemo::model
