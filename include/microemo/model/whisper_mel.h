#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

// Shapes: B sounds, N samples at 16 kHz.

namespace microemo::model {

/// The log-mel spectrogram that Whisper wants, [B, mel_bands, 100 seconds], of samples in [-1, 1]: rows are filled with silence
/// to `seconds`. 25 ms periodic Hann windows every 10 ms, reflected at the ends; power; mel bands of Slaney's scale and area up
/// to 8 kHz; log10, floored at 8 under the row's largest, over 4 and plus 1 (transformers' WhisperFeatureExtractor). Throws
/// Error(data) for a row that is longer than `seconds`.
at::Tensor whisper_log_mel(const at::Tensor& samples_BN, int64_t mel_bands = 80, int64_t seconds = 30);

}  // namespace microemo::model
