#include "microemo/media/sound.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "media_file.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"

extern "C" {
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
}

namespace microemo::media {

using namespace libav;

namespace {

// Times of packets are rounded to the container's clock; a difference above this is a hole in the sound.
constexpr double hole_s = 0.1;

/// Mixes down and resamples whatever the decoder gives, and keeps the samples on the clip's clock.
class Collector {
 public:
  Collector(MediaFile& file, Sound& sound) : file_(file), sound_(sound) {}

  void add(const AVFrame& frame);
  void finish() { convert(nullptr); }

 private:
  void prepare(const AVFrame& frame);
  void convert(const AVFrame* frame);
  void keep_time(const AVFrame& frame);
  void check_length(double seconds) const;
  double pending_s() const { return resampler_ ? double(swr_get_delay(resampler_.get(), sound_.rate)) / sound_.rate : 0; }

  MediaFile& file_;
  Sound& sound_;
  Resampler resampler_;
  int rate_ = 0, format_ = -1, channels_ = 0;
  bool started_ = false;
};

void Collector::check_length(double seconds) const {
  if (seconds > file_.limits.max_seconds)
    throw DataError("its sound is longer than the limit max_seconds = {}", file_.limits.max_seconds)
        .where(file_.path)
        .hint("cut the file into shorter clips");
}

void Collector::prepare(const AVFrame& frame) {
  if (resampler_ && rate_ == frame.sample_rate && format_ == frame.format && channels_ == frame.ch_layout.nb_channels) return;
  if (resampler_) convert(nullptr);
  rate_ = frame.sample_rate, format_ = frame.format, channels_ = frame.ch_layout.nb_channels;
  AVChannelLayout mono, source;
  av_channel_layout_default(&mono, 1);
  // Without named channels (some WAV files) their number decides.
  if (frame.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
    av_channel_layout_default(&source, channels_);
  else
    source = frame.ch_layout;
  SwrContext* context = nullptr;
  int code =
      swr_alloc_set_opts2(&context, &mono, AV_SAMPLE_FMT_FLT, sound_.rate, &source, AVSampleFormat(format_), rate_, 0, nullptr);
  resampler_.reset(context);
  // The mean of the channels, and not their sum, which can leave [-1, 1].
  if (code >= 0) code = av_opt_set_double(context, "rematrix_maxval", 1.0, 0);
  if (code >= 0) code = swr_init(context);
  if (code < 0)
    throw DataError("its sound ({} channels, {} Hz) cannot be resampled: {}", channels_, rate_, reason(code))
        .where(file_.path)
        .hint("convert its sound to AAC in stereo, for instance with ffmpeg");
}

void Collector::convert(const AVFrame* frame) {
  if (!resampler_) return;
  const int count = frame ? frame->nb_samples : 0;
  const int room = swr_get_out_samples(resampler_.get(), count);
  if (room <= 0) return;
  const size_t before = sound_.samples.size();
  sound_.samples.resize(before + size_t(room));
  uint8_t* target = reinterpret_cast<uint8_t*>(sound_.samples.data() + before);
  const auto** source = frame ? const_cast<const uint8_t**>(frame->extended_data) : nullptr;
  const int written = swr_convert(resampler_.get(), &target, room, source, count);
  sound_.samples.resize(before + size_t(std::max(written, 0)));
  if (written < 0)
    throw DataError("its sound cannot be resampled: {}", reason(written))
        .where(file_.path)
        .hint("convert its sound to AAC, for instance with ffmpeg");
}

/// Takes the start from the first frame and fills holes with silence, so that later samples stay at their time.
void Collector::keep_time(const AVFrame& frame) {
  if (frame.best_effort_timestamp == AV_NOPTS_VALUE) return;
  const double seconds = file_.seconds(file_.audio_stream, frame.best_effort_timestamp);
  if (!started_) {
    sound_.start_s = seconds;
    return;
  }
  const double hole = seconds - (sound_.end_s() + pending_s());
  if (hole < hole_s) return;
  check_length(seconds);
  sound_.samples.resize(sound_.samples.size() + size_t(std::llround(hole * sound_.rate)));
}

void Collector::add(const AVFrame& frame) {
  if (frame.nb_samples <= 0 || frame.sample_rate <= 0) return;
  prepare(frame);
  keep_time(frame);
  started_ = true;
  convert(&frame);
  check_length(double(sound_.samples.size()) / sound_.rate);
}

/// Everything that the decoder has ready.
void receive_all(AVCodecContext& decoder, AVFrame& frame, Collector& collector, int64_t& bad_packets) {
  for (;;) {
    const int code = avcodec_receive_frame(&decoder, &frame);
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
    if (code < 0) {
      ++bad_packets;
      return;
    }
    collector.add(frame);
    av_frame_unref(&frame);
  }
}

void append(std::string& bytes, uint32_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += char(value >> (8 * i) & 0xff);
}

}  // namespace

Sound read_sound(const std::filesystem::path& path, int rate, const ReadLimits& limits) {
  MICROEMO_CHECK(rate > 0, "a sample rate of {}", rate);
  MediaFile file = open_media(path, limits);
  if (!file.info.has_audio) throw DataError("the file has no sound stream").where(path).hint("give a video with sound");
  const CodecContext decoder = open_decoder(file, file.audio_stream);
  const Packet packet = new_packet();
  const Frame frame = new_frame();
  Sound sound;
  sound.rate = rate;
  Collector collector(file, sound);
  PacketReader packets(file);
  for (bool more = true; more;) {
    more = packets.next(file.audio_stream, *packet);
    const int code = avcodec_send_packet(decoder.get(), more ? packet.get() : nullptr);
    av_packet_unref(packet.get());
    if (code < 0) ++sound.bad_packets;
    receive_all(*decoder, *frame, collector, sound.bad_packets);
  }
  collector.finish();
  packets.check_complete();
  if (sound.samples.empty()) throw truncated(file, 0, "no sound could be decoded");
  return sound;
}

void write_wav(const std::filesystem::path& path, const Sound& sound) {
  const uint32_t data_size = uint32_t(sound.samples.size() * 2);
  std::string bytes = "RIFF";
  append(bytes, 36 + data_size, 4);
  bytes += "WAVEfmt ";
  append(bytes, 16, 4);
  append(bytes, 1, 2);  // PCM
  append(bytes, 1, 2);  // mono
  append(bytes, uint32_t(sound.rate), 4);
  append(bytes, uint32_t(sound.rate) * 2, 4);
  append(bytes, 2, 2);
  append(bytes, 16, 2);
  bytes += "data";
  append(bytes, data_size, 4);
  for (const float sample : sound.samples)
    append(bytes, uint32_t(int32_t(std::lrint(std::clamp(sample, -1.0F, 1.0F) * 32767))), 2);
  write_file_atomic(path, bytes);
}

}  // namespace microemo::media
