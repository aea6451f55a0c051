#include <cmath>

#include "microemo/base/error.h"
#include "microemo/media/face_crops.h"
#include "microemo/media/sound.h"
#include "microemo/media/speaking.h"
#include "prepare_faces.h"
#include "prepare_sampling.h"

namespace microemo::data {
std::vector<double> crop_times(const Clip& clip, size_t crops, const std::vector<double>& frame_times, double end_s) {
  if (clip.face_crop_rate == 0) {
    if (crops == frame_times.size()) return frame_times;
    throw DataError("clip \"{}\" has {} face crops, and its video {} frames", clip.id, crops, frame_times.size())
        .where(clip.face_crops)
        .hint("the file holds no times: give \"face_crop_rate\" in the manifest, or one crop for each frame");
  }
  std::vector<double> times;
  for (size_t i = 0; i < crops; ++i) times.push_back(double(i) / clip.face_crop_rate);
  if (!times.empty() && times.back() > end_s + utterance_tolerance_s)
    throw DataError("the last of {} face crops of clip \"{}\" is shown at {:.3f} s, after the video ({:.3f} s)", crops, clip.id,
                    times.back(), end_s)
        .where(clip.face_crops)
        .hint("correct \"face_crop_rate\" in the manifest, or name the right file");
  return times;
}

GivenFaces given_faces(const Clip& clip, const PrepareOptions& options, const std::vector<double>& frame_times, double end_s) {
  const std::vector<media::Image> crops = media::read_face_crops(clip.face_crops);
  const std::vector<double> times = crop_times(clip, crops.size(), frame_times, end_s);
  const int size = int(options.face_size);
  FaceClock clock(options);
  GivenFaces given;
  for (size_t i = 0; i < crops.size(); ++i) {
    if (!clock.takes(times[i])) continue;
    given.times.push_back(times[i]);
    FaceCrop& crop = given.crops.emplace_back();
    if (!crops[i].pixels.empty()) crop = {media::resize(face_source(crops[i], options), size, size), 0};
  }
  return given;
}

std::vector<std::optional<media::Face>> chosen_faces(const Clip& clip, const PrepareOptions& options,
                                                     const std::vector<std::vector<media::Face>>& faces,
                                                     const std::vector<double>& seconds) {
  if (options.face_choice == FaceChoice::watched || clip.utterances.empty() ||
      !media::probe(media_of(clip), read_limits(options)).has_audio)
    return media::watched_faces(faces);
  std::vector<media::Stretch> stretches;
  for (const Utterance& utterance : clip.utterances) stretches.push_back({utterance.start_s, utterance.end_s});
  return media::speaking_faces(faces, seconds, media::read_sound(media_of(clip), {.limits = read_limits(options)}), stretches);
}

}  // namespace microemo::data
