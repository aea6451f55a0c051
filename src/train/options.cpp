#include "microemo/train/options.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/model/microemo.h"
#include "microemo/nn/on_meta.h"
#include "microemo/train/encode_clips.h"
#include "microemo/train/fit.h"
#include "microemo/train/optimizer.h"

namespace microemo::train {

namespace {

void check_losses(const model::AlignmentLossOptions& losses) {
  if (losses.answer > 0 || losses.movement > 0 || losses.window_movement > 0 || losses.window_voice > 0) return;
  throw ConfigError("every loss has the weight 0, so there is nothing to learn")
      .at("model.alignment")
      .hint("set model.alignment.answer or one of the others above 0");
}

/// A rate that rises to its "lowest" is a slip. What is left of an epoch would be added to the first step of the next one.
void check_lavis(const TrainOptions& train) {
  const LavisOptions& lavis = train.lavis;
  if (train.schedule != Schedule::lavis) return;
  if (lavis.lowest_rate > train.learning_rate)
    throw ConfigError("the lowest learning rate, {:g}, is above the highest, {:g}", lavis.lowest_rate, train.learning_rate)
        .at("train.lavis.lowest_rate and train.learning_rate")
        .hint(fmt::format("set train.lavis.lowest_rate to {:g} or less", train.learning_rate));
  if (lavis.iterations_per_epoch % lavis.iterations_per_step == 0) return;
  throw ConfigError("epochs of {} iterations are no whole number of steps of {} iterations", lavis.iterations_per_epoch,
                    lavis.iterations_per_step)
      .at("train.lavis.iterations_per_epoch and train.lavis.iterations_per_step")
      .hint(fmt::format("set train.lavis.iterations_per_epoch={}",
                        (lavis.iterations_per_epoch / lavis.iterations_per_step + 1) * lavis.iterations_per_step));
}

constexpr const char* style_names[] = {"plain", "imagebind", "hubert", "whisper"};

/// What prepare makes of the sound has to be what the encoder reads.
void check_sound(const RunOptions& options) {
  const auto style = options.model.audio.style;
  static constexpr data::SoundInput wanted[] = {data::SoundInput::log_mel, data::SoundInput::imagebind, data::SoundInput::samples,
                                                data::SoundInput::whisper};
  static constexpr const char* wanted_names[] = {"log_mel", "imagebind", "samples", "whisper"};
  if (!options.model.audio.enabled || options.prepare.sound == wanted[size_t(style)]) return;
  throw ConfigError("the audio encoder of style {} cannot read what prepare.sound makes", style_names[size_t(style)])
      .at("model.audio.style and prepare.sound")
      .hint(fmt::format("set prepare.sound={}", wanted_names[size_t(style)]));
}

/// Positions are learned for so many frames.
void check_positions(const RunOptions& options) {
  const auto& video = options.model.video_qformer;
  if (!options.model.visual.enabled || video.pooling != model::VideoPooling::qformer || video.positions == 0) return;
  if (options.prepare.frame_rule == data::FrameRule::uniform && options.prepare.frame_count > video.positions)
    throw ConfigError("{} frames of a clip are more than the {} positions of the video Q-Former", options.prepare.frame_count,
                      video.positions)
        .at("prepare.frame_count and model.video_qformer.positions")
        .hint("lower prepare.frame_count, or raise the positions (a loaded table is stretched)");
}

/// Tokens of a row that stand for what is seen and heard of the clip as a whole; windows of utterances and of seconds come with
/// the clips and are counted then.
int64_t media_tokens(const RunOptions& options) {
  const model::MediaLayout layout = media_layout(options.model);
  const auto windows = [](const model::WindowOptions& window, int64_t moments) {
    const int64_t sliding = window.windows == model::Windows::sliding ? (moments + window.stride - 1) / window.stride : 0;
    return int64_t(window.has_whole()) + sliding;
  };
  const bool counted = options.prepare.frame_rule == data::FrameRule::uniform;
  return windows(layout.video, counted ? options.prepare.frame_count : 1) * layout.video_queries +
         windows(layout.audio, std::max<int64_t>(options.prepare.sound_pieces, 1)) * layout.audio_queries +
         int64_t(layout.fused) + layout.features;
}

void check_row(const RunOptions& options) {
  const int64_t tokens = media_tokens(options), most = options.model.decoder.max_tokens;
  if (tokens < most) return;
  throw ConfigError("{} tokens of picture and sound leave no room for words in rows of {}", tokens, most)
      .at("model.decoder.max_tokens")
      .hint("take fewer queries or windows, or allow longer rows");
}

/// Builds the model without memory: what does not fit is said before any clip or weight is read.
void check_model(const RunOptions& options) {
  const nn::OnMeta guard;
  const int64_t any_vocabulary = 1;
  model::MicroEmo model(options.model, data::input_shapes(options.prepare, any_vocabulary));
  select_trainable(model, options.train);
  if (!options.train.encoder_cache.empty()) kept_encoders(options, model);
  if (options.train.frozen_dtype == FrozenChoice::automatic) return;
  freeze_weights(model, options.train.frozen_dtype, /*gpu=*/false);
  check_frozen(model, options.train.frozen_dtype);
}

void check_faces(const RunOptions& options) {
  if (!options.model.visual.enabled || !options.model.local.enabled || options.prepare.faces) return;
  throw ConfigError("the local branch looks at faces, and none are prepared")
      .at("model.local.enabled and prepare.faces")
      .hint("set prepare.faces=true, or model.local.enabled=false");
}

/// A frame's patches are told as they are, so there is one frame.
void check_frames(const RunOptions& options) {
  if (!options.model.visual.enabled || options.model.video_qformer.pooling != model::VideoPooling::patches) return;
  if (options.prepare.frame_rule == data::FrameRule::uniform && options.prepare.frame_count == 1) return;
  throw ConfigError("the model takes the patches of one frame, and prepare takes more from a clip")
      .at("model.video_qformer.pooling and prepare.frame_count")
      .hint("set prepare.frame_rule=uniform and prepare.frame_count=1, which is the clip's first");
}

void check_parts(const RunOptions& options) {
  check_frames(options);
  check_faces(options);
  check_sound(options);
  check_positions(options);
}

}  // namespace

void check_options(const RunOptions& options) {
  const model::ModelOptions& model = options.model;
  check_losses(model.alignment);
  check_lavis(options.train);
  data::check_prompt(options.prompt, model);
  check_parts(options);
  check_row(options);
  check_model(options);
  if (!model.visual.enabled || !model.local.enabled || model.local.window_s == 0) return;
  if (options.prepare.frame_rule != data::FrameRule::rate)
    throw ConfigError("face windows of {} s may leave gaps between frames that lie evenly over a clip of any length",
                      model.local.window_s)
        .at("model.local.window_s and prepare.frame_rule")
        .hint("set model.local.window_s=0: each face then belongs to the nearest whole frame");
  const double between_frames_s = 1 / options.prepare.frame_rate;
  if (model.local.window_s < between_frames_s * (1 - 1e-9))
    throw ConfigError("face windows of {} s leave gaps: whole frames are {:.4g} s apart", model.local.window_s, between_frames_s)
        .at("model.local.window_s and prepare.frame_rate")
        .hint(fmt::format("set model.local.window_s to {:.4g} or more, or raise prepare.frame_rate", between_frames_s));
}

}  // namespace microemo::train
