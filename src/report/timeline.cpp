#include "microemo/report/timeline.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "canvas.h"
#include "microemo/base/error.h"
#include "utterance_cards.h"

namespace microemo::report {
namespace {

using media::Point;

constexpr int page_width = 1600;
constexpr double margin = 40, track_left = 200, track_right = page_width - margin;
constexpr int text_size = 19, title_size = 34, subtitle_size = 21, number_size = 23, note_size = 16;
constexpr double highest_frame = 320;
constexpr double longest_frame_s = 1;
constexpr int strip_gap = 6, row_gap = 22, signal_height = 64, bar_height = 40, found_height = 16;

/// The page grows downwards; `y` is where the next part begins.
struct Page {
  const Timeline& timeline;
  Image image;
  double y = 0;

  double x_of(double seconds) const {
    return track_left + std::clamp(seconds / timeline.duration_s, 0.0, 1.0) * (track_right - track_left);
  }
  void name_row(const std::string& name, double height) {
    write(image, media::shortened_text(name, text_size, int(track_left - 16 - margin)), track_left - 16, y + height / 2 + 7,
          text_size, faint_ink, Align::right);
  }
};

void check(const Timeline& timeline) {
  MICROEMO_CHECK(timeline.duration_s > 0, "a timeline of {} s", timeline.duration_s);
  MICROEMO_CHECK(timeline.face_times.size() == timeline.face_found.size(), "{} face times and {} values",
                 timeline.face_times.size(), timeline.face_found.size());
  for (const TimelineSignal& signal : timeline.signals)
    MICROEMO_CHECK(signal.seconds.size() == signal.values.size(), "signal {} has {} times and {} values", signal.name,
                   signal.seconds.size(), signal.values.size());
}

bool has_faces(const Timeline& timeline) {
  return std::any_of(timeline.frames.begin(), timeline.frames.end(),
                     [](const TimelineFrame& frame) { return frame.face.width > 0; });
}

double cell_width(const Timeline& timeline) {
  return (track_right - track_left) / double(std::max<size_t>(timeline.frames.size(), 1));
}

/// The highest frame when all are made as wide as their cell, as far as the page allows.
double frame_height(const Timeline& timeline) {
  double height = 0;
  for (const TimelineFrame& frame : timeline.frames)
    height = std::max(height, (cell_width(timeline) - strip_gap) * frame.frame.height / frame.frame.width);
  return std::min(height, highest_frame);
}

double face_side(const Timeline& timeline) { return has_faces(timeline) ? std::min(150.0, cell_width(timeline) - strip_gap) : 0; }

void draw_heading(Page& page) {
  write(page.image, media::shortened_text(page.timeline.title, title_size, int(track_right - margin)), margin, page.y + 56,
        title_size, ink);
  write(page.image, media::shortened_text(page.timeline.subtitle, subtitle_size, int(track_right - margin)), margin, page.y + 92,
        subtitle_size, faint_ink);
  page.y += 116;
}

/// Each picture stands in the middle of the part of time it was taken from.
void draw_strip(Page& page) {
  if (page.timeline.frames.empty()) return;
  const double cell = cell_width(page.timeline), height = frame_height(page.timeline), side = face_side(page.timeline);
  page.name_row("frames", height);
  for (size_t i = 0; i < page.timeline.frames.size(); ++i) {
    const Image& frame = page.timeline.frames[i].frame;
    const int widest = int(cell) - strip_gap;
    const int width = std::clamp(int(height * frame.width / frame.height + 1e-6), 1, widest);
    media::paste(page.image,
                 media::resize(frame, width, std::clamp(width * frame.height / frame.width, 1, int(std::ceil(height)))),
                 int(track_left + double(i) * cell + strip_gap / 2.0 + (widest - width) / 2.0), int(page.y));
  }
  page.y += height + strip_gap;
  if (side == 0) return;
  page.name_row("faces", side);
  for (size_t i = 0; i < page.timeline.frames.size(); ++i) {
    const double left = track_left + (double(i) + 0.5) * cell - side / 2;
    const Image& face = page.timeline.frames[i].face;
    if (face.width > 0) {
      media::paste(page.image, media::resize(face, int(side), int(side)), int(left), int(page.y));
      continue;
    }
    media::fill_box(page.image, left, page.y, left + side, page.y + side, shade);
    write(page.image, "no face", left + side / 2, page.y + side / 2 + 6, note_size, faint_ink, Align::center);
  }
  page.y += side + strip_gap;
}

/// Every looked-at frame owns the time up to the next one, but a gap in the clip is no time in which a face was seen.
void draw_found(Page& page) {
  const Timeline& timeline = page.timeline;
  if (timeline.face_times.empty()) return;
  page.y += row_gap;
  page.name_row("face found", found_height);
  media::fill_box(page.image, track_left, page.y, track_right, page.y + found_height, shade);
  for (size_t i = 0; i < timeline.face_times.size(); ++i) {
    const double next = i + 1 < timeline.face_times.size() ? timeline.face_times[i + 1] : timeline.duration_s;
    const double end = std::min(next, timeline.face_times[i] + longest_frame_s);
    if (timeline.face_found[i])
      media::fill_box(page.image, page.x_of(timeline.face_times[i]), page.y, page.x_of(end), page.y + found_height,
                      series_color(2));
  }
  page.y += found_height;
}

void draw_signal(Page& page, const TimelineSignal& signal) {
  page.y += row_gap;
  page.name_row(signal.name, signal_height);
  double most = 0;
  for (const double value : signal.values)
    if (std::isfinite(value)) most = std::max(most, value);
  const double base = page.y + signal_height;
  media::draw_line(page.image, {track_left, base}, {track_right, base}, rule, 1);
  for (size_t i = 1; i < signal.values.size() && most > 0; ++i) {
    if (!std::isfinite(signal.values[i - 1]) || !std::isfinite(signal.values[i])) continue;
    const auto place = [&](size_t at) {
      return Point{page.x_of(signal.seconds[at]), base - std::max(0.0, signal.values[at]) / most * (signal_height - 4)};
    };
    media::draw_line(page.image, place(i - 1), place(i), ink, 2);
  }
  page.y += signal_height;
}

/// A tint behind the tracks shows which time belongs to which utterance.
void shade_utterances(Page& page, double from, double to) {
  for (size_t i = 0; i < page.timeline.utterances.size(); ++i) {
    const TimelineUtterance& utterance = page.timeline.utterances[i];
    media::fill_box(page.image, page.x_of(utterance.start_s), from, page.x_of(utterance.end_s), to,
                    lighter(series_color(i), 0.86));
  }
}

void draw_bars(Page& page) {
  page.y += row_gap;
  page.name_row("utterances", bar_height);
  for (size_t i = 0; i < page.timeline.utterances.size(); ++i) {
    const TimelineUtterance& utterance = page.timeline.utterances[i];
    const double left = page.x_of(utterance.start_s), right = std::max(left + 3, page.x_of(utterance.end_s));
    media::fill_box(page.image, left, page.y, right, page.y + bar_height, series_color(i));
    const std::string number = std::to_string(i + 1);
    if (media::text_width(number, number_size) + 6 < right - left)
      write(page.image, number, (left + right) / 2, page.y + bar_height / 2.0 + 9, number_size, paper, Align::center);
  }
  page.y += bar_height;
}

void draw_axis(Page& page) {
  page.y += 10;
  media::draw_line(page.image, {track_left, page.y}, {track_right, page.y}, faint_ink, 2);
  const std::vector<double> values = ticks(0, page.timeline.duration_s, 10);
  for (const double value : values) {
    media::draw_line(page.image, {page.x_of(value), page.y}, {page.x_of(value), page.y + 7}, faint_ink, 1);
    const std::string text = tick_text(value, tick_step(values));
    const double half = media::text_width(text, text_size) / 2.0;
    write(page.image, text, std::min(page.x_of(value), track_right - half), page.y + 30, text_size, faint_ink, Align::center);
  }
  const double beside = media::text_width(tick_text(0, tick_step(values)), text_size) / 2.0 + 16;
  write(page.image, "seconds", track_left - beside, page.y + 30, text_size, faint_ink, Align::right);
  page.y += 48;
}

double tracks_height(const Timeline& timeline) {
  const double found = timeline.face_times.empty() ? 0 : row_gap + found_height;
  return found + double(timeline.signals.size()) * (row_gap + signal_height) + row_gap + bar_height;
}

void draw_remarks(Page& page, const std::vector<std::string>& remarks) {
  for (const std::string& remark : remarks) {
    write(page.image, remark, margin, page.y + 24, text_size, faint_ink);
    page.y += 30;
  }
}

/// A remark that is made about several utterances stands there once, with their number.
std::vector<std::string> once_each(const std::vector<std::string>& remarks) {
  std::vector<std::string> list;
  for (auto remark = remarks.begin(); remark != remarks.end(); ++remark) {
    if (std::find(remarks.begin(), remark, *remark) != remark) continue;
    const auto times = std::count(remark, remarks.end(), *remark);
    list.push_back(times == 1 ? *remark : fmt::format("{} ({} times)", *remark, times));
  }
  return list;
}

bool draws_every_letter(const Timeline& timeline) {
  return media::can_draw(timeline.title + timeline.subtitle) &&
         std::ranges::all_of(timeline.utterances, [](const TimelineUtterance& utterance) {
           return media::can_draw(utterance.words + utterance.answer) && std::ranges::all_of(utterance.labels, media::can_draw);
         });
}

/// In lines that fit.
std::vector<std::string> all_remarks(const Timeline& timeline) {
  std::vector<std::string> remarks = once_each(timeline.remarks);
  if (!draws_every_letter(timeline))
    remarks.push_back("a box stands for a letter that the font of this picture does not have; the JSON beside it has the text");
  std::vector<std::string> lines;
  for (const std::string& remark : remarks)
    std::ranges::copy(media::wrapped_text(remark, text_size, int(track_right - margin)), std::back_inserter(lines));
  return lines;
}

}  // namespace

media::Image draw_timeline(const Timeline& timeline) {
  check(timeline);
  const std::vector<std::string> remarks = all_remarks(timeline);
  const std::vector<Card> cards = lay_out_cards(timeline.utterances, margin, track_right);
  const double strip = timeline.frames.empty() ? 0 : frame_height(timeline) + face_side(timeline) + 2 * strip_gap;
  const double height = 116 + strip + tracks_height(timeline) + 58 + cards_height(cards) + double(remarks.size()) * 30 + margin;
  Page page{timeline, blank_page(page_width, int(std::ceil(height)))};
  draw_heading(page);
  draw_strip(page);
  shade_utterances(page, page.y, page.y + tracks_height(timeline));
  draw_found(page);
  for (const TimelineSignal& signal : timeline.signals) draw_signal(page, signal);
  draw_bars(page);
  draw_axis(page);
  draw_cards(page.image, cards, page.y);
  page.y += cards_height(cards);
  draw_remarks(page, remarks);
  return std::move(page.image);
}

}  // namespace microemo::report
