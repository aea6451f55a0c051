#include <algorithm>
#include <cmath>

#include "microemo/base/error.h"
#include "microemo/data/synth.h"
#include "microemo/data/synth_script.h"
#include "microemo/media/image.h"
#include "microemo/media/video_reader.h"

namespace microemo::data {
namespace {

constexpr int64_t clips_of_each_part = 6;
constexpr size_t movements_of_each_clip = 2;
constexpr int columns = 2;
constexpr int cell_height = 270, whole_width = 480;
constexpr double face_half_width = 1.1;  // of the enlarged square, in eye distances

std::vector<media::Image> read_frames(const std::filesystem::path& video) {
  media::VideoReader reader(video);
  std::vector<media::Image> frames;
  while (auto frame = reader.next()) frames.push_back(std::move(frame->rgb));
  return frames;
}

struct Square {
  int left, top, side;
};

Square face_square(const ClipScript& script) {
  const double half = face_half_width * script.eye_distance;
  return {int(script.head_x - half), int(script.head_y - half), int(2.0 * half)};
}

media::Image enlarged_face(const media::Image& frame, const Square& face) {
  media::Image square{face.side, face.side, 3, std::vector<uint8_t>(size_t(face.side) * size_t(face.side) * 3)};
  media::paste(square, frame, -face.left, -face.top);
  return media::resize(square, cell_height, cell_height);
}

std::string caption(const ClipScript& script, const Movement& movement) {
  std::string text = fmt::format("{} {:.2f} s {} {:.3f}: ", script.id, movement.apex_s, movement.unit, movement.amplitude);
  if (movement.utterance < 0) return text + "pause";
  const ScriptedUtterance& u = script.utterances.at(size_t(movement.utterance));
  text += fmt::format("\"{}\", {} -> {}", u.sentence.text(), name_of(u.manner), u.labels[0]);
  return u.labels.size() > 1 ? text + ", " + u.labels[1] : text;
}

/// The whole frame at the apex, then the face in the last frame before the movement and at the apex.
media::Cell movement_cell(const ClipScript& script, const std::vector<media::Image>& frames, const Movement& movement) {
  const auto frame_at = [&](double seconds) -> const media::Image& {
    return frames.at(std::min(frames.size() - 1, size_t(std::max(0.0, seconds * synth_rate))));
  };
  const Square face = face_square(script);
  const media::Image &before = frame_at(movement.onset_s), &apex = frame_at(movement.apex_s + 0.5 / synth_rate);
  media::Image picture{whole_width + 2 * cell_height, cell_height, 3, {}};
  picture.pixels.resize(size_t(picture.width) * cell_height * 3);
  media::Image whole = apex;
  media::draw_box(whole, face.left, face.top, face.left + face.side, face.top + face.side, {255, 220, 0}, 2);
  media::paste(picture, media::resize(whole, whole_width, cell_height), 0, 0);
  media::paste(picture, enlarged_face(before, face), whole_width, 0);
  media::paste(picture, enlarged_face(apex, face), whole_width + cell_height, 0);
  return {picture, caption(script, movement)};
}

}  // namespace

void write_synth_preview(const std::filesystem::path& folder, const SynthOptions& options, const std::filesystem::path& sheet) {
  std::vector<media::Cell> cells;
  for (SynthPart part : {SynthPart::train, SynthPart::test})
    for (int64_t index = 0;
         index < std::min(clips_of_each_part, part == SynthPart::train ? options.train_clips : options.test_clips); ++index) {
      const ClipScript script = draw_script(options, part, index);
      const std::vector<media::Image> frames = read_frames(folder / "clips" / (script.id + ".mp4"));
      for (size_t i = 0; i < std::min(movements_of_each_clip, script.movements.size()); ++i)
        cells.push_back(movement_cell(script, frames, script.movements[i]));
    }
  if (cells.empty()) throw DataError("no clip of the set has a movement to show").where(folder).hint("make more clips");
  media::write_png(sheet, media::contact_sheet(cells, columns));
}

}  // namespace microemo::data
