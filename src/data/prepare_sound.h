#pragma once
#include "microemo/data/prepared.h"
#include "microemo/media/sound.h"

namespace microemo::data {

/// Fills mel_FM or pieces_K, and their times, as the options ask. A clip without sound is given a sound of no samples.
void add_sound(const media::Sound& sound, const PrepareOptions& options, PreparedClip& prepared);

}  // namespace microemo::data
