#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "microemo/media/image.h"

namespace microemo::media {

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
};

/// One face in one frame: dlib's HOG box and its 68 landmarks (iBUG order), in pixels of the frame.
struct Face {
  Box box;
  double score = 0;  ///< of the detector when it last ran on this face
  std::array<Point, 68> landmarks{};
  int track = 0;  ///< same number: same face, followed by overlap of boxes
};

/// Where the landmark model of libdlib-data lies; Error(environment) names the package when it is missing.
std::filesystem::path default_landmark_model();

/// Every face in a still picture, best score first.
std::vector<Face> detect_faces(const Image& image, double threshold = 0.0);

struct FaceTrackOptions {
  int detect_every = 10;       ///< full-frame detection every so many frames; in between the region around each face is searched
  double threshold = 0.2;      ///< detector score below which a face is not taken
  int min_track_frames = 3;    ///< shorter tracks are dropped as false alarms
};

/// Follows faces through a clip. Feed every frame in order, then finish(). Building one costs about 0.6 s (models are shared by the process, loaded
/// once); not thread-safe, one per thread.
class FaceTracker {
 public:
  explicit FaceTracker(const FaceTrackOptions& options = {});
  ~FaceTracker();
  void add(const Image& frame);
  /// Faces of each frame that was added, tracks already cleaned. The tracker is then empty and can be used for the next clip.
  std::vector<std::vector<Face>> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The track to look at: largest sum of box area times score over the clip. Per frame the face of that track, or nothing.
std::vector<std::optional<Face>> main_face(const std::vector<std::vector<Face>>& faces);

}  // namespace microemo::media
