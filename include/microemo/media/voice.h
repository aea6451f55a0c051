#pragma once
#include <vector>

#include "microemo/media/sound.h"

namespace microemo::media {

/// [start_s, end_s) on the clip's clock.
struct VoicedStretch {
  double start_s = 0, end_s = 0;
};

struct VoiceOptions {
  double shortest_voice_s = 0.2;    ///< a shorter burst is no speech
  double shortest_silence_s = 0.3;  ///< a shorter pause belongs to the speech around it
  double pad_s = 0.1;               ///< a stretch begins so much earlier and ends so much later, at most to the middle of a pause
  double least_range_db = 6;        ///< a sound whose loud parts are less above its quiet ones is all voice, or all silence
  double silence_db = -60;          ///< what is quieter than this, below full scale, is silence always
};

/// Where a sound is loud enough to be speech: the fallback for clips whose words have no times. Levels of 25 ms windows (without
/// their mean) every 10 ms, averaged over 50 ms, in dB. Between the quiet (10th percentile) and the loud (95th), a stretch begins
/// where the level is above 40 % and ends where it falls below 25 % of the way. Knows loudness alone: music and noise are voice
/// to it. Deterministic, pure. In order, without overlap, within the sound. Throws Error(config) for options that are negative,
/// not finite, or whose silence_db is above 0.
std::vector<VoicedStretch> voiced_stretches(const Sound& sound, const VoiceOptions& options = {});

}  // namespace microemo::media
