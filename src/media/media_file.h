#pragma once
#include <chrono>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>

#include "libav.h"
#include "memory_input.h"
#include "microemo/base/error.h"
#include "microemo/media/video_reader.h"
#include "picture_packets.h"

namespace microemo::media {

/// Tells a file that is read from one that hangs, by the clock.
class Watch {
 public:
  explicit Watch(double limit_s) : limit_s_(limit_s) {}
  /// A packet or a frame has come.
  void passed() { last_ = std::chrono::steady_clock::now(); }
  bool stalled() const { return std::chrono::steady_clock::now() - last_ > std::chrono::duration<double>(limit_s_); }

 private:
  double limit_s_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// An opened container and the streams that are read from it; -1 where there is none.
struct MediaFile {
  std::unique_ptr<Watch> watch;              ///< libav asks it while it reads
  std::unique_ptr<MemoryInput> memory;       ///< libav reads from it; null for a file
  std::unique_ptr<PicturePackets> pictures;  ///< of a folder, which take the place of the container; null for a file
  libav::FormatContext format;
  std::filesystem::path path;
  ReadLimits limits;
  VideoInfo info;
  int video_stream = -1, audio_stream = -1;
  std::deque<libav::Packet> read_ahead = {};  ///< packets of all streams that come before those that libav reads next

  const AVStream& stream(int index) const { return *format->streams[index]; }
  /// A time of a stream on the clip's clock.
  double seconds(int stream_index, int64_t timestamp) const {
    return double(timestamp) * av_q2d(stream(stream_index).time_base) - info.start_s;
  }
};

/// What the container says about a stream's length, in its time base; AV_NOPTS_VALUE where it says nothing.
int64_t claimed_duration(const AVFormatContext& format, const AVStream& stream);

/// Opens a local file, bytes in memory, or a folder of pictures within the limits and finds its streams. Throws Error(data) as
/// probe does.
MediaFile open_media(const MediaInput& input, const ReadLimits& limits);
/// The same for one who decodes the pictures: what is not needed for them may stay unknown, which is quicker.
MediaFile open_pictures(const MediaInput& input, const ReadLimits& limits);
/// The folder of pictures; decodes the first of them.
MediaFile open_picture_folder(const MediaInput& input, const ReadLimits& limits);

/// A decoder for one stream, with one thread and the limit on pixels. Throws Error(data) when there is none for its codec.
libav::CodecContext open_decoder(const MediaFile& file, int stream_index);

/// Reads a container's packets to the end and remembers how far they reached, to tell a file that ends from one that was cut off.
class PacketReader {
 public:
  explicit PacketReader(MediaFile& file) : file_(file) {}

  /// Reads the next packet of the stream; false at the end. Packets of other streams are skipped, but their times are noted.
  /// Where a file that breaks off may be read (ReadLimits::partial), a packet whose rest is missing is left out.
  bool next(int stream_index, AVPacket& packet);
  /// Where and why the packets of all streams ended, when that was long before the end that the container announces, or when they
  /// could not be read on; nothing for a whole file. At the end.
  std::optional<Damage> damage() const;
  /// The same as it concerns one stream, of which `reached_s` is where what was decoded ends.
  std::optional<Damage> damage(int stream_index, double reached_s) const;
  /// Throws Error(data) when there is damage.
  void check_complete() const;
  /// Decoding time of the last packet of the stream: what is shown later may follow pictures that are missing. AV_NOPTS_VALUE
  /// where packets have none.
  int64_t last_dts() const { return last_dts_; }
  /// Packets that were read of the stream.
  int64_t count() const { return count_; }
  /// Where the last packet of the stream that was read ends, on the clip's clock.
  double stream_end_s() const { return stream_end_s_; }

 private:
  int read_next(AVPacket& packet);
  void note(const AVPacket& packet, int stream_index);
  bool is_cut(const AVPacket& packet) const;
  bool has_ended(int stream_index) const;

  MediaFile& file_;
  double end_s_ = 0, stream_end_s_ = 0;
  int failure_ = 0;
  int64_t count_ = 0, last_dts_ = AV_NOPTS_VALUE;
};

/// What may be missing at the end before a file counts as truncated, in seconds: rounding of times, the last frame's length.
inline constexpr double end_tolerance_s = 0.3;

Error stalled(const std::filesystem::path& path, const ReadLimits& limits);
Error truncated(const MediaFile& file, const Damage& damage);

}  // namespace microemo::media
