#include "video_decoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

extern "C" {
#include <libavutil/md5.h>
}

#include "in_call.h"
#include "microemo/base/error.h"

namespace microemo::media {

using namespace libav;

namespace {

/// Of the planes without padding, as ffmpeg's framemd5 sees them.
void add_md5(const AVFrame& frame, VideoFrame& result) {
  const auto format = AVPixelFormat(frame.format);
  const int size = av_image_get_buffer_size(format, frame.width, frame.height, 1);
  if (size < 0) throw InternalError("a decoded frame without a known size: {}", reason(size));
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  av_image_copy_to_buffer(bytes.data(), size, frame.data, frame.linesize, format, frame.width, frame.height, 1);
  std::array<uint8_t, 16> digest;
  av_md5_sum(digest.data(), bytes.data(), bytes.size());
  for (const uint8_t byte : digest) result.md5 += fmt::format("{:02x}", byte);
  result.bytes = size;
}

bool is_among(const std::vector<PacketPlace>& places, const AVPacket& packet) {
  auto place = std::ranges::lower_bound(places, packet.pts, {}, &PacketPlace::pts);
  for (; place != places.end() && place->pts == packet.pts; ++place)
    if (place->position == packet.pos) return true;
  return false;
}

}  // namespace

VideoDecoder::VideoDecoder(const MediaInput& input, const VideoReader::Options& reader_options)
    : options(reader_options), file(open_pictures(input, reader_options.limits)), packets(file) {
  if (!file.info.has_video)
    throw DataError("the file has sound but no video stream").where(input.path).hint("give a video, or read its sound alone");
  decoder = open_decoder(file, file.video_stream);
}

bool enters_by_byte(const MediaFile& file) {
  const char* name = file.format->iformat->name;
  return std::strcmp(name, "mpegts") == 0 || std::strcmp(name, "mpeg") == 0;
}

bool VideoDecoder::enter(const EntryPoint& entry) {
  const bool by_byte = !file.pictures && enters_by_byte(file);
  if (by_byte && entry.position < 0) return false;
  const auto seek = [&](int stream, int64_t place, int flags) {
    return avformat_seek_file(file.format.get(), stream, std::numeric_limits<int64_t>::min(), place, place, flags);
  };
  const auto go = [&] {
    if (file.pictures) return file.pictures->seek(entry.pts);
    return by_byte ? seek(-1, entry.position, AVSEEK_FLAG_BYTE) : seek(file.video_stream, entry.pts, 0);
  };
  const int code = in_call(go);
  if (code < 0) return false;
  file.read_ahead.clear();
  avcodec_flush_buffers(decoder.get());
  strayed = false;
  draining = false;
  last_pts = AV_NOPTS_VALUE;
  last_duration = 0;
  return true;
}

/// One packet to the decoder, or the signal to drain after the last; false when that was given before.
bool VideoDecoder::feed() {
  if (draining) return false;
  draining = !packets.next(file.video_stream, *packet);
  if (!draining && places) strayed |= !is_among(*places, *packet);
  const int64_t time = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
  if (!draining && time != AV_NOPTS_VALUE) packet_s_ = file.seconds(file.video_stream, time);
  const bool unwanted =
      !draining && unwanted_before != AV_NOPTS_VALUE && packet->pts != AV_NOPTS_VALUE && packet->pts < unwanted_before;
  decoder->skip_frame = unwanted ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
  const int code = in_call([&] { return avcodec_send_packet(decoder.get(), draining ? nullptr : packet.get()); });
  av_packet_unref(packet.get());
  if (code < 0 && code != AVERROR_EOF) note_bad(code);
  return true;
}

void VideoDecoder::note_bad(int code) {
  if (file.pictures) throw file.pictures->undecodable(reason(code));
  if (bad_packets++ == 0) first_bad = {packets.count() - 1, packet_s_, reason(code)};
  if (++bad_in_a_row <= options.limits.max_bad_packets) return;
  throw DataError(
      "{} packets in a row cannot be decoded, over the limit max_bad_packets = {}; the last is packet {} at {:.3f} s ({})",
      bad_in_a_row, options.limits.max_bad_packets, packets.count() - 1, packet_s_, reason(code))
      .where(file.path)
      .hint("copy or download the file again, or convert it with ffmpeg");
}

bool VideoDecoder::receive() {
  for (;;) {
    const int code = in_call([&] { return avcodec_receive_frame(decoder.get(), frame.get()); });
    file.watch->passed();
    if (code >= 0) {
      bad_in_a_row = 0;
      if (file.pictures) file.pictures->check(*frame);
      if (!is_behind_a_gap()) return true;
      av_frame_unref(frame.get());
      return false;
    }
    if (code == AVERROR_EOF) return false;
    if (code != AVERROR(EAGAIN)) note_bad(code);
    if (!feed()) return false;
  }
}

/// Where a file breaks off, pictures are in the decoder's hands that follow others whose packets are missing.
bool VideoDecoder::is_behind_a_gap() const {
  return draining && options.limits.partial && packets.last_dts() != AV_NOPTS_VALUE && timestamp() > packets.last_dts() &&
         packets.damage();
}

void VideoDecoder::check_end(int64_t frames) {
  const bool partial = options.limits.partial;
  if (!partial) packets.check_complete();
  const std::string bad = first_bad ? fmt::format("; packet {} at {:.3f} s was the first that the decoder refused: {}",
                                                  first_bad->number, first_bad->seconds, first_bad->reason)
                                    : std::string();
  if (frames == 0) throw truncated(file, {0, "no picture could be decoded" + bad});
  const double reached = file.seconds(file.video_stream, last_pts + last_duration);
  damage = packets.damage(file.video_stream, reached);
  if (damage || reached + end_tolerance_s >= packets.stream_end_s()) return;
  damage = Damage{reached, fmt::format("later pictures, up to {:.3f} s, cannot be decoded{}", packets.stream_end_s(), bad)};
  if (!partial) throw truncated(file, *damage);
}

int64_t VideoDecoder::timestamp() const {
  if (frame->best_effort_timestamp != AV_NOPTS_VALUE) return frame->best_effort_timestamp;
  return last_pts == AV_NOPTS_VALUE ? 0 : last_pts + std::max<int64_t>(last_duration, 1);
}

VideoFrame VideoDecoder::take(int64_t index) {
  const AVCodecParameters& expected = *file.stream(file.video_stream).codecpar;
  VideoFrame result;
  result.index = index;
  result.pts = timestamp();
  result.seconds = file.seconds(file.video_stream, result.pts);
  if (frame->width != expected.width || frame->height != expected.height)
    throw DataError("the picture size changes from {} x {} to {} x {} at {:.3f} s", expected.width, expected.height, frame->width,
                    frame->height, result.seconds)
        .where(file.path)
        .hint("scale the video to one size, for instance with ffmpeg");
  result.key = frame->key_frame != 0;
  result.damaged = frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT);
  if (options.md5) add_md5(*frame, result);
  if (options.rgb && (!options.rgb_of || options.rgb_of(index)))
    result.rgb = rotated(to_rgb(*frame, file.path), file.info.rotation);
  last_pts = result.pts;
  last_duration = frame->pkt_duration;
  av_frame_unref(frame.get());
  return result;
}

}  // namespace microemo::media
