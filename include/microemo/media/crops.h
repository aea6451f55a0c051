#pragma once
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

/// Rigid alignment of every frame of one clip to a square crop of `size` pixels with the outer eye corners at x = 0.22 and 0.78,
/// y = 0.36 of it. The per-frame similarity (from the eye corners and the bridge of the nose: points 36, 39, 42, 45, 27-30, which
/// facial movements leave in place) is smoothed over time by a Gaussian of `smooth_frames`, so that what moves in the crops is
/// the face and not the crop. Frames without a face get nothing.
std::vector<std::optional<Similarity>> align_faces(const std::vector<std::optional<Face>>& track, int size,
                                                   double smooth_frames = 3.0);

/// The same for faces of several tracks, as watched_faces gives them, track by track.
std::vector<std::optional<Similarity>> align_tracks(const std::vector<std::optional<Face>>& faces, int size);

/// Cuts one aligned crop out of a frame (bilinear, borders repeated). Channels as in the frame.
Image crop_face(const Image& frame, const Similarity& similarity, int size);

/// Movement of the face against its neutral state: Lucas-Kanade flow of each grey crop [size, size] against the per-pixel median
/// of `crops` (gain-matched, two 5x5 box filters, 9 added to the diagonal, clamped to ±3 pixels), averaged to size/2, as int8 in
/// units of 3/127 pixel: [2, size/2, size/2], u then v. Empty crops give empty maps.
std::vector<std::vector<int8_t>> movement_maps(const std::vector<Image>& crops);

}  // namespace microemo::media
