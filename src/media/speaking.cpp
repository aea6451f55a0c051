#include "microemo/media/speaking.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "microemo/base/error.h"

namespace microemo::media {
namespace {

constexpr double margin_s = 0.2;  // lips move before the sound, and the silence around it says as much as the sound
constexpr int64_t fewest_frames = 20;
constexpr int averaged = 5;  // frames; so many are taken for one independent observation
constexpr double decisive = 1;

double distance(const Point& a, const Point& b) { return std::hypot(a.x - b.x, a.y - b.y); }

const Face* face_of(const std::vector<Face>& faces, int track) {
  for (const Face& face : faces)
    if (face.track == track) return &face;
  return nullptr;
}

double loudness(const Sound& sound, double from_s, double to_s) {
  const auto place = [&](double seconds) {
    return std::clamp<int64_t>(std::llround((seconds - sound.start_s) * sound.rate), 0, int64_t(sound.samples.size()));
  };
  double sum = 0;
  const int64_t from = place(from_s), to = place(to_s);
  for (int64_t i = from; i < to; ++i) sum += double(sound.samples[size_t(i)]) * sound.samples[size_t(i)];
  return to > from ? std::sqrt(sum / double(to - from)) : 0;
}

/// One value a frame of a stretch, where there is one.
using Course = std::vector<std::optional<double>>;

Course smoothed(const Course& course) {
  Course result(course.size());
  for (int64_t i = 0; i < int64_t(course.size()); ++i) {
    if (!course[size_t(i)]) continue;
    double sum = 0, count = 0;
    for (int64_t j = std::max<int64_t>(0, i - averaged / 2); j <= std::min<int64_t>(int64_t(course.size()) - 1, i + averaged / 2);
         ++j)
      if (course[size_t(j)]) sum += *course[size_t(j)], count += 1;
    result[size_t(i)] = sum / count;
  }
  return result;
}

/// Of the frames with both.
double correlation(const Course& a, const Course& b) {
  double n = 0, mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] && b[i]) n += 1, mean_a += *a[i], mean_b += *b[i];
  if (n == 0) return 0;
  mean_a /= n, mean_b /= n;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!a[i] || !b[i]) continue;
    const double x = *a[i] - mean_a, y = *b[i] - mean_b;
    aa += x * x, bb += y * y, ab += x * y;
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

/// Frames of a stretch that have a neighbour on either side.
struct Range {
  size_t first = 0, last = 0;  ///< the last one is excluded
  size_t size() const { return last - first; }
};

Range frames_of(const std::vector<double>& seconds, const Stretch& stretch) {
  const auto place = [&](double time) {
    return size_t(std::lower_bound(seconds.begin(), seconds.end(), time) - seconds.begin());
  };
  const size_t first = std::max<size_t>(1, place(stretch.start_s - margin_s));
  const size_t last = std::min(place(stretch.end_s + margin_s), std::max<size_t>(1, seconds.size()) - 1);
  return {first, std::max(first, last)};
}

Course sound_course(const std::vector<double>& seconds, const Sound& sound, const Range& range) {
  Course course;
  for (size_t i = range.first; i < range.last; ++i) course.emplace_back(loudness(sound, seconds[i - 1], seconds[i + 1]));
  return course;
}

Course mouth_course(const std::vector<std::vector<Face>>& faces, const std::vector<double>& seconds, const Range& range,
                    int track) {
  Course course;
  for (size_t i = range.first; i < range.last; ++i) {
    const Face *before = face_of(faces[i - 1], track), *here = face_of(faces[i], track), *after = face_of(faces[i + 1], track);
    std::optional<double>& speed = course.emplace_back();
    if (before && here && after && seconds[i + 1] > seconds[i - 1])
      speed = std::abs(mouth_opening(*after) - mouth_opening(*before)) / (seconds[i + 1] - seconds[i - 1]);
  }
  return course;
}

}  // namespace

double mouth_opening(const Face& face) {
  const auto& p = face.landmarks;
  const double eyes = distance(p[36], p[45]);
  return eyes > 0 ? (distance(p[61], p[67]) + distance(p[62], p[66]) + distance(p[63], p[65])) / (3 * eyes) : 0;
}

std::vector<SpeakingEvidence> speaking_evidence(const std::vector<std::vector<Face>>& faces, const std::vector<double>& seconds,
                                                const Sound& sound, const Stretch& stretch) {
  MICROEMO_CHECK(faces.size() == seconds.size(), "{} frames with {} times", faces.size(), seconds.size());
  const Range range = frames_of(seconds, stretch);
  std::map<int, int64_t> seen;
  for (size_t i = range.first; i < range.last; ++i)
    for (const Face& face : faces[i]) ++seen[face.track];
  const Course loud = smoothed(sound_course(seconds, sound, range));
  std::vector<SpeakingEvidence> tracks;
  for (const auto& [track, frames] : seen) {
    const Course mouth = mouth_course(faces, seconds, range, track);
    const int64_t measured = std::count_if(mouth.begin(), mouth.end(), [](const auto& speed) { return speed.has_value(); });
    if (measured < fewest_frames || 2 * frames < int64_t(range.size())) continue;
    const double r = correlation(smoothed(mouth), loud);
    const double evidence = std::atanh(std::clamp(r, -0.999, 0.999)) * std::sqrt(double(measured) / averaged - 3);
    tracks.push_back({track, measured, r, evidence});
  }
  std::stable_sort(tracks.begin(), tracks.end(), [](const auto& a, const auto& b) { return a.evidence > b.evidence; });
  return tracks;
}

std::optional<int> speaking_track(const std::vector<std::vector<Face>>& faces, const std::vector<double>& seconds,
                                  const Sound& sound, const Stretch& stretch) {
  const auto tracks = speaking_evidence(faces, seconds, sound, stretch);
  if (tracks.size() < 2 || tracks[0].evidence < decisive || tracks[0].evidence < tracks[1].evidence + decisive)
    return std::nullopt;
  return tracks[0].track;
}

std::vector<std::optional<Face>> speaking_faces(const std::vector<std::vector<Face>>& faces, const std::vector<double>& seconds,
                                                const Sound& sound, const std::vector<Stretch>& stretches) {
  MICROEMO_CHECK(faces.size() == seconds.size(), "{} frames with {} times", faces.size(), seconds.size());
  auto chosen = watched_faces(faces);
  for (const Stretch& stretch : stretches) {
    const auto track = speaking_track(faces, seconds, sound, stretch);
    if (!track) continue;
    for (size_t i = 0; i < faces.size(); ++i) {
      if (seconds[i] < stretch.start_s || seconds[i] >= stretch.end_s) continue;
      const Face* face = face_of(faces[i], *track);
      chosen[i] = face ? std::optional(*face) : std::nullopt;
    }
  }
  return chosen;
}

}  // namespace microemo::media
