#include "header_facts.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "in_call.h"

namespace microemo::media {

using namespace libav;

namespace {

/// More pictures than H.264 and HEVC let one wait for.
constexpr size_t pictures_ahead = 20;
/// Streams begin close together; who has not begun by then is left to libav's search.
constexpr size_t packets_ahead = 256;

struct FreeParser {
  void operator()(AVCodecParserContext* parser) const { av_parser_close(parser); }
};

bool is_timed(const AVStream& stream) {
  const AVMediaType kind = stream.codecpar->codec_type;
  return kind == AVMEDIA_TYPE_AUDIO || (kind == AVMEDIA_TYPE_VIDEO && !(stream.disposition & AV_DISPOSITION_ATTACHED_PIC));
}

bool is_described(const AVStream& stream) {
  const AVCodecParameters& codec = *stream.codecpar;
  if (codec.codec_id == AV_CODEC_ID_NONE) return false;
  return codec.codec_type == AVMEDIA_TYPE_AUDIO ? codec.sample_rate > 0 && codec.ch_layout.nb_channels > 0
                                                : codec.width > 0 && codec.height > 0;
}

bool header_is_whole(const AVFormatContext& format, int video_stream) {
  if (!std::string_view(format.iformat->name).starts_with("mov,") || format.duration == AV_NOPTS_VALUE || format.duration <= 0)
    return false;
  for (unsigned i = 0; i < format.nb_streams; ++i)
    if (is_timed(*format.streams[i]) && !is_described(*format.streams[i])) return false;
  const AVCodecParameters& video = *format.streams[video_stream]->codecpar;
  return (video.codec_id == AV_CODEC_ID_H264 || video.codec_id == AV_CODEC_ID_HEVC) && video.extradata_size > 0;
}

bool all_have_begun(const AVFormatContext& format) {
  for (unsigned i = 0; i < format.nb_streams; ++i)
    if (is_timed(*format.streams[i]) && format.streams[i]->start_time == AV_NOPTS_VALUE) return false;
  return true;
}

/// The first pictures' packets, in the order of decoding; fewer only when the file ends. Empty when it cannot be read, or when
/// another stream is late.
std::vector<const AVPacket*> read_first_packets(MediaFile& file, int video_stream) {
  std::vector<const AVPacket*> pictures;
  while (pictures.size() < pictures_ahead || !all_have_begun(*file.format)) {
    Packet packet = new_packet();
    const int code = in_call([&] { return av_read_frame(file.format.get(), packet.get()); });
    if (code == AVERROR_EXIT) throw stalled(file.path, file.limits);
    file.watch->passed();
    if (code == AVERROR_EOF && all_have_begun(*file.format)) break;
    if (code < 0 || file.read_ahead.size() >= packets_ahead) return {};
    if (packet->stream_index == video_stream) pictures.push_back(packet.get());
    file.read_ahead.push_back(std::move(packet));
  }
  return pictures;
}

bool first_picture_agrees(const AVCodecParameters& header, const AVPacket& packet) {
  const std::unique_ptr<AVCodecParserContext, FreeParser> parser(av_parser_init(header.codec_id));
  const CodecContext context(allocated(avcodec_alloc_context3(nullptr)));
  if (!parser || avcodec_parameters_to_context(context.get(), &header) < 0) return false;
  parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
  uint8_t* unit = nullptr;
  int size = 0;
  av_parser_parse2(parser.get(), context.get(), &unit, &size, packet.data, packet.size, packet.pts, packet.dts, packet.pos);
  return parser->width == header.width && parser->height == header.height;
}

/// How many pictures a decoder has to hold back to give them in the order of their times; -1 when they have none.
int pictures_held_back(const std::vector<const AVPacket*>& pictures) {
  int most = 0;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (pictures[i]->pts == AV_NOPTS_VALUE) return -1;
    const auto later = [&](const AVPacket* before) { return before->pts > pictures[i]->pts; };
    most = std::max(most, int(std::count_if(pictures.begin(), pictures.begin() + int64_t(i), later)));
  }
  return most;
}

}  // namespace

bool header_tells(MediaFile& file, int video_stream) {
  if (video_stream < 0 || !header_is_whole(*file.format, video_stream)) return false;
  const std::vector<const AVPacket*> pictures = read_first_packets(file, video_stream);
  AVCodecParameters& header = *file.format->streams[video_stream]->codecpar;
  if (pictures.empty() || !first_picture_agrees(header, *pictures.front())) return false;
  const int held_back = pictures_held_back(pictures);
  if (held_back < 0) return false;
  // Streams of H.264 need not say it, and a decoder that does not know gives the first pictures out of order.
  header.video_delay = std::max(header.video_delay, held_back);
  file.format->duration_estimation_method = AVFMT_DURATION_FROM_STREAM;
  return true;
}

}  // namespace microemo::media
