#include "microemo/train/options.h"

#include "microemo/base/error.h"

namespace microemo::train {

namespace {

void check_losses(const model::AlignmentLossOptions& losses) {
  if (losses.answer > 0 || losses.movement > 0 || losses.window_movement > 0 || losses.window_voice > 0) return;
  throw ConfigError("every loss has the weight 0, so there is nothing to learn")
      .at("model.alignment")
      .hint("set model.alignment.answer or one of the others above 0");
}

}  // namespace

void check_options(const RunOptions& options) {
  const model::ModelOptions& model = options.model;
  check_losses(model.alignment);
  if (!model.visual.enabled || !model.local.enabled) return;
  const double between_frames_s = 1 / options.prepare.frame_rate;
  if (model.local.window_s < between_frames_s * (1 - 1e-9))
    throw ConfigError("face windows of {} s leave gaps: whole frames are {:.4g} s apart", model.local.window_s, between_frames_s)
        .at("model.local.window_s and prepare.frame_rate")
        .hint(fmt::format("set model.local.window_s to {:.4g} or more, or raise prepare.frame_rate", between_frames_s));
}

}  // namespace microemo::train
