#include "microemo/report/face_sheet.h"

#include <algorithm>
#include <array>

#include "microemo/base/error.h"

namespace microemo::report {
namespace {

bool overlap(const media::Box& one, const media::Box& other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

/// Above the box, below it, beside it, and within it in the end.
std::array<media::Point, 9> choices(const media::Box& box, double width, double height) {
  const double above = box.top - height, right_end = box.right - width;
  return {{{box.left, above},
           {right_end, above},
           {box.left, box.bottom},
           {right_end, box.bottom},
           {box.right, box.top},
           {box.left - width, box.top},
           {box.right, box.bottom - height},
           {box.left - width, box.bottom - height},
           {std::max(box.left, 0.0), std::max(box.top, 0.0)}}};
}

}  // namespace

std::vector<std::optional<media::Point>> place_tags(int width, int height, const std::vector<media::Box>& boxes,
                                                    const std::vector<int>& tag_widths, int tag_height) {
  MICROEMO_CHECK(boxes.size() == tag_widths.size(), "{} labels of {} faces", tag_widths.size(), boxes.size());
  std::vector<std::optional<media::Point>> places(boxes.size());
  std::vector<media::Box> taken;
  for (size_t i = 0; i < boxes.size(); ++i)
    for (media::Point place : choices(boxes[i], tag_widths[i], tag_height)) {
      place.x = std::clamp(place.x, 0.0, std::max(0.0, double(width - tag_widths[i])));
      const media::Box tag{place.x, place.y, place.x + tag_widths[i], place.y + tag_height};
      const bool is_inside = tag.top >= 0 && tag.bottom <= height && tag.right <= width;
      if (!is_inside || std::ranges::any_of(taken, [&](const media::Box& other) { return overlap(tag, other); })) continue;
      places[i] = place;
      taken.push_back(tag);
      break;
    }
  return places;
}

}  // namespace microemo::report
