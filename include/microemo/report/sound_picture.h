#pragma once
#include <string>

#include "microemo/media/image.h"
#include "microemo/media/sound.h"

namespace microemo::report {

/// Log-mel filter banks over time with axes: seconds below, hertz beside the bands (low ones below), loud is bright. At most 1600
/// pixels wide: a longer sound is averaged over time. `rate` is that of the sound that `mel` was made of. Throws Error(data) when
/// there is no frame in it.
media::Image draw_log_mel(const media::LogMel& mel, int rate, const std::string& title);

}  // namespace microemo::report
