#pragma once
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/model/window_options.h"

// Shapes: B clips, T moments (frames, pieces of sound), P tokens of each, M their width, W windows.

namespace microemo::model {

/// Tokens on the clip's clock.
struct TimedTokens {
  at::Tensor tokens_BTPM;
  at::Tensor times_BT;  ///< seconds, on the CPU
  at::Tensor mask_BT;   ///< bool, false is padding; on the CPU
};

/// Stretches of time, padded to the most of any clip. On the CPU.
struct WindowSpans {
  at::Tensor spans_BW2;  ///< float32 start and end in seconds; the end does not belong to it
  at::Tensor mask_BW;    ///< bool, false is padding
};

/// The windows of a branch whose moments are at these times, the whole clip first where it has tokens. `clips` holds the whole
/// clip (window 0) and the utterances. Sliding window i starts at moment i * stride (Ren et al. 2024, section 3.2); fixed ones
/// cover the clip up to its last moment. A clip without a moment has one such window.
WindowSpans windows_of(const WindowOptions& options, const WindowSpans& clips, const at::Tensor& times_BT,
                       const at::Tensor& mask_BT);

/// Which moments each window sees, [B, W, T] bool, by the rule above.
at::Tensor moments_of_windows(const at::Tensor& times_BT, const at::Tensor& mask_BT, const at::Tensor& spans_BW2);

/// The mean of the tokens that each window sees, [B, W, M].
at::Tensor mean_of_windows(const TimedTokens& memory, const at::Tensor& spans_BW2);

/// Throws Error(data) that names the first clip without any moment, for readers that have no token for it.
void require_moments(const at::Tensor& mask_BT, const std::vector<std::string>& ids);

}  // namespace microemo::model
