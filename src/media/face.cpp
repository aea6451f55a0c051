#include "microemo/media/face.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>

#include <opencv2/imgproc.hpp>

#include "face_models.h"
#include "matrix.h"
#include "microemo/base/error.h"

namespace microemo::media {
namespace {

constexpr char landmark_model[] = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";
constexpr double smallest_still_face = 80;
constexpr double same_face_overlap = 0.3;
constexpr double touching = 0.02;  // overlap of two people's boxes from which on one may hide the other
// A confirmed face keeps the box that the landmarks carried along while the detector's box overlaps at least so much: the
// detector's boxes jump by a tenth of their size, and the landmarks with them.
constexpr double keep_box_overlap = 0.5;
constexpr int patch_side = 24;
// A hidden face is expected where its own movement has brought it; widths of the face a frame, beyond which a movement is not
// believed.
constexpr double fastest = 0.15;
constexpr double newest_share = 0.3;  // of the movement that is expected

/// Where the points lie and how far they spread: what carries a box from frame to frame.
struct Extent {
  Point center;
  double spread = 1;
};

Extent extent_of(const std::array<Point, 68>& points) {
  Extent extent;
  for (const Point& p : points) {
    extent.center.x += p.x / 68;
    extent.center.y += p.y / 68;
  }
  double sum = 0;
  for (const Point& p : points) sum += std::pow(p.x - extent.center.x, 2) + std::pow(p.y - extent.center.y, 2);
  extent.spread = std::max(std::sqrt(sum / 68), 1.0);
  return extent;
}

/// `box` moved and scaled as the face has moved from one extent to the other.
Box carried(const Box& box, const Extent& from, const Extent& to) {
  const double scale = to.spread / from.spread;
  const auto x = [&](double v) { return (v - from.center.x) * scale + to.center.x; };
  const auto y = [&](double v) { return (v - from.center.y) * scale + to.center.y; };
  return {x(box.left), y(box.top), x(box.right), y(box.bottom)};
}

/// The middle of a face, small and normalised, to notice when something else is suddenly there.
cv::Mat patch_of(const cv::Mat& gray, const Box& box) {
  const cv::Rect window =
      cv::Rect(cv::Point(int(box.left), int(box.top)), cv::Point(int(box.right), int(box.bottom))) & cv::Rect({}, gray.size());
  if (window.width < 2 || window.height < 2) return {};
  cv::Mat small, patch;
  cv::resize(gray(window), small, {patch_side, patch_side}, 0, 0, cv::INTER_AREA);
  small.convertTo(patch, CV_32F);
  patch -= cv::mean(patch);
  const double norm = cv::norm(patch);
  return norm > 0 ? cv::Mat(patch / norm) : cv::Mat();
}

double likeness(const cv::Mat& a, const cv::Mat& b) { return a.empty() || b.empty() ? 0 : a.dot(b); }

bool is_plausible(const Extent& now, const Extent& before) {
  const double growth = now.spread / before.spread;
  const double jump = std::hypot(now.center.x - before.center.x, now.center.y - before.center.y) / before.spread;
  return growth > 0.8 && growth < 1.25 && jump < 0.5;
}

}  // namespace

std::filesystem::path default_landmark_model() {
  std::error_code trouble;
  if (!std::filesystem::exists(landmark_model, trouble))
    throw EnvironmentError("the 68-point landmark model is missing")
        .where(landmark_model)
        .hint("install the Debian package libdlib-data (tools/setup does)");
  return landmark_model;
}

std::vector<Face> detect_faces(const Image& image, double threshold) {
  thread_local FaceModels models;
  const Image gray_image = to_gray(image);
  const cv::Mat gray = matrix(gray_image);
  auto found = models.detect(gray, threshold, smallest_still_face);
  if (found.empty()) found = models.detect(gray, threshold, smallest_still_face / 2);
  std::vector<Face> faces;
  for (const Detection& detection : found)
    faces.push_back({detection.box, detection.score, models.landmarks(gray, detection.box), int(faces.size())});
  return faces;
}

namespace {

struct Track {
  int number = 0;
  Face last;          ///< box where the face is expected, landmarks of the last frame in which it was seen
  Extent extent;      ///< of last.landmarks
  cv::Mat patch;      ///< of the last frame in which it was seen
  cv::Mat portrait;   ///< of the last frame in which the detector agreed and no other face lay over it
  Box trusted;        ///< of the last frame in which it was seen and no other face lay over it
  int untrusted = 0;  ///< frames since then
  Point movement;     ///< of the box's middle, pixels a frame, averaged over frames that are trusted
  int confirmations = 0;
  int unconfirmed = 0;  ///< frames since the detector last agreed
  int missing = 0;      ///< frames since the face was last seen

