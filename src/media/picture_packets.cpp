#include "picture_packets.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "media_file.h"
#include "microemo/base/files.h"
#include "microemo/media/picture_folder.h"

namespace microemo::media {

using namespace libav;

namespace {

/// The bound of ffmpeg's own reading of rates, so that the same rate gives the same unit of time: 29.97 is 2997/100, and
/// 30000/1001 itself.
constexpr int largest_term = 1'001'000;

/// A reflection has no turn that would undo it.
bool is_mirrored(const int32_t* matrix) { return double(matrix[0]) * matrix[4] - double(matrix[1]) * matrix[3] < 0; }

const int32_t* display_matrix(const AVFrame& frame) {
  const AVFrameSideData* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_DISPLAYMATRIX);
  return side ? reinterpret_cast<const int32_t*>(side->data) : nullptr;
}

void check_input(const MediaInput& input) {
  if (!(input.frame_rate >= least_frame_rate && input.frame_rate <= most_frame_rate))
    throw ConfigError("a frame rate of {:g} is none", input.frame_rate)
        .where(input.path)
        .hint(fmt::format("give the frames a second, from {:g} to {:g}", least_frame_rate, most_frame_rate));
  if (input.bytes)
    throw DataError("a frame rate is given, and these bytes are no folder of pictures")
        .where(input.path)
        .hint("leave the frame rate out: a file has its own times");
  if (input.video_stream > 0 || input.audio_stream >= 0)
    throw DataError("stream {} is not there: a folder of pictures has one stream, its pictures",
                    std::max(input.video_stream, input.audio_stream))
        .where(input.path)
        .hint("leave the choice of streams out");
}

/// What the stream's first frame tells, as a container's header would.
void describe(MediaFile& file, const AVFrame& frame) {
  AVCodecParameters& codec = *file.format->streams[0]->codecpar;
  codec.format = frame.format;
  codec.width = frame.width;
  codec.height = frame.height;
  VideoInfo& info = file.info;
  info.rotation = clockwise_rotation(display_matrix(frame));
  info.width = frame.width;
  info.height = frame.height;
  if (info.rotation % 180 != 0) std::swap(info.width, info.height);
  info.container = "image2";
  info.video_codec = avcodec_get_name(codec.codec_id);
  info.time_base_num = file.pictures->duration().num;
  info.time_base_den = file.pictures->duration().den;
  info.duration_s = double(file.pictures->count()) * file.pictures->duration().num / file.pictures->duration().den;
  info.has_video = true;
  info.video_stream = file.video_stream = 0;
  info.streams = 1;
}

Frame first_frame(MediaFile& file) {
  const CodecContext decoder = open_decoder(file, 0);
  const Packet packet = new_packet();
  Frame frame = new_frame();
  file.pictures->next(*packet);
  int code = avcodec_send_packet(decoder.get(), packet.get());
  if (code >= 0) code = avcodec_send_packet(decoder.get(), nullptr);
  if (code >= 0) code = avcodec_receive_frame(decoder.get(), frame.get());
  if (code < 0) throw file.pictures->undecodable(code == AVERROR_EOF ? "it holds no picture" : reason(code));
  file.pictures->check(*frame);
  file.pictures->seek(0);
  return frame;
}

}  // namespace

PicturePackets::PicturePackets(const MediaInput& input, const ReadLimits& limits) : max_pixels_(limits.max_pixels) {
  check_input(input);
  files_ = picture_files(input.path);
  kind_ = picture_kind(files_.front());
  duration_ = av_inv_q(av_d2q(input.frame_rate, largest_term));
}

