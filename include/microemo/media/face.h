#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "microemo/media/image.h"
#include "microemo/media/repeats.h"

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

/// Every face in a still picture, best score first; `track` counts them. A picture in which none is found is searched once more
/// at twice its size, for faces down to 40 pixels. Throws Error(environment) as default_landmark_model does.
std::vector<Face> detect_faces(const Image& image, double threshold = 0.0);

/// Models of dlib's that are not in Debian, given by the user; empty: not used.
struct FaceModelFiles {
  /// mmod_human_face_detector.dat takes the place of the frontal detector; slow on a processor.
  std::filesystem::path cnn_detector = {};
  /// shape_predictor_5_face_landmarks.dat puts that detector's boxes where the 68-point model expects them.
  std::filesystem::path five_points = {};
};

struct FaceTrackOptions {
  int detect_every = 25;  ///< full-frame search for new faces every so many frames; a lost face starts one at once
  int verify_every = 5;   ///< the detector confirms a followed face, in a window around it, every so many frames
  int search_every = 3;   ///< full-frame search every so many frames while no face is followed
  int look_back = 8;      ///< a new face is looked for in so many frames before the search that found it, up to the search before
  double threshold = 0.2;       ///< detector score below which a new face is not taken
  double keep_threshold = 0;    ///< the same for a face that is followed already
  double smallest_face = 80;    ///< pixels; halving it makes every full-frame search four times as slow
  double least_likeness = 0.7;  ///< correlation of a face with itself one frame before; below it the detector has to find it anew
  double same_likeness = 0.5;   ///< correlation below which a face at the old place is another face (after a cut) and a new track
  int min_track_frames = 3;  ///< a new track is confirmed by the detector in each of so many frames, or dropped as a false alarm
  int max_gap_frames = 12;   ///< a face that comes back within so many frames, where it would have moved, keeps its track number
  FaceModelFiles models;
};

/// Follows faces through a clip. Feed every frame in order, then finish(). Between two confirmations by the detector the box is
/// carried on by the landmarks of the frame before, so a followed face costs about 1 ms a frame. Building the first one costs
/// about 0.6 s (models are shared by the process, loaded once); not thread-safe, one per thread. All frames of a clip have the
/// same size.
class FaceTracker {
 public:
  /// Throws Error(environment) as default_landmark_model does, and Error(data) for a model file that is missing, no model, or one
  /// of another kind.
  explicit FaceTracker(const FaceTrackOptions& options = {});
  ~FaceTracker();
  void add(const Image& frame);
  /// Faces of each frame that was added, tracks already cleaned. The tracker is then empty and can be used for the next clip.
  std::vector<std::vector<Face>> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What became of one track of a clip.
struct TrackSummary {
  int track = 0;
  int64_t first = 0, last = 0;  ///< frames in which its face is seen
  int64_t frames = 0;           ///< in which it is seen
  int64_t repeated = 0;         ///< of these: that show nothing new
  double coverage = 0;          ///< frames / (last - first + 1)
  double mean_score = 0;        ///< of the detector
};

/// Every track, in the order of its number. `repeats`, of each frame, may be empty: none is known. Throws Error(internal) when
/// it has another length than `faces`.
std::vector<TrackSummary> summarise_tracks(const std::vector<std::vector<Face>>& faces, const std::vector<Repeat>& repeats = {});

/// The face to look at in each frame. Tracks are taken by weight (sum of box area times score over the clip); each has the frames
/// from its first to its last, in which a short loss is a frame without a face, and the next ones have what is left: in a
/// dialogue that cuts from one person to the other, each is seen in turn.
std::vector<std::optional<Face>> watched_faces(const std::vector<std::vector<Face>>& faces);

/// The track with the largest sum of box area times score over the clip. Per frame the face of that track, or nothing.
std::vector<std::optional<Face>> main_face(const std::vector<std::vector<Face>>& faces);

}  // namespace microemo::media
