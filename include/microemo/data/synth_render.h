#pragma once
#include <memory>

#include "microemo/data/synth_face.h"
#include "microemo/data/synth_script.h"
#include "microemo/data/synth_warp.h"
#include "microemo/media/image.h"

namespace microemo::data {

/// Renders the pictures of one clip: the portrait in a wide shot, everything but the head out of focus, the face warped by the
/// script's movements, with talk, blinks, head motion, light and noise. Only an ellipse about the head changes from frame to
/// frame; around it stand a still background and still noise. Picture i is a pure function of (options, script, portrait, i). Not
/// thread-safe; one per clip.
class ClipRenderer {
 public:
  ClipRenderer(const SynthOptions& options, const ClipScript& script, const Portrait& portrait);
  ~ClipRenderer();

  /// RGB, synth_width x synth_height; valid until the next call.
  const media::Image& frame(int index);

  /// The face at rest in the shot, where the warps act (landmarks with the clip's own jitter).
  const FaceFrame& face() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace microemo::data
