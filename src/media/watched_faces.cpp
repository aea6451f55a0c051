#include <algorithm>
#include <map>

#include "microemo/base/error.h"
#include "microemo/media/crops.h"

namespace microemo::media {
namespace {

using OptionalFaces = std::vector<std::optional<Face>>;

struct Track {
  double weight = 0;
  size_t first = 0, last = 0;  ///< frames
};

std::map<int, Track> tracks_of(const std::vector<std::vector<Face>>& faces) {
  std::map<int, Track> tracks;
  for (size_t i = 0; i < faces.size(); ++i)
    for (const Face& face : faces[i]) {
      Track& track = tracks.try_emplace(face.track, Track{0, i, i}).first->second;
      track.weight += face.box.width() * face.box.height() * face.score;
      track.last = i;
    }
  return tracks;
}

std::optional<Face> face_of(const std::vector<Face>& faces, int track) {
  for (const Face& face : faces)
    if (face.track == track) return face;
  return std::nullopt;
}

}  // namespace

std::vector<TrackSummary> summarise_tracks(const std::vector<std::vector<Face>>& faces, const std::vector<Repeat>& repeats) {
  MICROEMO_CHECK(repeats.empty() || repeats.size() == faces.size(), "{} repeats of {} frames", repeats.size(), faces.size());
  std::map<int, TrackSummary> summaries;
  for (size_t i = 0; i < faces.size(); ++i)
    for (const Face& face : faces[i]) {
      TrackSummary& summary = summaries.try_emplace(face.track, TrackSummary{face.track, int64_t(i)}).first->second;
      summary.last = int64_t(i);
      ++summary.frames;
      summary.repeated += !repeats.empty() && repeats[i] != Repeat::none;
      summary.mean_score += face.score;
    }
  std::vector<TrackSummary> result;
  for (auto& [track, summary] : summaries) {
    summary.mean_score /= double(summary.frames);
    summary.coverage = double(summary.frames) / double(summary.last - summary.first + 1);
    result.push_back(summary);
  }
  return result;
}

OptionalFaces watched_faces(const std::vector<std::vector<Face>>& faces) {
  const std::map<int, Track> tracks = tracks_of(faces);
  std::vector<int> order;
  for (const auto& [number, track] : tracks) order.push_back(number);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return tracks.at(a).weight > tracks.at(b).weight; });
  OptionalFaces watched(faces.size());
  std::vector<bool> taken(faces.size());
  for (const int number : order)
    for (size_t i = tracks.at(number).first; i <= tracks.at(number).last; ++i) {
      if (taken[i]) continue;
      taken[i] = true;
      watched[i] = face_of(faces[i], number);
    }
  return watched;
}

std::vector<std::optional<Similarity>> align_tracks(const OptionalFaces& faces, const AlignOptions& options) {
  std::map<int, std::vector<size_t>> places;
  for (size_t i = 0; i < faces.size(); ++i)
    if (faces[i]) places[faces[i]->track].push_back(i);
  std::vector<std::optional<media::Similarity>> similarities(faces.size());
  for (const auto& [track, own] : places) {
    OptionalFaces run(own.back() - own.front() + 1);
    for (const size_t i : own) run[i - own.front()] = faces[i];
    const auto aligned = align_faces(run, options);
    for (const size_t i : own) similarities[i] = aligned[i - own.front()];
  }
  return similarities;
}

std::vector<std::optional<Similarity>> align_tracks(const OptionalFaces& faces, int size) {
  return align_tracks(faces, {.size = size});
}

}  // namespace microemo::media
