#pragma once
#include <filesystem>

#include "media_file.h"

namespace microemo::media {

/// The packets of a file's sound on their way into another one, in order, with their times on the clip's clock. Not thread-safe.
class CopiedSound {
 public:
  /// Throws Error(data) as open_media does.
  explicit CopiedSound(const std::filesystem::path& path);

  /// Whether there is sound, of a kind that an MP4 holds.
  bool is_possible() const;
  /// The stream that the packets will belong to; before the header is written.
  AVStream* add_stream(AVFormatContext& output);
  /// Writes the packets that begin no later. Returns libav's code, below 0 for an error of the output.
  int write_until(AVFormatContext& output, double seconds);

 private:
  bool read();

  MediaFile file_;
  PacketReader packets_;
  libav::Packet packet_ = libav::new_packet();
  AVStream* stream_ = nullptr;
  bool is_read_ = false;  ///< packet_ holds one that is not written yet
  bool is_over_ = false;
};

}  // namespace microemo::media