int PicturePackets::next(AVPacket& packet) {
  if (owes_frame_) throw undecodable("it holds no picture");
  if (next_ == count()) return AVERROR_EOF;
  ++next_;
  const std::string bytes = read_file(current());
  if (bytes.empty()) throw DataError("the file is empty").where(current()).hint("copy or download it again");
  if (!begins_as(*kind_, bytes)) throw undecodable(fmt::format("its content is no {}", kind_->name));
  constexpr size_t most = std::numeric_limits<int>::max() - AV_INPUT_BUFFER_PADDING_SIZE;
  if (bytes.size() > most) throw undecodable("it has more than 2 GiB");
  if (!is_whole(*kind_, bytes))
    throw DataError("the picture is truncated or damaged: it ends before its end")
        .where(current())
        .hint("copy or download it again");
  if (av_new_packet(&packet, int(bytes.size())) < 0) throw_out_of_memory();
  std::memcpy(packet.data, bytes.data(), bytes.size());
  packet.pts = packet.dts = next_ - 1;
  packet.duration = 1;
  packet.flags |= AV_PKT_FLAG_KEY;
  owes_frame_ = true;
  return 0;
}

int PicturePackets::seek(int64_t number) {
  next_ = number;
  owes_frame_ = false;
  return 0;
}

void PicturePackets::guard(AVCodecContext& decoder) {
  // The TIFF decoder would refuse every tag that it does not know.
  const bool is_tiff = kind_->codec == AV_CODEC_ID_TIFF;
  decoder.err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | (is_tiff ? 0 : AV_EF_EXPLODE);
  // libav's own check says no more than that the data are invalid.
  decoder.max_pixels = std::numeric_limits<int64_t>::max();
  decoder.opaque = this;
  decoder.get_buffer2 = &PicturePackets::allocate;
}

int PicturePackets::allocate(AVCodecContext* decoder, AVFrame* frame, int flags) {
  auto& pictures = *static_cast<PicturePackets*>(decoder->opaque);
  if (int64_t(frame->width) * frame->height > pictures.max_pixels_) {
    pictures.over_limit_ = {frame->width, frame->height, 0};
    return AVERROR(EINVAL);
  }
  return avcodec_default_get_buffer2(decoder, frame, flags);
}

void PicturePackets::check(AVFrame& frame) {
  owes_frame_ = false;
  if (frame.decode_error_flags != 0 || (frame.flags & AV_FRAME_FLAG_CORRUPT)) throw undecodable("its data are damaged");
  const int32_t* const matrix = display_matrix(frame);
  if (matrix && is_mirrored(matrix))
    throw DataError("the picture is to be shown mirrored, by its EXIF orientation")
        .where(current())
        .hint("write the pictures anew as they are to be shown, for instance with ffmpeg");
  const Shape shape{frame.width, frame.height, clockwise_rotation(matrix)};
  if (!first_) first_ = shape;
  if (shape == *first_) return;
  throw DataError("the picture size changes from {} x {}{} to {} x {}{}", first_->width, first_->height,
                  first_->rotation ? fmt::format(" turned by {} degrees", first_->rotation) : "", shape.width, shape.height,
                  shape.rotation ? fmt::format(" turned by {} degrees", shape.rotation) : "")
      .where(current())
      .hint("scale the pictures of a folder to one size, for instance with ffmpeg");
}

Error PicturePackets::undecodable(const std::string& why) const {
  if (over_limit_)
    return DataError("the picture has {} x {} pixels, over the limit max_pixels = {}", over_limit_->width, over_limit_->height,
                     max_pixels_)
        .where(current())
        .hint("scale the pictures down");
  return DataError("the picture cannot be decoded: {}", why)
      .where(current())
      .hint("copy or download it again, or convert the pictures to PNG");
}

MediaFile open_picture_folder(const MediaInput& input, const ReadLimits& limits) {
  silence();
  MediaFile file{.watch = std::make_unique<Watch>(limits.stall_seconds),
                 .memory = nullptr,
                 .pictures = std::make_unique<PicturePackets>(input, limits),
                 .format = FormatContext(allocated(avformat_alloc_context())),
                 .path = input.path,
                 .limits = limits,
                 .info = {}};
  AVStream& stream = *allocated(avformat_new_stream(file.format.get(), nullptr));
  stream.time_base = file.pictures->duration();
  stream.codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
  stream.codecpar->codec_id = file.pictures->codec();
  describe(file, *first_frame(file));
  return file;
}

}  // namespace microemo::media
