#pragma once
#include <string>
#include <vector>

#include "microemo/data/synth_script.h"
#include "microemo/media/sound.h"

namespace microemo::data {

/// The version that `espeak-ng --version` names ("1.51"). Throws Error(environment) when the program is missing.
std::string espeak_version();

/// Throws Error(environment) when espeak-ng lacks the variant of one of these voices ("en-us+m1"): it would speak with another
/// one in silence.
void check_voices(const std::vector<std::string>& voices);

/// One utterance as espeak-ng speaks it, silence at both ends cut off, at espeak-ng's 22050 Hz; start_s is 0. Flat: narrow pitch
/// range, quiet. Lively: wide pitch range, higher, louder. It is spoken faster when it would not fit between start_s and end_s of
/// the utterance. Throws Error(environment) when espeak-ng fails.
media::Sound speak(const ScriptedUtterance& utterance, const std::string& voice);

/// The sound of a whole clip: its utterances at their times over faint noise, script.duration_s() long.
media::Sound clip_sound(const ClipScript& script, uint64_t seed);

}  // namespace microemo::data
