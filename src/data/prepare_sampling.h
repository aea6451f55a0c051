#pragma once
#include <optional>
#include <vector>

#include "microemo/data/prepared.h"
#include "microemo/media/image.h"
#include "microemo/media/video_reader.h"

namespace microemo::data {

/// Decides which frames show a face to the model: all of them up to the rate (face_rate, or face_rate_cap where that is 0), else
/// the first one that comes when the next is due. A quarter of a period early is on time, so that rounded timestamps drop
/// nothing. Two clocks fed with the same times agree.
class FaceClock {
 public:
  explicit FaceClock(const PrepareOptions& options);
  /// Ask for every frame, in order.
  bool takes(double seconds);

 private:
  double period_s_;
  std::optional<double> due_s_;
};

/// Picks the whole frames. FrameRule::rate: those that are shown at first + k / frame_rate, of each such time the last frame that
/// is not later; one that is shown at several of them is taken once. FrameRule::uniform: of `total` frames number
/// floor(k total / n) for each k below n = min(frame_count, total).
class WholeFrames {
 public:
  WholeFrames(const PrepareOptions& options, int64_t total);
  /// Whether add() looks at the pixels of the frame that comes next.
  bool wants_next() const { return total_ == 0 || (next_ < count_ && next_ * total_ / count_ == seen_); }
  void add(media::VideoFrame&& frame);
  /// `end_s` is the end of the last frame.
  void finish(double end_s);

  /// Resized to frame_width x frame_height, with the presentation time of each.
  const std::vector<media::Image>& images() const { return images_; }
  std::vector<media::Image> take_images() { return std::move(images_); }
  const std::vector<double>& times() const { return times_; }

 private:
  void offer_last(double shown_until_s);
  double due_s() const;
  void take(const media::VideoFrame& frame);

  int width_, height_;
  int64_t total_, count_;  ///< of frames, and of those that are taken; 0 with a rate
  int64_t seen_ = 0;
  double rate_;
  double first_s_ = 0;
  int64_t next_ = 0;  ///< k
  std::optional<media::VideoFrame> last_;
  std::vector<media::Image> images_;
  std::vector<double> times_;
};

}  // namespace microemo::data