  bool followed() const { return missing == 0; }
};

Point middle_of(const Box& box) { return {(box.left + box.right) / 2, (box.top + box.bottom) / 2}; }

/// The face was seen alone: its movement is told from one such frame to the next.
void trust(Track& track) {
  if (track.untrusted == 0 && track.trusted.width() > 0) {
    const Point from = middle_of(track.trusted), to = middle_of(track.last.box);
    track.movement = {track.movement.x + newest_share * (to.x - from.x - track.movement.x),
                      track.movement.y + newest_share * (to.y - from.y - track.movement.y)};
  }
  track.trusted = track.last.box;
  track.untrusted = 0;
}

/// A face that is not seen is expected where its own movement has brought it.
void expect(Track& track) {
  const bool is_believable = std::hypot(track.movement.x, track.movement.y) <= fastest * track.trusted.width();
  const double frames = is_believable ? track.untrusted : 0, x = frames * track.movement.x, y = frames * track.movement.y;
  track.last.box = {track.trusted.left + x, track.trusted.top + y, track.trusted.right + x, track.trusted.bottom + y};
}

}  // namespace

struct FaceTracker::State {
  explicit State(const FaceTrackOptions& tracker_options) : options(tracker_options), models(tracker_options.models) {}

  void place(Track& track, const cv::Mat& gray, const Box& box, double score);
  bool carry_on(Track& track, const cv::Mat& gray);
  bool is_same(const Track& track, const cv::Mat& gray, const Box& box) const;
  bool is_taken(const Track& track, const Box& box, double least) const;
  bool confirm(Track& track, const cv::Mat& gray);
  bool follow(Track& track, const cv::Mat& gray);
  void search(const cv::Mat& gray);
  void look_back(Track& track);
  void note_place(Track& track);
  void remember(Image gray);
  Track& track_at(const cv::Mat& gray, const Box& box);
  bool search_is_due(bool lost) const;

