#include "libav.h"

#include <cmath>
#include <cstring>
#include <mutex>

extern "C" {
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
}
#include <opencv2/core.hpp>

#include "matrix.h"
#include "microemo/base/error.h"

namespace microemo::media::libav {
namespace {

Error not_convertible(const AVFrame& frame, const std::filesystem::path& file) {
  const char* const format = av_get_pix_fmt_name(AVPixelFormat(frame.format));
  return DataError("a picture of {} x {} in the pixel format {} cannot be converted to RGB", frame.width, frame.height,
                   format ? format : "unknown")
      .where(file)
      .hint("convert it to yuv420p, for instance with ffmpeg");
}

}  // namespace

void Free::operator()(AVIOContext* context) const {
  av_freep(&context->buffer);
  avio_context_free(&context);
}

void FreeOutput::operator()(AVFormatContext* context) const {
  avio_closep(&context->pb);
  avformat_free_context(context);
}

std::string reason(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

void silence() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_level(AV_LOG_QUIET); });
}

void throw_out_of_memory() {
  throw EnvironmentError("out of memory in libav").hint("close other programs or read smaller files");
}

Frame new_picture(int width, int height, AVPixelFormat format) {
  constexpr int alignment = 64;
  Frame frame = new_frame();
  frame->width = width;
  frame->height = height;
  frame->format = format;
  if (av_frame_get_buffer(frame.get(), alignment) < 0) throw_out_of_memory();
  for (const AVBufferRef* buffer : frame->buf)
    if (buffer) std::memset(buffer->data, 0, buffer->size);
  return frame;
}

Frame padded(const Image& image) {
  Frame frame = new_picture(image.width, image.height, image.channels == 1 ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_RGB24);
  for (int y = 0; y < image.height; ++y)
    std::memcpy(frame->data[0] + ptrdiff_t(y) * frame->linesize[0], image.row(y), size_t(image.width) * image.channels);
  return frame;
}

namespace {

/// Whether rows one behind the other are made of whole vectors, the longest that libswscale has, so that it writes nothing behind
/// the last.
bool fits_packed_rows(int width) { return width % 32 == 0; }

}  // namespace

void ToRgb::prepare(const AVFrame& frame, const std::filesystem::path& file) {
  // The deprecated "yuvj" formats say full range in their name, which libswscale understands by itself.
  const bool full = frame.color_range == AVCOL_RANGE_JPEG;
  if (scaler_ && width_ == frame.width && height_ == frame.height && format_ == frame.format && space_ == frame.colorspace &&
      range_ == full)
    return;
  width_ = frame.width, height_ = frame.height, format_ = frame.format, space_ = frame.colorspace, range_ = full;
  scaler_.reset(sws_getContext(width_, height_, AVPixelFormat(format_), width_, height_, AV_PIX_FMT_RGB24, SWS_BILINEAR, nullptr,
                               nullptr, nullptr));
  if (!scaler_) throw not_convertible(frame, file);
  rgb_ = fits_packed_rows(width_) ? nullptr : new_picture(width_, height_, AV_PIX_FMT_RGB24);
  int *matrix = nullptr, *target_matrix = nullptr, source_range = 0, target_range = 0, brightness = 0, contrast = 0,
      saturation = 0;
  if (sws_getColorspaceDetails(scaler_.get(), &matrix, &source_range, &target_matrix, &target_range, &brightness, &contrast,
                               &saturation) < 0)
    return;  // the source is RGB already
  const int space = space_ == AVCOL_SPC_UNSPECIFIED ? SWS_CS_ITU601 : space_;
  sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(space), source_range | int(full), target_matrix, target_range,
                           brightness, contrast, saturation);
}

void ToRgb::convert(const AVFrame& frame, uint8_t* const* rows, const int* row_bytes, const std::filesystem::path& file) {
  if (sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, rows, row_bytes) != frame.height)
    throw not_convertible(frame, file);
}

Image ToRgb::operator()(const AVFrame& frame, const std::filesystem::path& file) {
  prepare(frame, file);
  Image image{frame.width, frame.height, 3, {}};
  const size_t row_bytes = size_t(frame.width) * 3;
  if (!rgb_) {
    image.pixels.resize(row_bytes * size_t(frame.height));
    uint8_t* const rows[4] = {image.pixels.data()};
    const int bytes[4] = {int(row_bytes)};
    convert(frame, rows, bytes, file);
    return image;
  }
  convert(frame, rgb_->data, rgb_->linesize, file);
  image.pixels.reserve(row_bytes * size_t(frame.height));
  for (int y = 0; y < frame.height; ++y) {
    const uint8_t* const row = rgb_->data[0] + ptrdiff_t(y) * rgb_->linesize[0];
    image.pixels.insert(image.pixels.end(), row, row + row_bytes);
  }
  return image;
}

int clockwise_rotation(const int32_t* display_matrix) {
  if (!display_matrix) return 0;
  const double counterclockwise = av_display_rotation_get(display_matrix);
  if (std::isnan(counterclockwise)) return 0;
  return ((int(std::lround(-counterclockwise / 90)) % 4 + 4) % 4) * 90;
}

Image rotated(Image image, int clockwise_degrees) {
  if (clockwise_degrees == 0) return image;
  const bool swaps = clockwise_degrees != 180;
  Image turned{swaps ? image.height : image.width, swaps ? image.width : image.height, image.channels, {}};
  turned.pixels.resize(image.pixels.size());
  cv::Mat target = matrix(turned);
  const int codes[] = {cv::ROTATE_90_CLOCKWISE, cv::ROTATE_180, cv::ROTATE_90_COUNTERCLOCKWISE};
  cv::rotate(matrix(image), target, codes[clockwise_degrees / 90 - 1]);
  return turned;
}

}  // namespace microemo::media::libav
