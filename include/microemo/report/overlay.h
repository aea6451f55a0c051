#pragma once
#include <string>
#include <vector>

#include "microemo/media/face.h"
#include "microemo/media/image.h"

namespace microemo::report {

/// What holds in a part of a clip, half-open [start_s, end_s).
struct TimedText {
  double start_s = 0, end_s = 0;
  std::string text;
};

/// What is shown over and under a clip's pictures.
struct Overlay {
  double duration_s = 0;
  std::vector<TimedText> words;   ///< spoken; in order of start
  std::vector<TimedText> labels;  ///< said by a model; in order of start
};

/// Draws a clip's frames with faces on them and a band under them. The picture itself is hidden by nothing but boxes, points and
/// their tags. The band has the time, the words and the labels of the moment (shortened where they do not fit) and a bar of the
/// utterances with a cursor: those of the labels, or of the words where there are no labels. Frames narrower than 480 pixels are
/// enlarged by a whole number; frames are centred where the band is wider. Immutable once made, safe to share between threads.
class OverlayPainter {
 public:
  /// Size of the clip's frames in pixels. Throws Error(environment) without the font, Error(internal) for a clip without duration
  /// and for texts that end before they start.
  OverlayPainter(int frame_width, int frame_height, Overlay overlay);

  /// Of the pictures that draw() makes; both even.
  int width() const { return width_; }
  int height() const { return height_; }

  /// `faces` in pixels of the frame; the one with the track number `watched` (-1: none) has a colour of its own. A tag over each
  /// box has track number and detector score.
  media::Image draw(const media::Image& frame, double seconds, const std::vector<media::Face>& faces, int watched) const;

 private:
  void draw_face(media::Image& page, const media::Face& face, bool is_watched) const;
  void draw_band(media::Image& page, double seconds) const;
  void draw_bar(media::Image& page, double top, double seconds) const;
  double bar_x(double seconds) const;

  Overlay overlay_;
  int frame_width_, frame_height_, scale_, left_, text_size_, width_ = 0, height_ = 0;
};

}  // namespace microemo::report
