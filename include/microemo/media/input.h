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
  int max_streams = 64;
  double probe_mb = 5, probe_seconds = 5;  ///< that are read to learn about the streams
  double stall_seconds = 60;               ///< without a packet or a frame, by the clock: the file is taken to hang
  int64_t max_bad_packets = 1000;          ///< in a row that give no frame
};

/// A packet that the decoder refused.
struct BadPacket {
  int64_t number = 0;  ///< among those of its stream that were read, from 0
  double seconds = 0;  ///< its time on the clip's clock
  std::string reason;
};

}  // namespace microemo::media
