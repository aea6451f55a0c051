#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/data/synth.h"
#include "microemo/data/synth_script.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/image.h"
#include "microemo/media/text_drawing.h"
#include "microemo/media/video_reader.h"

namespace microemo::data {
namespace {

constexpr int64_t clips_of_each_part = 3;
constexpr size_t movements_of_each_clip = 2;
constexpr int height = 216, whole_width = 384, side = height;
constexpr double amplification = 6;
constexpr int label_size = 14;
constexpr media::Color label_ink{255, 220, 0}, label_ground{32, 32, 32}, mark{255, 220, 0};

/// A clip's frames, and where the aligned crop of the face lies in each.
struct WatchedClip {
  std::vector<media::Image> frames;
  std::vector<std::optional<media::Similarity>> alignment;
};

WatchedClip watch(const std::filesystem::path& video) {
  media::VideoReader reader(video);
  media::FaceTracker tracker;
  WatchedClip clip;
  while (auto frame = reader.next()) {
    tracker.add(frame->rgb);
    clip.frames.push_back(std::move(frame->rgb));
  }
  clip.alignment = media::align_tracks(media::watched_faces(tracker.finish()), side);
  return clip;
}

media::Image blank(int width) { return {width, height, 3, std::vector<uint8_t>(size_t(width) * height * 3, 56)}; }

void label(media::Image& picture, const std::string& text) {
  media::fill_box(picture, 0, 0, media::text_width(text, label_size) + 10, 20, label_ground);
  media::draw_text(picture, text, {5, 15}, label_size, label_ink);
}

media::Image whole_frame(media::Image frame, const ClipScript& script, const std::string& text) {
  const double half = 1.1 * script.eye_distance;
  media::draw_box(frame, script.head_x - half, script.head_y - half, script.head_x + half, script.head_y + half, mark, 2);
  media::Image picture = media::resize(frame, whole_width, height);
  label(picture, text);
  return picture;
}

/// The aligned crop of a frame; empty where no face was found.
media::Image crop(const WatchedClip& clip, size_t frame) {
  return clip.alignment[frame] ? media::crop_face(clip.frames[frame], *clip.alignment[frame], side) : media::Image{0, 0, 3, {}};
}

media::Image labelled_crop(media::Image picture, const std::string& text) {
  if (picture.width == 0) picture = blank(side);
  label(picture, text);
  return picture;
}

double mean(const media::Image& gray) {
  return std::accumulate(gray.pixels.begin(), gray.pixels.end(), 0.0) / double(gray.pixels.size());
}

/// What is brighter at the apex is bright, what is darker is dark, once both are equally bright as a whole.
media::Image difference(const media::Image& onset, const media::Image& apex) {
  media::Image picture = blank(side);
  if (onset.width == 0 || apex.width == 0) return picture;
  const media::Image before = media::to_gray(onset), now = media::to_gray(apex);
  const double gain = mean(now) > 0 ? mean(before) / mean(now) : 1;
  for (size_t i = 0; i < before.pixels.size(); ++i) {
    const double value = 128 + amplification * (gain * now.pixels[i] - before.pixels[i]);
    std::fill_n(picture.pixels.begin() + std::ptrdiff_t(3 * i), 3, uint8_t(std::lround(std::clamp(value, 0.0, 255.0))));
  }
  return picture;
}

std::string caption(const ClipScript& script, const Movement& movement) {
  std::string text = fmt::format("{} {:.2f} s {} {:.3f}: ", script.id, movement.apex_s, movement.unit, movement.amplitude);
  if (movement.utterance < 0) return text + "pause";
  const ScriptedUtterance& u = script.utterances.at(size_t(movement.utterance));
  text += fmt::format("\"{}\", {} -> {}", u.sentence.text(), name_of(u.manner), u.labels[0]);
  return u.labels.size() > 1 ? text + ", " + u.labels[1] : text;
}

/// Onset and apex: both frames whole, both as aligned crops, and how the crops differ.
media::Cell movement_cell(const ClipScript& script, const WatchedClip& clip, const Movement& movement) {
  const auto frame_at = [&](double seconds) {
    return std::min(clip.frames.size() - 1, size_t(std::max(0.0, seconds * synth_rate + 1e-6)));
  };
  const size_t onset = frame_at(movement.onset_s), apex = frame_at(movement.apex_s + 0.5 / synth_rate);
  const std::string onset_text = fmt::format("onset {:.2f} s", double(onset) / synth_rate);
  const std::string apex_text = fmt::format("apex {:.2f} s", double(apex) / synth_rate);
  const media::Image onset_crop = crop(clip, onset), apex_crop = crop(clip, apex);
  const bool found = onset_crop.width > 0 && apex_crop.width > 0;
  media::Image row = blank(2 * whole_width + 3 * side);
  media::paste(row, whole_frame(clip.frames[onset], script, onset_text), 0, 0);
  media::paste(row, whole_frame(clip.frames[apex], script, apex_text), whole_width, 0);
  media::paste(row, labelled_crop(onset_crop, onset_text), 2 * whole_width, 0);
  media::paste(row, labelled_crop(apex_crop, apex_text), 2 * whole_width + side, 0);
  media::paste(row,
               labelled_crop(difference(onset_crop, apex_crop),
                             found ? fmt::format("apex - onset, x{:g}", amplification) : "no face found"),
               2 * whole_width + 2 * side, 0);
  return {row, caption(script, movement)};
}

}  // namespace

void write_synth_preview(const std::filesystem::path& folder, const SynthOptions& options, const std::filesystem::path& sheet) {
  media::check_png_name(sheet);
  std::vector<media::Cell> cells;
  for (SynthPart part : {SynthPart::train, SynthPart::test})
    for (int64_t index = 0;
         index < std::min(clips_of_each_part, part == SynthPart::train ? options.train_clips : options.test_clips); ++index) {
      const ClipScript script = draw_script(options, part, index);
      const WatchedClip clip = watch(folder / "clips" / (script.id + ".mp4"));
      for (size_t i = 0; i < std::min(movements_of_each_clip, script.movements.size()); ++i)
        cells.push_back(movement_cell(script, clip, script.movements[i]));
    }
  if (cells.empty()) throw DataError("no clip of the set has a movement to show").where(folder).hint("make more clips");
  media::write_png(sheet, media::contact_sheet(cells, 1));
}

}  // namespace microemo::data
