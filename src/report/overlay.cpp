#include "microemo/report/overlay.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "canvas.h"
#include "microemo/base/error.h"

namespace microemo::report {
namespace {

constexpr int narrowest = 480, smallest_text = 14, largest_text = 64;
constexpr size_t lines_of_words = 2;
constexpr Color band{24, 26, 28}, band_ink{238, 240, 242}, band_faint{160, 168, 176}, empty_bar{62, 66, 70},
    cursor{255, 255, 255};
constexpr Color watched_color{255, 220, 0}, other_color{120, 190, 255}, tag_ink{16, 16, 16};

int even(int value) { return value + value % 2; }

/// The one that holds at a time; of several the one that began last.
const TimedText* at_time(const std::vector<TimedText>& texts, double seconds, size_t* index = nullptr) {
  const TimedText* found = nullptr;
  for (size_t i = 0; i < texts.size(); ++i)
    if (texts[i].start_s <= seconds && seconds < texts[i].end_s) {
      found = &texts[i];
      if (index) *index = i;
    }
  return found;
}

/// Colours for a dark ground.
Color bright_color(size_t index) { return lighter(series_color(index), 0.3); }

struct BandRows {
  double time, words, labels, bar, end;  ///< tops, from that of the band
};

BandRows rows_of(const Overlay& overlay, int size) {
  const double line = 1.45 * size;
  BandRows rows{};
  rows.time = 0.5 * size;
  rows.words = rows.time + line;
  rows.labels = rows.words + (overlay.words.empty() ? 0 : double(lines_of_words) * line);
  rows.bar = rows.labels + (overlay.labels.empty() ? 0 : 1.3 * line) + 0.35 * size;
  rows.end = rows.bar + 0.9 * size + 0.7 * size;
  return rows;
}

std::vector<std::string> words_lines(const std::string& text, int size, int width) {
  std::vector<std::string> lines = media::wrapped_text(text, size, width);
  if (lines.size() <= lines_of_words) return lines;
  std::string rest = lines[lines_of_words - 1];
  for (size_t i = lines_of_words; i < lines.size(); ++i) rest += " " + lines[i];
  lines.resize(lines_of_words);
  lines.back() = media::shortened_text(rest, size, width);
  return lines;
}

void check(const std::vector<TimedText>& texts) {
  for (const TimedText& text : texts)
    MICROEMO_CHECK(text.start_s <= text.end_s, "a text from {} to {} s", text.start_s, text.end_s);
}

}  // namespace

OverlayPainter::OverlayPainter(int frame_width, int frame_height, Overlay overlay)
    : overlay_(std::move(overlay)), frame_width_(frame_width), frame_height_(frame_height) {
  MICROEMO_CHECK(frame_width > 0 && frame_height > 0, "frames of {} x {}", frame_width, frame_height);
  MICROEMO_CHECK(overlay_.duration_s > 0, "an overlay of {} s", overlay_.duration_s);
  check(overlay_.words);
  check(overlay_.labels);
  media::check_font();
  scale_ = std::max(1, (narrowest + frame_width - 1) / frame_width);
  // A narrow but high picture is not enlarged out of all proportion: the band is then wider than it.
  scale_ = std::min(scale_, std::max(1, 2 * narrowest / frame_height));
  width_ = even(std::max(frame_width * scale_, narrowest));
  left_ = (width_ - frame_width * scale_) / 2;
  text_size_ = std::clamp(std::min(width_, frame_height * scale_ * 16 / 9) / 40, smallest_text, largest_text);
  height_ = even(frame_height * scale_ + int(std::ceil(rows_of(overlay_, text_size_).end)));
}

double OverlayPainter::bar_x(double seconds) const {
  const double inset = text_size_;
  return inset + std::clamp(seconds / overlay_.duration_s, 0.0, 1.0) * (width_ - 2 * inset);
}

void OverlayPainter::draw_face(Image& page, const media::Face& face, bool is_watched) const {
  const Color color = is_watched ? watched_color : other_color;
  const int line = std::max(2, text_size_ / 8), size = std::max(smallest_text, text_size_ * 3 / 4);
  const auto place = [&](double x, double y) { return media::Point{left_ + x * scale_, y * scale_}; };
  const media::Point low = place(face.box.left, face.box.top), high = place(face.box.right, face.box.bottom);
  media::draw_box(page, low.x, low.y, high.x, high.y, color, line);
  // A small face has its points close together.
  const int dot = std::clamp(int(face.box.width() * scale_ / 110), 1, 4);
  for (const media::Point& point : face.landmarks) media::draw_dot(page, place(point.x, point.y), dot, color);
  const std::string tag = fmt::format("track {}  {:.2f}", face.track, face.score);
  const double width = media::text_width(tag, size) + 0.6 * size, height = 1.35 * size;
  const double left = std::clamp(low.x - line / 2.0, 0.0, std::max(0.0, page.width - width));
  const double most = double(frame_height_) * scale_ - height;
  const double top = std::clamp(low.y - height >= 0 ? low.y - height : low.y, 0.0, std::max(0.0, most));
  media::fill_box(page, left, top, left + width, top + height, color);
  write(page, tag, left + 0.3 * size, top + size, size, tag_ink);
}

void OverlayPainter::draw_bar(Image& page, double top, double seconds) const {
  const double height = 0.9 * text_size_, overhang = 0.25 * text_size_;
  media::fill_box(page, bar_x(0), top, bar_x(overlay_.duration_s), top + height, empty_bar);
  const std::vector<TimedText>& parts = overlay_.labels.empty() ? overlay_.words : overlay_.labels;
  for (size_t i = 0; i < parts.size(); ++i) {
    const double left = bar_x(parts[i].start_s), right = std::max(left + 2, bar_x(parts[i].end_s) - 1);
    const bool is_now = parts[i].start_s <= seconds && seconds < parts[i].end_s;
    media::fill_box(page, left, top, right, top + height, is_now ? bright_color(i) : series_color(i));
  }
  const double x = bar_x(seconds), half = std::max(1.0, text_size_ / 12.0);
  media::fill_box(page, x - half - 1, top - overhang, x + half + 1, top + height + overhang, band);
  media::fill_box(page, x - half, top - overhang, x + half, top + height + overhang, cursor);
}

void OverlayPainter::draw_band(Image& page, double seconds) const {
  const double top = double(frame_height_) * scale_, inset = text_size_;
  const BandRows rows = rows_of(overlay_, text_size_);
  const int widest = width_ - 2 * text_size_;
  media::fill_box(page, 0, top, page.width, page.height, band);
  write(page, fmt::format("{:.2f} / {:.2f} s", seconds, overlay_.duration_s), inset, top + rows.time + text_size_, text_size_,
        band_faint);
  size_t index = 0;
  const TimedText* words = at_time(overlay_.words, seconds, &index);
  const TimedText* labels = at_time(overlay_.labels, seconds, &index);
  if (words || labels)
    write(page, fmt::format("utterance {} of {}", index + 1, (labels ? overlay_.labels : overlay_.words).size()), width_ - inset,
          top + rows.time + text_size_, text_size_, band_faint, Align::right);
  double y = top + rows.words;
  if (words)
    for (const std::string& line : words_lines(words->text, text_size_, widest)) {
      write(page, line, inset, y + text_size_, text_size_, band_ink);
      y += 1.45 * text_size_;
    }
  const int label_size = text_size_ * 5 / 4;
  if (labels)
    write(page, media::shortened_text(labels->text, label_size, widest), inset, top + rows.labels + label_size, label_size,
          bright_color(index));
  draw_bar(page, top + rows.bar, seconds);
}

Image OverlayPainter::draw(const Image& frame, double seconds, const std::vector<media::Face>& faces, int watched) const {
  MICROEMO_CHECK(frame.width == frame_width_ && frame.height == frame_height_, "a frame of {} x {} for an overlay of {} x {}",
                 frame.width, frame.height, frame_width_, frame_height_);
  Image page{width_, height_, 3, std::vector<uint8_t>(size_t(width_) * size_t(height_) * 3)};
  media::paste(page, media::resize(frame, frame_width_ * scale_, frame_height_ * scale_), left_, 0);
  for (const media::Face& face : faces)
    if (face.track != watched) draw_face(page, face, false);
  for (const media::Face& face : faces)
    if (face.track == watched) draw_face(page, face, true);
  draw_band(page, seconds);
  return page;
}

}  // namespace microemo::report
