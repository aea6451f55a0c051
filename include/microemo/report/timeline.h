#pragma once
#include <string>
#include <vector>

#include "microemo/media/image.h"

namespace microemo::report {

/// What the model said about one utterance.
struct TimelineUtterance {
  double start_s = 0, end_s = 0;
  std::string words;                ///< spoken, may be empty
  std::vector<std::string> labels;  ///< from the answer
  std::string answer;
};

/// A moment of the clip as it is shown: the whole frame, and the face cut out of it (0 x 0 when none was found there).
struct TimelineFrame {
  double seconds = 0;
  media::Image frame, face;
};

/// A value over time; a value that is not finite leaves a gap.
struct TimelineSignal {
  std::string name;
  std::vector<double> seconds, values;
};

struct Timeline {
  std::string title, subtitle;
  double duration_s = 0;
  std::vector<TimelineFrame> frames;    ///< in order of time; empty for a clip without a picture
  std::vector<double> face_times;       ///< of every frame in which a face was looked for
  std::vector<bool> face_found;         ///< as many
  std::vector<TimelineSignal> signals;  ///< drawn one below the other, each scaled to its own largest value
  std::vector<std::string> remarks;     ///< "no sound in this file", one line each; the same one only once
  std::vector<TimelineUtterance> utterances;
};

/// One picture of a clip and of what was said about it, 1600 pixels wide, as high as needed: frames and faces along time, where a
/// face was found, the signals, the utterances, and under them a card for each with times, labels, words and answer. A line
/// of the picture says so when the font lacks a letter (media/text_drawing.h). Throws Error(internal) when times and values differ
/// in number or the duration is not above 0, and Error(environment) without the font.
media::Image draw_timeline(const Timeline& timeline);

}  // namespace microemo::report
