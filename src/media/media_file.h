#pragma once
#include <filesystem>

#include "libav.h"
#include "microemo/base/error.h"
#include "microemo/media/video_reader.h"

namespace microemo::media {

/// An opened container and the streams that are read from it; -1 where there is none.
struct MediaFile {
  libav::FormatContext format;
  std::filesystem::path path;
  ReadLimits limits;
  VideoInfo info;
  int video_stream = -1, audio_stream = -1;

  const AVStream& stream(int index) const { return *format->streams[index]; }
  /// A time of a stream on the clip's clock.
  double seconds(int stream_index, int64_t timestamp) const {
    return double(timestamp) * av_q2d(stream(stream_index).time_base) - info.start_s;
  }
};

/// Opens a local file within the limits and finds its streams. Throws Error(data) as probe does.
MediaFile open_media(const std::filesystem::path& path, const ReadLimits& limits);

/// A decoder for one stream, with one thread and the limit on pixels. Throws Error(data) when there is none for its codec.
libav::CodecContext open_decoder(const MediaFile& file, int stream_index);

/// Reads a container's packets to the end and remembers how far they reached, to tell a file that ends from one that was cut off.
class PacketReader {
 public:
  explicit PacketReader(MediaFile& file) : file_(file) {}

  /// Reads the next packet of the stream; false at the end. Packets of other streams are skipped, but their times are noted.
  bool next(int stream_index, AVPacket& packet);
  /// Throws Error(data) when the packets ended long before the end that the container announces, or could not be read on.
  void check_complete() const;
  /// Where the last packet of the stream that was read ends, on the clip's clock.
  double stream_end_s() const { return stream_end_s_; }

 private:
  void note(const AVPacket& packet, int stream_index);

  MediaFile& file_;
  double end_s_ = 0, stream_end_s_ = 0;
  int failure_ = 0;
};

/// What may be missing at the end before a file counts as truncated, in seconds: rounding of times, the last frame's length.
inline constexpr double end_tolerance_s = 0.3;

Error truncated(const MediaFile& file, double reached_s, const std::string& why);

}  // namespace microemo::media
