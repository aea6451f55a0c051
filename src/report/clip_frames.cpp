#include "microemo/report/clip_frames.h"

#include <algorithm>
#include <cstring>
#include <ranges>

#include "canvas.h"
#include "microemo/base/error.h"
#include "microemo/media/face.h"
#include "microemo/media/video_reader.h"

namespace microemo::report {
namespace {

constexpr double widening = 1.5;  // of the detector's box, which ends at the brows and the chin

Image cut_out(const Image& image, int left, int top, int side) {
  Image result = blank_page(side, side);
  for (int y = 0; y < side; ++y) std::memcpy(result.row(y), image.row(top + y) + 3 * size_t(left), 3 * size_t(side));
  return result;
}

}  // namespace

Image best_face(const Image& frame) {
  const std::vector<media::Face> faces = media::detect_faces(frame);
  if (faces.empty()) return {};
  const auto weight = [](const media::Face& face) { return face.box.width() * face.box.height() * face.score; };
  const media::Box& box = std::ranges::max_element(faces, {}, weight)->box;
  // The square round the face, as large as the frame allows.
  const int side = std::min({int(widening * std::max(box.width(), box.height())), frame.width, frame.height});
  const auto corner = [side](double low, double high, int most) {
    return std::clamp(int((low + high - side) / 2), 0, most - side);
  };
  return cut_out(frame, corner(box.left, box.right, frame.width), corner(box.top, box.bottom, frame.height), side);
}

std::vector<TimelineFrame> sample_frames(const media::MediaInput& video, double duration_s, int count,
                                         const media::ReadLimits& limits) {
  MICROEMO_CHECK(duration_s > 0 && count > 0, "{} frames of {} s", count, duration_s);
  const auto wanted = [&](size_t i) { return (double(i) + 0.5) * duration_s / count; };
  media::VideoReader reader(video, {.limits = limits});
  std::vector<TimelineFrame> frames;
  std::optional<media::VideoFrame> shown, next = reader.next();
  // A frame is shown until the next one begins.
  for (size_t i = 0; i < size_t(count); ++i) {
    while (next && (!shown || next->seconds <= wanted(i))) {
      shown = std::move(next);
      next = reader.next();
    }
    if (!shown || (!frames.empty() && frames.back().seconds == shown->seconds)) continue;
    frames.push_back({shown->seconds, shown->rgb, best_face(shown->rgb)});
  }
  return frames;
}

}  // namespace microemo::report
