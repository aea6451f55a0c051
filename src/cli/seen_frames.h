#pragma once
#include "microemo/data/prepared.h"
#include "microemo/media/image.h"

namespace microemo::cli {

/// A contact sheet of the whole frames as the model gets them, in its size (enlarged by a whole number up to some 112 pixels),
/// with number and time under each; of more than 256 so many, spread evenly. The clip has one frame at least.
media::Image seen_frames(const data::PreparedClip& clip);

}  // namespace microemo::cli
