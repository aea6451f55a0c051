#pragma once
#include <array>
#include <vector>

#include "microemo/data/synth_labels.h"
#include "microemo/media/image.h"

namespace microemo::data {

/// A part of a picture: its left upper corner and size, pixels.
struct Area {
  int left = 0, top = 0, width = 0, height = 0;
};

/// Where the points of an area are displaced to by a movement of amplitude 1, pixels; row-major.
struct WarpField {
  Area area;
  std::vector<float> x, y;
};

/// The 68 landmarks in pixels of the shot, and the face's own directions: `right` from the outer corner of the left eye (in the
/// picture) to the right one, `down` across it. `eye_distance` is the unit of all amplitudes.
struct FaceFrame {
  std::array<media::Point, 68> landmarks{};
  media::Point right, down, middle;
  double eye_distance = 0;
};
FaceFrame face_frame(const std::array<media::Point, 68>& landmarks);

/// Fields D(x) = sum_i d_i w_i(x) / max(1, sum_i w_i(x)) with Gaussian weights about landmarks (control points), amplitude 1
/// meaning one eye distance. `warp_unit` is a movement that carries a meaning (not none); the other two are distractors: the
/// mouth opening, and the upper lids coming down.
WarpField warp_unit(const FaceFrame& face, FaceUnit unit);
WarpField warp_talk(const FaceFrame& face);
WarpField warp_blink(const FaceFrame& face);

/// Adds `amount` of a field to another that covers it.
void add_scaled(WarpField& sum, const WarpField& field, float amount);

}  // namespace microemo::data
