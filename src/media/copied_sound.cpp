#include "copied_sound.h"

#include <cmath>

#include "microemo/media/video_writer.h"

namespace microemo::media {

using namespace libav;

CopiedSound::CopiedSound(const std::filesystem::path& path) : file_(open_media(path, {})), packets_(file_) {}

bool CopiedSound::is_possible() const {
  if (file_.audio_stream < 0) return false;
  switch (file_.stream(file_.audio_stream).codecpar->codec_id) {
    case AV_CODEC_ID_AAC:
    case AV_CODEC_ID_MP3:
    case AV_CODEC_ID_AC3:
    case AV_CODEC_ID_EAC3:
    case AV_CODEC_ID_ALAC:
    case AV_CODEC_ID_OPUS:
      return true;
    default:
      return false;
  }
}

AVStream* CopiedSound::add_stream(AVFormatContext& output) {
  MICROEMO_CHECK(is_possible(), "the sound of {} cannot be copied", file_.path.string());
  const AVStream& source = file_.stream(file_.audio_stream);
  stream_ = allocated(avformat_new_stream(&output, nullptr));
  if (avcodec_parameters_copy(stream_->codecpar, source.codecpar) < 0) throw_out_of_memory();
  // Each container has its own tags for the same codec; 0 lets the MP4 take its own.
  stream_->codecpar->codec_tag = 0;
  stream_->time_base = source.time_base;
  return stream_;
}

bool CopiedSound::read() {
  if (is_over_ || is_read_) return is_read_;
  while (packets_.next(file_.audio_stream, *packet_)) {
    if (packet_->pts == AV_NOPTS_VALUE) packet_->pts = packet_->dts;
    if (packet_->pts != AV_NOPTS_VALUE) return is_read_ = true;
    av_packet_unref(packet_.get());
  }
  is_over_ = true;
  return false;
}

int CopiedSound::write_until(AVFormatContext& output, double seconds) {
  const AVRational unit = file_.stream(file_.audio_stream).time_base;
  const int64_t zero = std::llround(file_.info.start_s / av_q2d(unit));
  while (read() && file_.seconds(file_.audio_stream, packet_->pts) <= seconds) {
    is_read_ = false;
    packet_->pts -= zero;
    packet_->dts = packet_->dts == AV_NOPTS_VALUE ? packet_->pts : packet_->dts - zero;
    packet_->pos = -1;
    packet_->stream_index = stream_->index;
    av_packet_rescale_ts(packet_.get(), unit, stream_->time_base);
    if (const int code = av_interleaved_write_frame(&output, packet_.get()); code < 0) return code;
  }
  return 0;
}

bool can_copy_sound(const std::filesystem::path& path) { return CopiedSound(path).is_possible(); }

}  // namespace microemo::media
