#pragma once
#include <vector>

#include "microemo/media/image.h"

namespace microemo::media {

/// What a frame shows that the one before it has shown.
enum class Repeat {
  none,
  field,  ///< every second row: telecine by fields (3:2 pulldown) mixes two pictures in such a frame
  frame,  ///< the whole picture: it was put in to reach a higher rate, or the picture stands still
};

/// Finds the frames of a clip that bring nothing new. Feed every frame in order, then finish(). Cells of 16 x 16 pixels are
/// compared with those of the frame before, even and odd rows apart; a field is repeated when the cell that changes most, mean
/// absolute difference in grey levels, stays below 0.5 or below a tenth of what is usual around it (the fourth fifth of six
/// frames on either side): an encoder leaves a little in a repeated picture, and a face that moves while all else is
/// still changes its cells. One per thread. All frames of a clip have the same size.
class RepeatFinder {
 public:
  /// A picture of 1 (grey) or 3 channels. Throws Error(internal) when its size is not that of the first.
  void add(const Image& frame);
  /// Of each frame that was added; the first is never a repeat. The finder is then empty.
  std::vector<Repeat> finish();

 private:
  struct Change {
    double even = 0, odd = 0;  ///< of the rows
  };
  Image last_;
  std::vector<Change> changes_;
};

}  // namespace microemo::media
