#pragma once
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

namespace microemo::media {

/// Where media come from: a local file, bytes in memory, or a folder of pictures (picture_folder.h). A path can stand wherever
/// one is taken.
struct MediaInput {
  std::filesystem::path path;                ///< of the file; for bytes the name that errors give
  std::shared_ptr<const std::string> bytes;  ///< null: those of the file
  int video_stream = -1, audio_stream = -1;  ///< numbers in the file (ffprobe's index); -1 takes the best
  double frame_rate = 0;                     ///< frames a second of a folder of pictures; 0: a file

  template <class Path>
  requires std::convertible_to<Path, std::filesystem::path> MediaInput(Path&& file) : path(std::forward<Path>(file)) {}
  /// Read where they are, without a copy; readers share them.
  MediaInput(std::shared_ptr<const std::string> content, std::filesystem::path name)
      : path(std::move(name)), bytes(std::move(content)) {}
};

/// Limits against hostile or broken files; a file over one is refused with an error that names the limit.
struct ReadLimits {
  int64_t max_pixels = 4096 * 4096;  ///< of one frame
  double max_seconds = 4 * 3600;     ///< of sound read as a whole
  int64_t max_streams = 64;
  double probe_mb = 5, probe_seconds = 5;  ///< that are read to learn about the streams
  double stall_seconds = 60;               ///< without a packet or a frame, by the clock: the file is taken to hang
  int64_t max_bad_packets = 1000;          ///< in a row that give no frame
  bool partial = false;  ///< a file that breaks off is read up to there, and tells its Damage, instead of refused
};

template <class Visitor>
void describe(Visitor& option, ReadLimits& o) {
  constexpr double most = 1e9;
  option("max_pixels", o.max_pixels, "A file with larger pictures is refused.").min(1).max(most);
  option("max_seconds", o.max_seconds, "A sound that is longer is refused.").min(0).max(most);
  option("max_streams", o.max_streams, "A file with more streams is refused.").min(1).max(1e6);
  option("max_bad_packets", o.max_bad_packets, "A file with more in a row that the decoder refuses is refused.").min(0).max(most);
  option("probe_mb", o.probe_mb, "Megabytes that are read to learn about the streams.").min(0.001).max(most);
  option("probe_seconds", o.probe_seconds, "Seconds of media that are read for it.").min(0.001).max(most);
  option("stall_seconds", o.stall_seconds,
         "A file that gives nothing for so long is taken to hang; five times as long within one call of the decoder.")
      .min(0.001)
      .max(most);
}

/// Where a file breaks off: it is truncated, or what follows cannot be decoded.
struct Damage {
  double until_s = 0;  ///< up to here nothing is missing, on the clip's clock
  std::string reason;
};

/// A packet that the decoder refused.
struct BadPacket {
  int64_t number = 0;  ///< among those of its stream that were read, from 0
  double seconds = 0;  ///< its time on the clip's clock
  std::string reason;
};

}  // namespace microemo::media
