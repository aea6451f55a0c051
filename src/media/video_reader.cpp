#include "microemo/media/video_reader.h"

#include "video_decoder.h"

namespace microemo::media {

struct VideoReader::State : VideoDecoder {
  using VideoDecoder::VideoDecoder;
  bool ended = false;
  int64_t next_index = 0, shown_pts = 0;
};

VideoInfo probe(const MediaInput& input, const ReadLimits& limits) { return open_media(input, limits).info; }

std::optional<Damage> find_damage(const MediaInput& input, const ReadLimits& limits) {
  MediaFile file = open_media(input, limits);
  // A folder of pictures has no length of its own.
  if (file.pictures) return std::nullopt;
  PacketReader packets(file);
  const libav::Packet packet = libav::new_packet();
  const int stream = file.info.has_video ? file.video_stream : file.audio_stream;
  while (packets.next(stream, *packet)) av_packet_unref(packet.get());
  return packets.damage();
}

VideoReader::VideoReader(const MediaInput& input) : VideoReader(input, Options()) {}

VideoReader::VideoReader(const MediaInput& input, const Options& options) : state_(std::make_unique<State>(input, options)) {}

VideoReader::~VideoReader() = default;
VideoReader::VideoReader(VideoReader&&) noexcept = default;

const VideoInfo& VideoReader::info() const { return state_->file.info; }
int64_t VideoReader::bad_packets() const { return state_->bad_packets; }
const std::optional<BadPacket>& VideoReader::first_bad_packet() const { return state_->first_bad; }
const std::optional<Damage>& VideoReader::damage() const { return state_->damage; }

std::optional<VideoFrame> VideoReader::next() {
  State& s = *state_;
  if (s.ended) return std::nullopt;
  if (s.receive()) {
    VideoFrame frame = s.take(s.next_index++);
    // Decoders of damaged streams let go of frames too early.
    if (frame.index > 0 && frame.pts <= s.shown_pts) frame.damaged = true;
    s.shown_pts = frame.pts;
    return frame;
  }
  s.ended = true;
  s.check_end(s.next_index);
  return std::nullopt;
}

}  // namespace microemo::media
