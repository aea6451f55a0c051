#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "media_file.h"
#include "microemo/media/video_reader.h"

namespace microemo::media {

/// Where a packet lies.
struct PacketPlace {
  int64_t pts = 0, position = -1;  ///< its byte in the file; -1 where the container does not say
};

/// Where a decoder can begin: a key frame's packet.
using EntryPoint = PacketPlace;

/// Decodes the video stream of a file forward, from its start or from an entry point.
struct VideoDecoder {
  VideoDecoder(const MediaInput& input, const VideoReader::Options& reader_options);

  /// Decodes up to the next frame; false at the end.
  bool receive();
  /// The decoded frame's own time; where the file gives none, the end of the frame before.
  int64_t timestamp() const;
  /// The decoded frame, as that of this number.
  VideoFrame take(int64_t index);
  /// Goes on from there: the container may land on an earlier or a later frame. False when it cannot go there at all.
  bool enter(const EntryPoint& entry);
  /// Throws Error(data) when the pictures ended long before the file announces; where that is allowed, notes it as damage when
  /// there are any.
  void check_end(int64_t frames);

  VideoReader::Options options;
  MediaFile file;
  PacketReader packets;
  libav::CodecContext decoder;
  libav::Packet packet = libav::new_packet();
  libav::Frame frame = libav::new_frame();
  libav::ToRgb to_rgb;
  bool draining = false;
  int64_t bad_packets = 0, bad_in_a_row = 0;
  std::optional<BadPacket> first_bad;
  std::optional<Damage> damage;  ///< known at the end
  int64_t last_pts = AV_NOPTS_VALUE, last_duration = 0;
  /// All packets of the stream by their times, as reading the file from its start gives them; may be null.
  const std::vector<PacketPlace>* places = nullptr;
  /// Since it entered: a packet was not one of `places`. Containers that count their times count otherwise behind damage.
  bool strayed = false;
  /// Pictures before this time that no other picture refers to need not be decoded.
  int64_t unwanted_before = AV_NOPTS_VALUE;

 private:
  bool feed();
  void note_bad(int code);
  bool is_behind_a_gap() const;

  double packet_s_ = 0;  ///< time of the last packet
};

/// Containers whose packets are found by their byte alone.
bool enters_by_byte(const MediaFile& file);

}  // namespace microemo::media
