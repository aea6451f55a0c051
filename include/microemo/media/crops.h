#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "microemo/media/face.h"
#include "microemo/media/image.h"

namespace microemo::media {

/// Maps crop pixels to frame pixels: frame = scale * R(angle) * crop + (x, y).
struct Similarity {
  double a = 1, b = 0, x = 0, y = 0;  ///< [[a, -b], [b, a]] and translation
  Point apply(Point p) const { return {a * p.x - b * p.y + x, b * p.x + a * p.y + y}; }
};

/// How a face lies in its crop.
enum class CropStyle {
  eyes,  ///< outer eye corners at x = 0.22 and 0.78, y = 0.36 of the side; fitted to the person's own shape: the median over the
         ///< clip of the eye corners and the bridge of the nose (points 36, 39, 42, 45, 27-30)
  openface,  ///< as OpenFace 2 aligns (Baltrusaitis et al. 2018; 0.7 pixel a millimetre at 112): 24 points of jaw, nose and eyes
             ///< fitted to a mean face, which is not OpenFace's own; the face fills the crop from ear to ear
};

struct AlignOptions {
  int size = 64;  ///< side in pixels; the same part of the face at every size
  CropStyle style = CropStyle::eyes;
  double smooth_frames = 3.0;  ///< standard deviation of the Gaussian weights over time; 0: each frame by itself
  bool follow_motion =
      false;  ///< a parabola is fitted with these weights in place of a mean: a head that moves is not lagged behind
};

/// Rigid alignment of every frame of one clip to a square crop. The per-frame similarity, of least squares over points that
/// facial movements leave in place, is smoothed over time, so that what moves in the crops is the face and not the crop. Never
/// smoothed: the crops' content. Frames without a face get nothing; nothing is smoothed across them or across a cut.
std::vector<std::optional<Similarity>> align_faces(const std::vector<std::optional<Face>>& track, const AlignOptions& options);
std::vector<std::optional<Similarity>> align_faces(const std::vector<std::optional<Face>>& track, int size,
                                                   double smooth_frames = 3.0);

/// The same for faces of several tracks, as watched_faces gives them, track by track.
std::vector<std::optional<Similarity>> align_tracks(const std::vector<std::optional<Face>>& faces, const AlignOptions& options);
std::vector<std::optional<Similarity>> align_tracks(const std::vector<std::optional<Face>>& faces, int size);

/// Cuts one aligned crop out of a frame (bilinear, borders repeated). Channels as in the frame.
Image crop_face(const Image& frame, const Similarity& similarity, int size);

/// Holds the crops of one track still: registers each with an earlier one of the track, by the similarity of least squares
/// between their grey levels (Lucas-Kanade, inverse compositional; Baker and Matthews 2004) around eyes and nose, where pixels
/// that do not fit (a blink, a reflection) count less (Huber), and brightness and contrast are matched first. The earlier crop is
/// exchanged when the face no longer looks like it; where the registration fails, or moves away from the landmarks by a tenth of
/// the crop, these hold. It changes where crops are cut, never what is in them. One per track, fed in order of time.
class Stabilizer {
 public:
  Stabilizer(CropStyle style, int size);
  ~Stabilizer();
  Stabilizer(Stabilizer&&) noexcept;
  /// The frame's alignment, corrected. `aligned` is what align_faces says for crops of `size`; `frame` has 1 or 3 channels.
  Similarity add(const Image& frame, const Similarity& aligned);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Movement of the face against its neutral state: Lucas-Kanade flow of each grey crop [size, size] against the per-pixel median
/// of `crops` (gain-matched, two 5x5 box filters, 9 added to the diagonal, clamped to ±3 pixels), averaged to size/2, as int8 in
/// units of 3/127 pixel: [2, size/2, size/2], u then v. Empty crops give empty maps.
std::vector<std::vector<int8_t>> movement_maps(const std::vector<Image>& crops);

}  // namespace microemo::media