  FaceTrackOptions options;
  FaceModels models;
  std::vector<Track> tracks;
  std::vector<std::vector<Face>> frames;
  std::deque<Image> unsearched;      ///< the last frames in which no search was made, in grey
  std::map<int, int> confirmations;  ///< of every track of the clip
  int next_number = 0;
  int since_search = 0;
};

/// Takes the face at `box` as this track's face of the frame.
void FaceTracker::State::place(Track& track, const cv::Mat& gray, const Box& box, double score) {
  track.last = {box, score, models.landmarks(gray, box), track.number};
  track.extent = extent_of(track.last.landmarks);
  track.patch = patch_of(gray, box);
  track.missing = 0;
}

/// The face one frame later, without the detector. False when what is found there does not look like the same face.
bool FaceTracker::State::carry_on(Track& track, const cv::Mat& gray) {
  const Extent before = track.extent;
  const cv::Mat patch = patch_of(gray, track.last.box);
  if (likeness(patch, track.patch) < options.least_likeness) return false;
  const auto points = models.landmarks(gray, track.last.box);
  const Extent now = extent_of(points);
  if (!is_plausible(now, before)) return false;
  track.last.landmarks = points;
  track.last.box = carried(track.last.box, before, now);
  track.extent = now;
  track.patch = patch_of(gray, track.last.box);
  ++track.unconfirmed;
  return true;
}

/// Whether what lies at `box`, or where the face was, looks like this track's face.
bool FaceTracker::State::is_same(const Track& track, const cv::Mat& gray, const Box& box) const {
  const cv::Mat there = patch_of(gray, box);
  return likeness(there, track.patch) >= options.same_likeness || likeness(there, track.portrait) >= options.same_likeness ||
         likeness(patch_of(gray, track.last.box), track.patch) >= options.same_likeness;
}

/// Whether another track follows a face that shares so much with `box`.
bool FaceTracker::State::is_taken(const Track& track, const Box& box, double least) const {
  return std::any_of(tracks.begin(), tracks.end(), [&](const Track& other) {
    return other.number != track.number && other.followed() && overlap(other.last.box, box) >= least;
  });
}

bool FaceTracker::State::confirm(Track& track, const cv::Mat& gray) {
  const bool settled = track.confirmations >= options.min_track_frames;
  const double threshold = settled ? options.keep_threshold : options.threshold;
  const auto found = models.detect_near(gray, track.last.box, threshold);
  if (!found || !is_same(track, gray, found->box) || (!track.followed() && is_taken(track, found->box, same_face_overlap)))
    return false;
  const bool stays = track.followed() && overlap(found->box, track.last.box) >= keep_box_overlap && carry_on(track, gray);
  if (!stays) place(track, gray, found->box, found->score);
  track.last.score = found->score;
  track.unconfirmed = 0;
  ++track.confirmations;
  if (!is_taken(track, track.last.box, touching)) track.portrait = track.patch;
  return true;
}

bool FaceTracker::State::follow(Track& track, const cv::Mat& gray) {
  const bool settled = track.followed() && track.confirmations >= options.min_track_frames;
  if (settled && track.unconfirmed + 1 < options.verify_every && carry_on(track, gray)) return true;
  if (confirm(track, gray)) return true;
  ++track.missing;
  return false;
}

/// The known face that overlaps most with a detected one and looks like it, or a new track.
Track& FaceTracker::State::track_at(const cv::Mat& gray, const Box& box) {
  Track* best = nullptr;
  double best_overlap = same_face_overlap;
  for (Track& track : tracks)
    if (const double shared = overlap(track.last.box, box); shared >= best_overlap && is_same(track, gray, box))
      best = &track, best_overlap = shared;
  if (best) return *best;
  Track& fresh = tracks.emplace_back();
  fresh.number = next_number++;
  fresh.missing = 1;
  return fresh;
}

void FaceTracker::State::search(const cv::Mat& gray) {
  since_search = 0;
  for (const Detection& found : models.detect(gray, options.threshold, options.smallest_face)) {
    Track& track = track_at(gray, found.box);
    if (track.followed()) continue;
    const bool is_new = track.confirmations == 0;
    place(track, gray, found.box, found.score);
    track.unconfirmed = 0;
    ++track.confirmations;
    if (is_new) look_back(track);
  }
  unsearched.clear();
}

/// A face that appears between two searches is there before the one that finds it: it is followed backwards, as long as the
/// detector agrees.
void FaceTracker::State::look_back(Track& track) {
  Track earlier = track;
  for (size_t back = 1; back <= unsearched.size(); ++back) {
    auto& faces = frames[frames.size() - back];
    const bool found = confirm(earlier, matrix(unsearched[unsearched.size() - back]));
    const bool is_known = std::any_of(faces.begin(), faces.end(),
                                      [&](const Face& face) { return overlap(face.box, earlier.last.box) >= same_face_overlap; });
    if (!found || is_known) break;
    faces.push_back(earlier.last);
    track.confirmations = earlier.confirmations;
  }
}

void FaceTracker::State::remember(Image gray) {
  if (since_search == 0 || options.look_back <= 0) return;
  if (unsearched.size() == size_t(options.look_back)) unsearched.pop_front();
  unsearched.push_back(std::move(gray));
}

void FaceTracker::State::note_place(Track& track) {
  if (track.followed() && !is_taken(track, track.last.box, touching)) return trust(track);
  ++track.untrusted;
  if (!track.followed()) expect(track);
}

bool FaceTracker::State::search_is_due(bool lost) const {
  const bool alone = std::none_of(tracks.begin(), tracks.end(), [](const Track& track) { return track.followed(); });
  return frames.empty() || lost || since_search >= (alone ? options.search_every : options.detect_every);
}

FaceTracker::FaceTracker(const FaceTrackOptions& options) : state_(std::make_unique<State>(options)) {}
FaceTracker::~FaceTracker() = default;

void FaceTracker::add(const Image& frame) {
  State& s = *state_;
  Image gray_image = to_gray(frame);
  const cv::Mat gray = matrix(gray_image);
  ++s.since_search;
  bool lost = false;
  for (Track& track : s.tracks) {
    const bool was_followed = track.followed();
    lost |= !s.follow(track, gray) && was_followed;
  }
  if (s.search_is_due(lost)) s.search(gray);
  for (Track& track : s.tracks) s.note_place(track);
  std::erase_if(s.tracks, [&](const Track& track) { return track.missing > s.options.max_gap_frames; });
  auto& faces = s.frames.emplace_back();
  for (const Track& track : s.tracks) {
    if (!track.followed()) continue;
    faces.push_back(track.last);
    s.confirmations[track.number] = track.confirmations;
  }
  s.remember(std::move(gray_image));
}

std::vector<std::vector<Face>> FaceTracker::finish() {
  State& s = *state_;
  for (auto& faces : s.frames)
    std::erase_if(faces, [&](const Face& face) { return s.confirmations[face.track] < s.options.min_track_frames; });
  auto result = std::move(s.frames);
  s.frames.clear();
  s.tracks.clear();
  s.confirmations.clear();
  s.unsearched.clear();
  s.next_number = s.since_search = 0;
  return result;
}

std::vector<std::optional<Face>> main_face(const std::vector<std::vector<Face>>& faces) {
  std::map<int, double> weights;
  for (const auto& frame : faces)
    for (const Face& face : frame) weights[face.track] += face.box.width() * face.box.height() * face.score;
  std::vector<std::optional<Face>> chosen(faces.size());
  if (weights.empty()) return chosen;
  const auto heavier = [](const auto& a, const auto& b) { return a.second < b.second; };
  const int track = std::max_element(weights.begin(), weights.end(), heavier)->first;
  for (size_t i = 0; i < faces.size(); ++i)
    for (const Face& face : faces[i])
      if (face.track == track) chosen[i] = face;
  return chosen;
}

}  // namespace microemo::media
