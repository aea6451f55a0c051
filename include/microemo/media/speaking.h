#pragma once
#include <optional>
#include <vector>

#include "microemo/media/face.h"
#include "microemo/media/sound.h"

namespace microemo::media {

/// A stretch of a clip, [start_s, end_s) in seconds on its clock.
struct Stretch {
  double start_s = 0, end_s = 0;
};

/// How well a track's mouth goes with the sound of a stretch.
struct SpeakingEvidence {
  int track = 0;
  int64_t frames = 0;      ///< in which it was measured
  double correlation = 0;  ///< r of mouth and sound
  double evidence = 0;     ///< atanh(r) sqrt(frames / 5 - 3): about normal with deviation 1 where they have nothing in common
};

/// Distance of the inner lips, mean of the pairs 61-67, 62-66 and 63-65, in distances of the outer eye corners.
double mouth_opening(const Face& face);

/// Every track that is seen in at least half of the stretch's frames and in 20 of them, the best evidence first (ties: the lower
/// track).
///
/// mouth(i) = |opening(i + 1) - opening(i - 1)| / (t(i + 1) - t(i - 1)), where the face is seen in all three frames; sound(i) =
/// root mean square of the samples from t(i - 1) to t(i + 1). Both are averaged over five frames, and r is their correlation
/// (Pearson) over the frames with start_s - 0.2 <= t(i) < end_s + 0.2. `faces` and `seconds`, ascending, are those of each frame.
std::vector<SpeakingEvidence> speaking_evidence(const std::vector<std::vector<Face>>& faces, const std::vector<double>& seconds,
                                                const Sound& sound, const Stretch& stretch);

/// The track whose mouth goes with the sound: evidence of 1 or more, and more than the next one's by 1; nothing where the stretch
/// does not decide it, also where there is no other track to choose from.
std::optional<int> speaking_track(const std::vector<std::vector<Face>>& faces, const std::vector<double>& seconds,
                                  const Sound& sound, const Stretch& stretch);

/// watched_faces, but in each stretch that decides it, the face of the speaking track, or nothing in frames where that is not
/// seen. A pure function of its arguments. Throws Error(internal) when `faces` and `seconds` have different lengths.
std::vector<std::optional<Face>> speaking_faces(const std::vector<std::vector<Face>>& faces, const std::vector<double>& seconds,
                                                const Sound& sound, const std::vector<Stretch>& stretches);

}  // namespace microemo::media
