#include "microemo/media/video_reader.h"

#include <algorithm>
#include <array>

extern "C" {
#include <libavutil/md5.h>
}

#include "media_file.h"
#include "microemo/base/error.h"

namespace microemo::media {

using namespace libav;

namespace {

/// Of the planes without padding, as ffmpeg's framemd5 sees them.
std::string planes_md5(const AVFrame& frame) {
  const auto format = AVPixelFormat(frame.format);
  const int size = av_image_get_buffer_size(format, frame.width, frame.height, 1);
  if (size < 0) throw InternalError("a decoded frame without a known size: {}", reason(size));
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  av_image_copy_to_buffer(bytes.data(), size, frame.data, frame.linesize, format, frame.width, frame.height, 1);
  std::array<uint8_t, 16> digest;
  av_md5_sum(digest.data(), bytes.data(), bytes.size());
  std::string text;
  for (const uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace

struct VideoReader::State {
  State(const std::filesystem::path& path, const Options& reader_options)
      : options(reader_options), file(open_media(path, reader_options.limits)), packets(file) {}

  bool receive();
  bool feed();
  void check_end() const;
  VideoFrame take();
  int64_t timestamp() const;

  Options options;
  MediaFile file;
  PacketReader packets;
  CodecContext decoder;
  Packet packet = new_packet();
  Frame frame = new_frame();
  ToRgb to_rgb;
  bool draining = false, ended = false;
  int64_t next_index = 0, bad_packets = 0;
  int64_t last_pts = AV_NOPTS_VALUE, last_duration = 0;
};

/// One packet to the decoder, or the signal to drain after the last; false when that was given before.
bool VideoReader::State::feed() {
  if (draining) return false;
  draining = !packets.next(file.video_stream, *packet);
  const int code = avcodec_send_packet(decoder.get(), draining ? nullptr : packet.get());
  av_packet_unref(packet.get());
  if (code < 0 && code != AVERROR_EOF) ++bad_packets;
  return true;
}

/// Decodes up to the next frame; false at the end.
bool VideoReader::State::receive() {
  for (;;) {
    const int code = avcodec_receive_frame(decoder.get(), frame.get());
    if (code >= 0) return true;
    if (code == AVERROR_EOF) return false;
    if (code != AVERROR(EAGAIN)) ++bad_packets;
    if (!feed()) return false;
  }
}

void VideoReader::State::check_end() const {
  packets.check_complete();
  if (next_index == 0) throw truncated(file, 0, "no picture could be decoded");
  const double reached = file.seconds(file.video_stream, last_pts + last_duration);
  if (reached + end_tolerance_s < packets.stream_end_s())
    throw truncated(file, reached, fmt::format("later pictures, up to {:.3f} s, cannot be decoded", packets.stream_end_s()));
}

/// The frame's own time; where the file gives none, the end of the frame before.
int64_t VideoReader::State::timestamp() const {
  if (frame->best_effort_timestamp != AV_NOPTS_VALUE) return frame->best_effort_timestamp;
  return last_pts == AV_NOPTS_VALUE ? 0 : last_pts + std::max<int64_t>(last_duration, 1);
}

VideoFrame VideoReader::State::take() {
  const AVCodecParameters& expected = *file.stream(file.video_stream).codecpar;
  VideoFrame result;
  result.index = next_index++;
  result.pts = timestamp();
  result.seconds = file.seconds(file.video_stream, result.pts);
  if (frame->width != expected.width || frame->height != expected.height)
    throw DataError("the picture size changes from {} x {} to {} x {} at {:.3f} s", expected.width, expected.height, frame->width,
                    frame->height, result.seconds)
        .where(file.path)
        .hint("scale the video to one size, for instance with ffmpeg");
  result.key = frame->key_frame != 0;
  result.damaged = frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT);
  if (options.md5) result.md5 = planes_md5(*frame);
  if (options.rgb) result.rgb = rotated(to_rgb(*frame, file.path), file.info.rotation);
  last_pts = result.pts;
  last_duration = frame->pkt_duration;
  av_frame_unref(frame.get());
  return result;
}

VideoInfo probe(const std::filesystem::path& path, const ReadLimits& limits) { return open_media(path, limits).info; }

VideoReader::VideoReader(const std::filesystem::path& path) : VideoReader(path, Options()) {}

VideoReader::VideoReader(const std::filesystem::path& path, const Options& options)
    : state_(std::make_unique<State>(path, options)) {
  State& s = *state_;
  if (!s.file.info.has_video)
    throw DataError("the file has sound but no video stream").where(path).hint("give a video, or read its sound alone");
  s.decoder = open_decoder(s.file, s.file.video_stream);
}

VideoReader::~VideoReader() = default;
VideoReader::VideoReader(VideoReader&&) noexcept = default;

const VideoInfo& VideoReader::info() const { return state_->file.info; }
int64_t VideoReader::bad_packets() const { return state_->bad_packets; }

std::optional<VideoFrame> VideoReader::next() {
  State& s = *state_;
  if (s.ended) return std::nullopt;
  if (s.receive()) return s.take();
  s.ended = true;
  s.check_end();
  return std::nullopt;
}

}  // namespace microemo::media
