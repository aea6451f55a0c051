#include <algorithm>
#include <cctype>
#include <cstring>
#include <string>

#include "libav.h"
#include "memory_input.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/media/image.h"

namespace microemo::media {
namespace {

using namespace libav;

// Only demuxers that recognise a single picture by its content: no sequences by file name, no containers.
constexpr char picture_formats[] =
    "jpeg_pipe,png_pipe,bmp_pipe,webp_pipe,tiff_pipe,gif,gif_pipe,pgm_pipe,ppm_pipe,pbm_pipe,pnm_pipe,jpegls_pipe,j2k_pipe";
constexpr int64_t max_picture_pixels = 200'000'000;
Error not_a_picture(const std::filesystem::path& path, const std::string& why) {
  return DataError("cannot read this file as a picture: {}", why).where(path).hint("give a JPEG or PNG file");
}

FormatContext open_picture(AVIOContext* input, const std::filesystem::path& path) {
  AVFormatContext* context = allocated(avformat_alloc_context());
  context->pb = input;
  AVDictionary* options = nullptr;
  av_dict_set(&options, "format_whitelist", picture_formats, 0);
  const int code = avformat_open_input(&context, "", nullptr, &options);
  av_dict_free(&options);
  if (code < 0) throw not_a_picture(path, reason(code));
  return FormatContext(context);
}

CodecContext picture_decoder(const AVFormatContext& format, const std::filesystem::path& path) {
  if (format.nb_streams == 0) throw not_a_picture(path, "it holds no picture");
  const AVCodec* codec = avcodec_find_decoder(format.streams[0]->codecpar->codec_id);
  if (!codec) throw not_a_picture(path, "there is no decoder for it");
  CodecContext decoder(allocated(avcodec_alloc_context3(codec)));
  avcodec_parameters_to_context(decoder.get(), format.streams[0]->codecpar);
  decoder->thread_count = 1;
  decoder->max_pixels = max_picture_pixels;
  if (const int code = avcodec_open2(decoder.get(), codec, nullptr); code < 0) throw not_a_picture(path, reason(code));
  return decoder;
}

Frame decode_first(AVFormatContext& format, AVCodecContext& decoder, const std::filesystem::path& path) {
  const Packet packet = new_packet();
  Frame frame = new_frame();
  for (;;) {
    const int read = av_read_frame(&format, packet.get());
    int code = avcodec_send_packet(&decoder, read < 0 ? nullptr : packet.get());
    av_packet_unref(packet.get());
    if (code >= 0) code = avcodec_receive_frame(&decoder, frame.get());
    if (code >= 0) return frame;
    if (code != AVERROR(EAGAIN) || read < 0) throw not_a_picture(path, reason(code == AVERROR_EOF ? AVERROR_INVALIDDATA : code));
  }
}

CodecContext png_encoder(const Image& image) {
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
  if (!codec) throw EnvironmentError("this libavcodec has no PNG encoder").hint("install Debian's libavcodec");
  CodecContext encoder(allocated(avcodec_alloc_context3(codec)));
  encoder->width = image.width;
  encoder->height = image.height;
  encoder->pix_fmt = image.channels == 1 ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_RGB24;
  encoder->time_base = {1, 1};
  encoder->thread_count = 1;
  if (const int code = avcodec_open2(encoder.get(), codec, nullptr); code < 0)
    throw EnvironmentError("the PNG encoder does not start: {}", reason(code)).hint("install Debian's libavcodec");
  return encoder;
}

}  // namespace

Image read_image(const std::filesystem::path& path) {
  silence();
  const auto bytes = std::make_shared<const std::string>(read_file(path));
  if (bytes->empty()) throw not_a_picture(path, "it is empty");
  const MemoryInput input(bytes);
  const FormatContext format = open_picture(input.context(), path);
  const CodecContext decoder = picture_decoder(*format, path);
  const Frame frame = decode_first(*format, *decoder, path);
  if (frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT)) throw not_a_picture(path, "its data are damaged");
  const AVFrameSideData* side = av_frame_get_side_data(frame.get(), AV_FRAME_DATA_DISPLAYMATRIX);
  return rotated(ToRgb()(*frame, path), clockwise_rotation(side ? reinterpret_cast<const int32_t*>(side->data) : nullptr));
}

void check_png_name(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  if (extension != ".png")
    throw ConfigError("pictures are written as PNG, and this name says something else").where(path).hint("end the name in .png");
}

std::string png_bytes(const Image& image) {
  silence();
  MICROEMO_CHECK(image.width > 0 && image.height > 0, "an empty picture has no PNG form");
  const CodecContext encoder = png_encoder(image);
  const Frame frame = padded(image);
  const Packet packet = new_packet();
  int code = avcodec_send_frame(encoder.get(), frame.get());
  if (code >= 0) code = avcodec_receive_packet(encoder.get(), packet.get());
  if (code == AVERROR(EAGAIN)) {
    avcodec_send_frame(encoder.get(), nullptr);
    code = avcodec_receive_packet(encoder.get(), packet.get());
  }
  if (code < 0) throw EnvironmentError("the PNG encoder failed: {}", reason(code)).hint("install Debian's libavcodec");
  return {reinterpret_cast<const char*>(packet->data), size_t(packet->size)};
}

void write_png(const std::filesystem::path& path, const Image& image) {
  check_png_name(path);
  write_file_atomic(path, png_bytes(image));
}

}  // namespace microemo::media
