#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "microemo/media/video_reader.h"

namespace microemo::media {

/// A frame as the file's packets tell of it, before it is decoded.
struct IndexedFrame {
  int64_t pts = 0;     ///< in the stream's time base
  double seconds = 0;  ///< as VideoFrame::seconds
  bool key = false;    ///< decoding can begin here
};

/// Frames of a video by their number, in any order, equal to those that VideoReader gives one after the other: same number, same
/// times, same decoded planes.
///
/// The packets are read once to know all times. Frames are then decoded in one forward pass for each call, which jumps where a
/// key frame shortens the way; the time of the first frame behind a jump is compared with the index, an earlier key frame is
/// taken where the container lands too late, and the start of the file in the end. Files whose packets do not have all times (AVI
/// with B-frames) are decoded once to know them, and are then read without jumps. Thread rule: one reader per thread.
class FrameReader {
 public:
  /// Throws Error(data) as VideoReader does, at once also for a file that ends too early, if its limits do not allow that. Of
  /// such a file the frames up to the damage are there; pictures that cannot be decoded are found when they are read.
  explicit FrameReader(const MediaInput& input, const VideoReader::Options& options = {});
  ~FrameReader();
  FrameReader(FrameReader&&) noexcept;

  const VideoInfo& info() const;
  /// In the order of presentation: frame i is VideoFrame::index i.
  const std::vector<IndexedFrame>& frames() const;
  /// End of the last frame, in seconds.
  double end_s() const;
  /// As VideoReader::damage.
  const std::optional<Damage>& damage() const;
  /// The frame that is shown at a time: the last one that begins no later, or the first. Throws Error(data) for times before 0
  /// and behind the end, naming it.
  int64_t shown_at(double seconds) const;

  /// Calls visit(frame) for each of `indices`, which ascend, in their order; a frame that is asked for twice is given twice.
  /// Throws Error(data) for an index that is not there, and naming the time of a frame that cannot be decoded.
  void read(const std::vector<int64_t>& indices, const std::function<void(const VideoFrame&)>& visit);
  /// In the order of `indices`, whatever it is.
  std::vector<VideoFrame> read(const std::vector<int64_t>& indices);

  /// Frames decoded so far, for tests and benches.
  int64_t decoded() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How many frames VideoReader gives, as far as the packets tell, without decoding any; nothing where they do not have all times.
/// What the decoder refuses is counted too, and a file that breaks off is counted up to there, whatever the limits say of it.
/// Throws Error(data) as probe does.
std::optional<int64_t> announced_frames(const MediaInput& input, const ReadLimits& limits = {});

// Which frames of a clip are taken, by the rules of the public code.

/// floor(i total / count) for i below count; all frames of a shorter clip (TimeChat's "uniform" in exact arithmetic).
std::vector<int64_t> uniform_frames(int64_t total, int64_t count);
/// The same as NumPy computes it, np.arange(0, total, total / count).astype(int): where a product rounds down, one less.
std::vector<int64_t> timechat_frames(int64_t total, int64_t count);
/// The middle of each of `count` stretches of equal length, floor((i + 1/2) total / count); all frames of a shorter clip.
std::vector<int64_t> middle_frames(int64_t total, int64_t count);
/// The frames shown every 1 / rate seconds from the first frame's time on, each once.
std::vector<int64_t> frames_at_rate(const std::vector<IndexedFrame>& frames, double end_s, double rate);

}  // namespace microemo::media
