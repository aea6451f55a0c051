#pragma once
#include "microemo/media/resample.h"

namespace microemo::media {

/// torchaudio.functional.resample with its defaults (make_resampler).
class SincResampler : public Resampler {
 public:
  SincResampler(int from, int to);
  void add(std::span<const float> in, std::vector<float>& out) override;
  void finish(std::vector<float>& out) override;

 private:
  void give(int64_t count, std::vector<float>& out);
  int64_t next_begin() const { return block_begin_ + begins_[size_t(phase_)]; }

  int64_t from_, to_;  ///< without their common divisor
  int64_t taken_ = 0, given_ = 0;
  int64_t phase_ = 0, block_begin_ = 0;  ///< of the next sample that goes out
  int64_t taps_ = 0;                     ///< of one phase, a multiple of eight
  std::vector<int64_t> begins_;          ///< of every phase: its first tap's sample, counted from the block's first
  std::vector<float> weights_;           ///< [phases, taps]
  std::vector<float> kept_;              ///< samples that later ones need
  int64_t kept_begin_ = 0;               ///< number of the first of them; negative: silence before the sound
};

}  // namespace microemo::media
