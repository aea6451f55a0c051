#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/data/manifest.h"
#include "microemo/data/synth.h"
#include "microemo/data/synth_labels.h"

// What happens in a synthetic clip, drawn before anything is rendered. A script is a pure function of the options, the part and
// the clip's number.

namespace microemo::data {

enum class SynthPart { train, test };
const char* name_of(SynthPart part);

inline constexpr int synth_rate = 25;  ///< frames per second
inline constexpr int synth_width = 640, synth_height = 360;

/// A sentence is one of ten frames with one of its sentiment's ten adjectives. Pairs (adjective, frame) belong to the training or
/// to the test part; every adjective and every frame is in both.
struct Sentence {
  Sentiment sentiment = Sentiment::neutral;
  int adjective = 0, frame = 0;
  std::string text() const;
};
inline constexpr int synth_adjectives = 10, synth_frames = 10;
SynthPart part_of(const Sentence& sentence);

/// The espeak-ng voices of a part; disjoint.
const std::vector<std::string>& voices_of(SynthPart part);

struct ScriptedUtterance {
  Sentence sentence;
  FaceUnit unit = FaceUnit::none;
  Manner manner = Manner::flat;
  double start_s = 0, end_s = 0;  ///< multiples of 0.1 s
  double words_per_minute = 0;    ///< of the voice; raised when the sentence would not fit
  double pitch = 50;              ///< espeak-ng's 0-99, before the manner changes it
  double placement = 0;           ///< where the speech lies in the time that it leaves over: 0 at the start, 1 at the end
  std::vector<std::string> labels = {};
};

struct ClipScript {
  std::string id;
  SynthPart part = SynthPart::train;
  int64_t index = 0;
  std::string portrait;  ///< name of the face
  std::string voice;
  double eye_distance = 0;        ///< outer eye corners, pixels of the wide shot
  double head_x = 0, head_y = 0;  ///< centre of the head, pixels of the wide shot
  double gain = 1;                ///< brightness of the clip
  double loudness = 1;            ///< of the voice in the whole clip
  int frames = 0;
  std::vector<ScriptedUtterance> utterances;
  std::vector<Movement> movements;  ///< in order of time
  std::vector<double> blinks_s;     ///< middle of each blink
  double duration_s() const { return double(frames) / synth_rate; }
};

ClipScript draw_script(const SynthOptions& options, SynthPart part, int64_t index);

/// "Positive words, flat voice, brows rise: the person feels amazed and curious."
std::string answer_text(const Factors& factors, const std::vector<std::string>& labels);

/// The script as a line of the manifest.
Clip to_clip(const ClipScript& script, const std::filesystem::path& video);

/// Dialogue `index` of those in words alone: drawn as a training clip beyond the most that a set can have, and told as a
/// screenplay does: "(flat voice, brows rise) it was a lovely day".
Clip draw_text_clip(const SynthOptions& options, int64_t index);

/// How far a movement has gone at a time, 0 … 1: a squared sine from onset to apex, a squared cosine back.
double movement_progress(const Movement& movement, double seconds);

}  // namespace microemo::data
