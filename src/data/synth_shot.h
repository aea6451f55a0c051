#pragma once
#include <vector>

#include "microemo/data/synth_face.h"
#include "microemo/data/synth_script.h"
#include "microemo/data/synth_warp.h"
#include "microemo/media/image.h"

namespace microemo::data {

/// The still parts of a clip's picture, without noise.
struct Shot {
  static constexpr int oversampling =
      2;                    ///< the head is kept this much finer, so that moving it by parts of a pixel does not make it flicker
  Area window;              ///< what is drawn again for every frame, pixels of the shot
  media::Image head;        ///< RGB, or grey as its photograph is; `oversampling` pixels for each of window's
  media::Image background;  ///< RGB, synth_width x synth_height, everything out of focus
  std::vector<float>
      motion;  ///< [window]: 1 on the head, smoothly down to 0 at the window's border: how much of the head's motion acts
  std::array<media::Point, 68> landmarks{};  ///< of the face at rest, pixels of the shot
};
Shot compose_shot(const ClipScript& script, const Portrait& portrait);

}  // namespace microemo::data
