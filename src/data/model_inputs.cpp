// What the model has to know of its inputs. Nothing here reads media: a program that makes batches of its own needs none.
#include "microemo/data/prepared.h"
#include "microemo/data/sample.h"

namespace microemo::data {

const std::vector<std::string>& movement_classes() {
  static const std::vector<std::string> classes = {"none", "brow_up", "brow_down", "lip_up", "lip_down", "lid", "nose"};
  return classes;
}

const std::vector<std::string>& voice_classes() {
  static const std::vector<std::string> classes = {"flat", "lively"};
  return classes;
}

model::InputShapes input_shapes(const PrepareOptions& prepare, int64_t vocabulary) {
  model::InputShapes shapes;
  shapes.frame_width = prepare.frame_width;
  shapes.frame_height = prepare.frame_height;
  shapes.mel_bands = prepare.mel_bands;
  shapes.vocabulary = vocabulary;
  shapes.movement_classes = int64_t(movement_classes().size());
  shapes.voice_classes = int64_t(voice_classes().size());
  shapes.face_side = prepare.face_input == FaceInput::flow ? prepare.face_size / 2 : prepare.face_size;
  switch (prepare.face_input) {
    case FaceInput::flow:
      shapes.face_channels = 2;
      shapes.face_scale = 3.0 / 127;
      break;
    case FaceInput::difference:
      shapes.face_channels = 1;
      shapes.face_scale = 1.0 / 32;
      break;
    case FaceInput::rgb_difference:
      shapes.face_channels = 4;
      shapes.face_scale = 1 / 127.5;
      shapes.face_shift = 0.5 / 127.5;  // colour was moved by 128, not by 127.5
      break;
    case FaceInput::gray:
      shapes.face_channels = 1;
      break;
    case FaceInput::rgb:
      shapes.face_channels = 3;
      break;
  }
  if (prepare.face_input == FaceInput::gray || prepare.face_input == FaceInput::rgb) {
    shapes.face_scale = 1 / 127.5;
    shapes.face_shift = -1;
  }
  return shapes;
}

double piece_seconds(SoundInput sound) { return sound == SoundInput::whisper ? 30.0 : 2.0; }

}  // namespace microemo::data
