#include "microemo/report/face_sheet.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "canvas.h"
#include "microemo/media/crops.h"
#include "microemo/media/frame_reader.h"

namespace microemo::report {
namespace {

constexpr int columns = 8, side = 128, heading_size = 18, heading_height = 34, margin = 8;
constexpr int frame_columns = 4, highest_frame = 200, tag_size = 12, tag_height = 15, tag_inset = 3;
constexpr double least_with_points = 60;
constexpr Color ground{24, 24, 24}, heading_ink{255, 220, 0}, watched_color = heading_ink, other_color{120, 190, 255},
                                                              tag_ink{16, 16, 16}, title_ink{238, 240, 242};

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

void cut_crops(const media::MediaInput& video, const media::ReadLimits& limits, std::vector<Track>& tracks) {
  std::map<int64_t, std::vector<size_t>> wanted;
  std::vector<std::vector<std::optional<media::Similarity>>> alignments;
  for (size_t i = 0; i < tracks.size(); ++i) {
    alignments.push_back(media::align_faces(tracks[i].faces, side));
    for (const int64_t frame : tracks[i].shown) wanted[frame].push_back(i);
  }
  std::vector<int64_t> frames;
  for (const auto& [frame, owners] : wanted) frames.push_back(frame);
  media::FrameReader reader(video, {.limits = limits});
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

constexpr int page_width = columns * (side + margin) + margin;

Image dark_page(int height) {
  Image page = blank_page(page_width, height);
  media::fill_box(page, 0, 0, page.width, page.height, ground);
  return page;
}

bool is_watched(int track, const WatchedFaces& watched) {
  return watched.empty() || std::ranges::any_of(watched, [&](const auto& face) { return face && face->track == track; });
}

/// As large as a column allows.
Image fitted(const Image& frame) {
  const int widest = (page_width - margin) / frame_columns - margin;
  const double scale = std::min(double(widest) / frame.width, double(highest_frame) / frame.height);
  return media::resize(frame, std::max(1, int(std::lround(scale * frame.width))),
                       std::max(1, int(std::lround(scale * frame.height))));
}

/// The watched one first: it has the first choice of a place for its number.
std::vector<media::Face> watched_first(std::vector<media::Face> faces, const std::optional<media::Face>& watched) {
  std::ranges::stable_partition(faces, [&](const media::Face& face) { return watched && watched->track == face.track; });
  return faces;
}

Image marked(const Image& frame, const std::vector<media::Face>& all, const std::optional<media::Face>& watched) {
  Image picture = fitted(frame);
  const double scale = double(picture.width) / frame.width;
  const std::vector<media::Face> faces = watched_first(all, watched);
  std::vector<media::Box> boxes;
  std::vector<std::string> numbers;
  std::vector<int> widths;
  for (const media::Face& face : faces) {
    const media::Box& box = face.box;
    boxes.push_back({box.left * scale, box.top * scale, box.right * scale, box.bottom * scale});
    numbers.push_back(std::to_string(face.track));
    widths.push_back(media::text_width(numbers.back(), tag_size) + 2 * tag_inset);
  }
  const auto color = [&](size_t i) { return watched && faces[i].track == watched->track ? watched_color : other_color; };
  for (size_t i = faces.size(); i-- > 0;) {
    const media::Box& box = boxes[i];
    media::draw_box(picture, box.left, box.top, box.right, box.bottom, color(i));
    if (box.width() < least_with_points) continue;
    for (const media::Point& point : faces[i].landmarks)
      media::draw_dot(picture, {point.x * scale, point.y * scale}, 1, color(i));
  }
  const auto places = place_tags(picture.width, picture.height, boxes, widths, tag_height);
  for (size_t i = 0; i < faces.size(); ++i) {
    if (!places[i]) continue;
    const auto [x, y] = *places[i];
    media::fill_box(picture, x, y, x + widths[i], y + tag_height, color(i));
    write(picture, numbers[i], x + tag_inset, y + tag_height - 3, tag_size, tag_ink);
  }
  return picture;
}

/// `count` of them, the first and the last one included.
std::vector<int64_t> spread(int64_t total, int64_t count) {
  std::vector<int64_t> chosen;
  count = std::min(count, total);
  for (int64_t i = 0; i < count; ++i) chosen.push_back(count == 1 ? 0 : i * (total - 1) / (count - 1));
  return chosen;
}

std::string title_of(const media::MediaInput& video, const std::vector<std::vector<media::Face>>& faces, double end_s) {
  const auto with_face = std::ranges::count_if(faces, [](const auto& frame) { return !frame.empty(); });
  return fmt::format("{}   {:.2f} s, a face in {} of {} frames", video.path.filename().string(), end_s, with_face, faces.size());
}

}  // namespace

Image draw_face_sheet(const media::MediaInput& video, const std::vector<std::vector<media::Face>>& faces, int crops,
                      const WatchedFaces& watched, const media::ReadLimits& limits) {
  std::vector<Track> tracks = tracks_of(faces);
  if (tracks.empty()) {
    Image page = dark_page(2 * heading_height);
    write(page, fmt::format("no face in {} frames", faces.size()), page.width / 2.0, heading_height + 6, heading_size,
          heading_ink, Align::center);
    return page;
  }
  choose(tracks, crops);
  cut_crops(video, limits, tracks);
  std::vector<Image> sheets;
  int height = 0;
  for (const Track& track : tracks) {
    sheets.push_back(media::contact_sheet(track.cells, columns));
    height += heading_height + sheets.back().height;
  }
  Image page = dark_page(height);
  int y = 0;
  for (size_t i = 0; i < tracks.size(); ++i) {
    write(page, heading(tracks[i]), margin, y + heading_height - 8, heading_size,
          is_watched(tracks[i].number, watched) ? heading_ink : other_color);
    media::paste(page, sheets[i], 0, y + heading_height);
    y += heading_height + sheets[i].height;
  }
  return page;
}

Image draw_face_page(const media::MediaInput& video, const std::vector<std::vector<media::Face>>& faces,
                     const WatchedFaces& watched, int frames, const media::ReadLimits& limits) {
  media::FrameReader reader(video, {.limits = limits});
  std::vector<media::Cell> cells;
  reader.read(spread(int64_t(faces.size()), frames), [&](const media::VideoFrame& frame) {
    const auto i = size_t(frame.index);
    cells.push_back({marked(frame.rgb, faces[i], watched[i]),
                     fmt::format("{}   {:.3f} s{}", frame.index, frame.seconds, faces[i].empty() ? "   no face" : "")});
  });
  const Image sheet = media::contact_sheet(cells, frame_columns), tracks = draw_face_sheet(video, faces, frames, watched, limits);
  Image page = dark_page(heading_height + sheet.height + tracks.height);
  const std::string title = title_of(video, faces, reader.end_s());
  write(page, media::shortened_text(title, heading_size, page.width - 2 * margin), margin, heading_height - 8, heading_size,
        title_ink);
  media::paste(page, sheet, 0, heading_height);
  media::paste(page, tracks, 0, heading_height + sheet.height);
  return page;
}

}  // namespace microemo::report
