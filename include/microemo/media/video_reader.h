#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "microemo/media/image.h"
#include "microemo/media/input.h"

namespace microemo::media {

struct VideoInfo {
  int width = 0, height = 0;  ///< as shown, after rotation
  int rotation = 0;           ///< clockwise degrees that were applied: 0, 90, 180, 270
  double start_s = 0;         ///< earliest start of any stream: the clip's zero
  double duration_s = 0;      ///< the container's claim; 0 when it makes none. Not to be trusted
  int64_t time_base_num = 0, time_base_den = 1;
  std::string container, video_codec, audio_codec;  ///< audio_codec empty without sound
  bool has_video = false, has_audio = false;
  int video_stream = -1, audio_stream = -1;  ///< that are read, by their number in the file
  int streams = 0;                           ///< of any kind
};

/// Facts of a file without decoding it; of a folder of pictures by its first. Throws Error(data): missing, empty, a folder
/// without a frame rate or the reverse, not media, over a limit, no stream that can be read, no such stream as was asked for; as
/// picture_files does.
VideoInfo probe(const MediaInput& input, const ReadLimits& limits = {});

/// Reads a file's packets to the end without decoding them: where and why it breaks off, or nothing. What cannot be decoded is
/// not found. Throws Error(data) as probe does.
std::optional<Damage> find_damage(const MediaInput& input, const ReadLimits& limits = {});

struct VideoFrame {
  int64_t index = 0;   ///< 0, 1, … in presentation order
  int64_t pts = 0;     ///< in the stream's time base, as in the file
  double seconds = 0;  ///< pts * time base - VideoInfo::start_s: the clock shared with the sound
  bool key = false;
  bool damaged = false;  ///< the decoder concealed errors in it, or it comes no later than the frame before
  std::string md5;       ///< of the decoded planes as ffmpeg's framemd5 prints it; filled when asked for
  int64_t bytes = 0;     ///< of the decoded planes, with md5
  Image rgb;             ///< rotated upright
};

/// Decodes a video stream from the start, frame by frame, in presentation order; no frame is left out at the end (the decoder is
/// drained). Local files only: playlists, concatenations and network addresses are refused. One decoder thread. Not thread-safe;
/// one reader per thread.
class VideoReader {
 public:
  struct Options {
    ReadLimits limits;
    bool md5 = false;
    bool rgb = true;  ///< false leaves VideoFrame::rgb empty (times only)
    /// With rgb: whether the frame of this number is to have it, asked once for each, in order; empty: all have.
    std::function<bool(int64_t index)> rgb_of = {};
  };
  /// Throws Error(data) as probe does, and when there is no video stream.
  explicit VideoReader(const MediaInput& input);
  VideoReader(const MediaInput& input, const Options& options);
  ~VideoReader();
  VideoReader(VideoReader&&) noexcept;

  const VideoInfo& info() const;
  /// The next frame, or nothing at the end. Throws Error(data) "truncated or damaged" naming the second when packets cannot be
  /// decoded up to the end that the container announces; single bad packets inside are counted and go on. With
  /// ReadLimits::partial such a file ends there, with the last frame before which none is missing, and tells its damage; without
  /// a frame it is an error still.
  std::optional<VideoFrame> next();
  /// Of a file that was read to its end: until_s is where the pictures end, or where the file breaks off when the pictures had
  /// ended before.
  const std::optional<Damage>& damage() const;
  int64_t bad_packets() const;
  /// The first of them; nothing while there is none.
  const std::optional<BadPacket>& first_bad_packet() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace microemo::media
