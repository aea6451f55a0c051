#pragma once
#include <filesystem>
#include <memory>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
}

#include "microemo/media/image.h"

// Ownership and errors of libav*, which speaks C. Nothing of it leaves this folder.
namespace microemo::media::libav {

struct Free {
  void operator()(AVFormatContext* context) const { avformat_close_input(&context); }
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
  void operator()(AVIOContext* context) const;
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
  void operator()(SwsContext* context) const { sws_freeContext(context); }
  void operator()(SwrContext* context) const { swr_free(&context); }
};
/// A writer's format context: closes its file too.
struct FreeOutput {
  void operator()(AVFormatContext* context) const;
};

using FormatContext = std::unique_ptr<AVFormatContext, Free>;
using OutputContext = std::unique_ptr<AVFormatContext, FreeOutput>;
using CodecContext = std::unique_ptr<AVCodecContext, Free>;
using InputBytes = std::unique_ptr<AVIOContext, Free>;
using Frame = std::unique_ptr<AVFrame, Free>;
using Packet = std::unique_ptr<AVPacket, Free>;
using Scaler = std::unique_ptr<SwsContext, Free>;
using Resampler = std::unique_ptr<SwrContext, Free>;

/// What libav says about an error code.
std::string reason(int code);
/// libav writes to standard error by itself; the library is silent. Cheap, call before the first use.
void silence();

[[noreturn]] void throw_out_of_memory();

/// `pointer`, or Error(environment) when libav could not allocate it.
template <class T>
T* allocated(T* pointer) {
  if (!pointer) throw_out_of_memory();
  return pointer;
}

inline Frame new_frame() { return Frame(allocated(av_frame_alloc())); }
inline Packet new_packet() { return Packet(allocated(av_packet_alloc())); }

/// A picture's buffer as libav's own programs allocate it: rows aligned to 64 bytes, and room behind the last one. libswscale and
/// the codecs read and write whole vectors, beyond the end of rows that are packed. Black, so that what they make of the padding
/// is always the same.
Frame new_picture(int width, int height, AVPixelFormat format);
/// A copy in such a buffer, as RGB24 or GRAY8.
Frame padded(const Image& image);

/// Converts decoded frames to RGB. Keeps its scaler while size, format and colour space stay the same. One per thread.
class ToRgb {
 public:
  /// Colour matrix and range as the frame says; BT.601 limited range when it says nothing (the choice of ffmpeg, OpenCV and
  /// PyAV). Throws Error(data) naming the file when the format cannot be converted.
  Image operator()(const AVFrame& frame, const std::filesystem::path& file);

 private:
  void prepare(const AVFrame& frame, const std::filesystem::path& file);
  void convert(const AVFrame& frame, uint8_t* const* rows, const int* row_bytes, const std::filesystem::path& file);

  Scaler scaler_;
  Frame rgb_;  ///< null where pictures are converted in place
  int width_ = 0, height_ = 0, format_ = -1, space_ = -1, range_ = -1;
};

/// Clockwise degrees (0, 90, 180, 270) by which a picture with this display matrix has to be turned; null means none.
int clockwise_rotation(const int32_t* display_matrix);
Image rotated(Image image, int clockwise_degrees);

}  // namespace microemo::media::libav
