#include "audio_sinc.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <numeric>

namespace microemo::media {
namespace {

constexpr int lowpass_width = 6;  ///< zero crossings on either side
constexpr double rolloff = 0.99;

/// Eight samples at once, with the vector types that GCC and Clang have on every processor.
using Eight = float __attribute__((vector_size(32)));
constexpr int64_t eight = 8;

Eight load(const float* from) {
  Eight result;
  std::memcpy(&result, from, sizeof result);
  return result;
}

float dot(const float* a, const float* b, int64_t count) {
  Eight sum{};
  for (int64_t i = 0; i < count; i += eight) sum += load(a + i) * load(b + i);
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/// The filter of one output sample of every block of `from` samples. torchaudio computes it in single precision, which moves
/// its values by up to 4e-5 where the rates have no large common divisor; the order of the roundings is its own.
struct Phase {
  float shift, cut_off, scale;

  float position(int64_t sample, int64_t from) const {
    const float t = (float(sample) / float(from) + shift) * cut_off;
    return std::clamp(t, -float(lowpass_width), float(lowpass_width));
  }
  float weight(float t) const {
    const float pi = std::numbers::pi_v<float>;
    const float root = std::cos(t * pi / float(lowpass_width) / 2.0F), window = root * root * scale;
    const float angle = t * pi;
    return (angle == 0 ? 1.0F : std::sin(angle) / angle) * window;
  }
};

}  // namespace

SincResampler::SincResampler(int from, int to) : from_(from / std::gcd(from, to)), to_(to / std::gcd(from, to)) {
  const double cut_off = double(std::min(from_, to_)) * rolloff;
  const auto width = int64_t(std::ceil(lowpass_width * double(from_) / cut_off));
  // Only the taps within the window's zeros; torchaudio multiplies by the zeros of the whole block as well.
  taps_ = (2 * width + 1 + eight) / eight * eight;
  weights_.resize(size_t(to_ * taps_));
  for (int64_t p = 0; p < to_; ++p) {
    const Phase phase{float(-p) / float(to_), float(cut_off), float(cut_off / double(from_))};
    const int64_t begin = p * from_ / to_ - width;
    begins_.push_back(begin);
    for (int64_t i = 0; i < taps_; ++i) {
      const float t = phase.position(begin + i, from_);
      weights_[size_t(p * taps_ + i)] = std::abs(t) < float(lowpass_width) ? phase.weight(t) : 0.0F;
    }
  }
  kept_begin_ = -width;
  kept_.assign(size_t(width), 0.0F);
}

void SincResampler::give(int64_t count, std::vector<float>& out) {
  for (; given_ < count; ++given_) {
    const int64_t first = next_begin() - kept_begin_;
    if (first + taps_ > int64_t(kept_.size())) return;
    out.push_back(dot(kept_.data() + first, weights_.data() + phase_ * taps_, taps_));
    if (++phase_ < to_) continue;
    phase_ = 0;
    block_begin_ += from_;
  }
}

void SincResampler::add(std::span<const float> in, std::vector<float>& out) {
  taken_ += int64_t(in.size());
  kept_.insert(kept_.end(), in.begin(), in.end());
  give(std::numeric_limits<int64_t>::max(), out);
  // Rates far apart may need samples that have not come yet.
  const int64_t past = std::clamp<int64_t>(next_begin() - kept_begin_, 0, int64_t(kept_.size()));
  kept_.erase(kept_.begin(), kept_.begin() + past);
  kept_begin_ += past;
}

void SincResampler::finish(std::vector<float>& out) {
  const int64_t total = (taken_ * to_ + from_ - 1) / from_;
  kept_.resize(kept_.size() + size_t(2 * (taps_ + from_)), 0.0F);
  give(total, out);
}

}  // namespace microemo::media
