#include "prepare_sampling.h"

#include <algorithm>

namespace microemo::data {
namespace {

/// Far below a timestamp's resolution, far above the rounding of a product.
constexpr double rounding_s = 1e-6;

}  // namespace

FaceClock::FaceClock(const PrepareOptions& options)
    : period_s_(1 / (options.face_rate > 0 ? options.face_rate : options.face_rate_cap)) {}

bool FaceClock::takes(double seconds) {
  if (due_s_ && seconds < *due_s_ - period_s_ / 4) return false;
  // A file slower than the rate would let the due times fall behind, and a gap must not be followed by a burst.
  due_s_ = due_s_ && *due_s_ + period_s_ > seconds ? *due_s_ + period_s_ : seconds + period_s_;
  return true;
}

WholeFrames::WholeFrames(const PrepareOptions& options, int64_t total)
    : width_(int(options.frame_width)),
      height_(int(options.frame_height)),
      total_(total),
      count_(options.frame_rule == FrameRule::uniform ? std::min(options.frame_count, total) : 0),
      rate_(options.frame_rate) {}

void WholeFrames::take(const media::VideoFrame& frame) {
  images_.push_back(media::resize(frame.rgb, width_, height_));
  times_.push_back(frame.seconds);
}

double WholeFrames::due_s() const { return first_s_ + double(next_) / rate_; }

void WholeFrames::add(media::VideoFrame&& frame) {
  if (total_ > 0) {
    if (wants_next()) take(frame), ++next_;
    ++seen_;
    return;
  }
  if (last_)
    offer_last(frame.seconds);
  else
    first_s_ = frame.seconds;
  last_ = std::move(frame);
}

void WholeFrames::finish(double end_s) {
  if (last_) offer_last(std::max(end_s, last_->seconds + 2 * rounding_s));
  last_.reset();
}

void WholeFrames::offer_last(double shown_until_s) {
  if (due_s() >= shown_until_s - rounding_s) return;
  take(*last_);
  while (due_s() < shown_until_s - rounding_s) ++next_;
}

}  // namespace microemo::data
