#include "microemo/report/face_sheet.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "canvas.h"
#include "microemo/media/crops.h"
#include "microemo/media/frame_reader.h"

namespace microemo::report {
namespace {

constexpr int columns = 8, side = 128, heading_size = 18, heading_height = 34, margin = 8;
constexpr Color ground{24, 24, 24}, heading_ink{255, 220, 0};

struct Track {
  int number = 0;
  std::vector<std::optional<media::Face>> faces;  ///< of each frame of the clip
  std::vector<int64_t> frames;                    ///< that have one
  std::vector<int64_t> shown;                     ///< of these
  std::vector<media::Cell> cells;
  double first_s = 0, last_s = 0;
};

std::vector<Track> tracks_of(const std::vector<std::vector<media::Face>>& faces) {
  std::map<int, Track> tracks;
  for (size_t frame = 0; frame < faces.size(); ++frame)
    for (const media::Face& face : faces[frame]) {
      Track& track = tracks[face.track];
      track.number = face.track;
      track.faces.resize(faces.size());
      track.faces[frame] = face;
      track.frames.push_back(int64_t(frame));
    }
  std::vector<Track> list;
  for (auto& [number, track] : tracks) list.push_back(std::move(track));
  return list;
}

/// The first and the last one, and those evenly between them.
void choose(std::vector<Track>& tracks, int crops) {
  for (Track& track : tracks) {
    const auto total = int64_t(track.frames.size());
    const int64_t count = std::min(total, std::max<int64_t>(columns, crops / int64_t(tracks.size())));
    for (int64_t i = 0; i < count; ++i)
      track.shown.push_back(track.frames[size_t(count == 1 ? 0 : i * (total - 1) / (count - 1))]);
  }
}

void cut_crops(const media::MediaInput& video, std::vector<Track>& tracks) {
  std::map<int64_t, std::vector<size_t>> wanted;
  std::vector<std::vector<std::optional<media::Similarity>>> alignments;
  for (size_t i = 0; i < tracks.size(); ++i) {
    alignments.push_back(media::align_faces(tracks[i].faces, side));
    for (const int64_t frame : tracks[i].shown) wanted[frame].push_back(i);
  }
  std::vector<int64_t> frames;
  for (const auto& [frame, owners] : wanted) frames.push_back(frame);
  media::FrameReader reader(video);
  for (Track& track : tracks) {
    track.first_s = reader.frames().at(size_t(track.frames.front())).seconds;
    track.last_s = reader.frames().at(size_t(track.frames.back())).seconds;
  }
  reader.read(frames, [&](const media::VideoFrame& frame) {
    for (const size_t i : wanted[frame.index])
      tracks[i].cells.push_back(
          {media::crop_face(frame.rgb, *alignments[i][size_t(frame.index)], side), fmt::format("{:.2f} s", frame.seconds)});
  });
}

std::string heading(const Track& track) {
  double score = 0;
  for (const int64_t frame : track.frames) score += track.faces[size_t(frame)]->score / double(track.frames.size());
  return fmt::format("track {}   {:.2f} - {:.2f} s, {} frame{}, score {:.2f}", track.number, track.first_s, track.last_s,
                     track.frames.size(), track.frames.size() == 1 ? "" : "s", score);
}

Image dark_page(int height) {
  Image page = blank_page(columns * (side + margin) + margin, height);
  media::fill_box(page, 0, 0, page.width, page.height, ground);
  return page;
}

}  // namespace

Image draw_face_sheet(const media::MediaInput& video, const std::vector<std::vector<media::Face>>& faces, int crops) {
  std::vector<Track> tracks = tracks_of(faces);
  if (tracks.empty()) {
    Image page = dark_page(2 * heading_height);
    write(page, fmt::format("no face in {} frames", faces.size()), page.width / 2.0, heading_height + 6, heading_size,
          heading_ink, Align::center);
    return page;
  }
  choose(tracks, crops);
  cut_crops(video, tracks);
  std::vector<Image> sheets;
  int height = 0;
  for (const Track& track : tracks) {
    sheets.push_back(media::contact_sheet(track.cells, columns));
    height += heading_height + sheets.back().height;
  }
  Image page = dark_page(height);
  int y = 0;
  for (size_t i = 0; i < tracks.size(); ++i) {
    write(page, heading(tracks[i]), margin, y + heading_height - 8, heading_size, heading_ink);
    media::paste(page, sheets[i], 0, y + heading_height);
    y += heading_height + sheets[i].height;
  }
  return page;
}

}  // namespace microemo::report
