#include "microemo/media/video_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>

#include "copied_sound.h"
#include "libav.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"

namespace microemo::media {

using namespace libav;

struct VideoWriter::State {
  State(const std::filesystem::path& final_path, const VideoWriterOptions& writer_options)
      : path(final_path), options(writer_options), file(final_path) {}

  std::filesystem::path path;
  VideoWriterOptions options;
  PendingFile file;
  OutputContext format;
  CodecContext video, audio;
  AVStream* video_stream = nullptr;
  AVStream* audio_stream = nullptr;
  Scaler to_yuv;
  Packet packet = new_packet();
  int64_t frames = 0, last_time = std::numeric_limits<int64_t>::min();
  std::map<int64_t, int64_t> durations;  ///< of frames that are still in the encoder, by their time
  std::optional<CopiedSound> copied;
  std::optional<Sound> sound;
  size_t sound_written = 0;  ///< samples
};

namespace {

constexpr int audio_bit_rate = 64'000;

void check(int code, const char* what, const std::filesystem::path& path) {
  if (code < 0)
    throw EnvironmentError("{}: {}", what, reason(code)).where(path).hint("is the disk full or the folder not writable?");
}

CodecContext encoder_named(const char* name) {
  const AVCodec* codec = avcodec_find_encoder_by_name(name);
  if (!codec)
    throw EnvironmentError("this libavcodec has no encoder \"{}\"", name).hint("install Debian's libavcodec (with libx264)");
  CodecContext encoder(allocated(avcodec_alloc_context3(codec)));
  // Bit-exact: no version strings and no choices that depend on the machine. Global header: MP4 keeps the parameters outside the
  // packets.
  encoder->flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_GLOBAL_HEADER;
  encoder->thread_count = 1;
  return encoder;
}

AVRational frame_unit(const VideoWriterOptions& options) {
  if (options.time_base_den == 0) return {1, options.rate};
  return {int(options.time_base_num), int(options.time_base_den)};
}

CodecContext video_encoder(const VideoWriterOptions& options, const std::filesystem::path& path) {
  CodecContext encoder = encoder_named("libx264");
  encoder->width = options.width;
  encoder->height = options.height;
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->time_base = frame_unit(options);
  encoder->framerate = {options.rate, 1};
  encoder->color_range = AVCOL_RANGE_MPEG;
  encoder->colorspace = AVCOL_SPC_SMPTE170M;
  AVDictionary* settings = nullptr;
  av_dict_set(&settings, "preset", "veryfast", 0);
  av_dict_set_int(&settings, "crf", options.crf, 0);
  const int code = avcodec_open2(encoder.get(), nullptr, &settings);
  av_dict_free(&settings);
  check(code, "the H.264 encoder does not start", path);
  return encoder;
}

CodecContext audio_encoder(const VideoWriterOptions& options, const std::filesystem::path& path) {
  CodecContext encoder = encoder_named("aac");
  encoder->sample_rate = options.sound_rate;
  encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
  encoder->bit_rate = audio_bit_rate;
  encoder->time_base = {1, options.sound_rate};
  av_channel_layout_default(&encoder->ch_layout, 1);
  check(avcodec_open2(encoder.get(), nullptr, nullptr), "the AAC encoder does not start", path);
  return encoder;
}

AVStream* add_stream(AVFormatContext& format, const AVCodecContext& encoder) {
  AVStream* stream = allocated(avformat_new_stream(&format, nullptr));
  stream->time_base = encoder.time_base;
  avcodec_parameters_from_context(stream->codecpar, &encoder);
  return stream;
}

OutputContext open_output(const std::filesystem::path& temporary, const std::filesystem::path& path) {
  AVFormatContext* context = nullptr;
  check(avformat_alloc_output_context2(&context, nullptr, "mp4", temporary.c_str()), "cannot write MP4", path);
  OutputContext format(context);
  format->flags |= AVFMT_FLAG_BITEXACT;
  check(avio_open(&format->pb, temporary.c_str(), AVIO_FLAG_WRITE), "cannot open the file for writing", path);
  return format;
}

/// An MP4 keeps the start of each stream in a unit of its own, milliseconds where nothing else is asked for.
void write_header(AVFormatContext& format, const VideoWriterOptions& options, const std::filesystem::path& path) {
  AVDictionary* settings = nullptr;
  if (options.time_base_den > 1000) av_dict_set_int(&settings, "movie_timescale", options.time_base_den, 0);
  const int code = avformat_write_header(&format, &settings);
  av_dict_free(&settings);
  check(code, "cannot write the file's header", path);
}

Scaler rgb_to_yuv(const VideoWriterOptions& options) {
  Scaler scaler(
      allocated(sws_getContext(options.width, options.height, AV_PIX_FMT_RGB24, options.width, options.height, AV_PIX_FMT_YUV420P,
                               SWS_BILINEAR | SWS_ACCURATE_RND | SWS_BITEXACT, nullptr, nullptr, nullptr)));
  const int* matrix = sws_getCoefficients(SWS_CS_SMPTE170M);
  sws_setColorspaceDetails(scaler.get(), matrix, 1, matrix, 0, 0, 1 << 16, 1 << 16);
  return scaler;
}

/// Sends one frame (null: the end) to an encoder and its packets to the file. `durations` are those of pictures.
void encode(AVFormatContext& format, AVCodecContext& encoder, const AVStream& stream, const AVFrame* frame, AVPacket& packet,
            const std::filesystem::path& path, std::map<int64_t, int64_t>* durations = nullptr) {
  check(avcodec_send_frame(&encoder, frame), "encoding failed", path);
  for (;;) {
    const int code = avcodec_receive_packet(&encoder, &packet);
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
    check(code, "encoding failed", path);
    if (durations)
      if (const auto known = durations->extract(packet.pts)) packet.duration = known.mapped();
    av_packet_rescale_ts(&packet, encoder.time_base, stream.time_base);
    packet.stream_index = stream.index;
    check(av_interleaved_write_frame(&format, &packet), "writing failed", path);
  }
}

}  // namespace

void VideoWriter::write_sound_until(State& s, double seconds) {
  if (s.copied) check(s.copied->write_until(*s.format, seconds), "writing failed", s.path);
  if (!s.sound) return;
  const Sound& sound = *s.sound;
  const auto start = std::llround(sound.start_s * sound.rate);
  const auto step = size_t(s.audio->frame_size);
  size_t& first = s.sound_written;
  for (; first < sound.samples.size() && double(int64_t(first) + start) / sound.rate <= seconds; first += step) {
    const Frame frame = new_frame();
    frame->nb_samples = int(std::min(step, sound.samples.size() - first));
    frame->format = AV_SAMPLE_FMT_FLTP;
    frame->sample_rate = sound.rate;
    frame->pts = int64_t(first) + start;
    av_channel_layout_default(&frame->ch_layout, 1);
    if (av_frame_get_buffer(frame.get(), 0) < 0) throw_out_of_memory();
    std::memcpy(frame->data[0], sound.samples.data() + first, size_t(frame->nb_samples) * sizeof(float));
    encode(*s.format, *s.audio, *s.audio_stream, frame.get(), *s.packet, s.path);
  }
}

VideoWriter::VideoWriter(const std::filesystem::path& path, const VideoWriterOptions& options) {
  MICROEMO_CHECK(options.width > 0 && options.height > 0 && options.width % 2 == 0 && options.height % 2 == 0,
                 "a video of {} x {}: H.264 in yuv420p wants even sizes", options.width, options.height);
  silence();
  state_ = std::make_unique<State>(path, options);
  State& s = *state_;
  s.format = open_output(s.file.temporary(), path);
  s.video = video_encoder(options, path);
  s.video_stream = add_stream(*s.format, *s.video);
  if (!options.sound_of.empty()) {
    s.copied.emplace(options.sound_of);
    s.audio_stream = s.copied->add_stream(*s.format);
  } else if (options.sound) {
    s.audio = audio_encoder(options, path);
    s.audio_stream = add_stream(*s.format, *s.audio);
  }
  s.to_yuv = rgb_to_yuv(options);
  write_header(*s.format, options, path);
}

VideoWriter::~VideoWriter() = default;

void VideoWriter::add(const Image& rgb) { add(rgb, state_->frames, 1); }

void VideoWriter::add(const Image& rgb, int64_t time, int64_t duration) {
  State& s = *state_;
  MICROEMO_CHECK(rgb.width == s.options.width && rgb.height == s.options.height && rgb.channels == 3,
                 "a frame of {} x {} x {} for a video of {} x {}", rgb.width, rgb.height, rgb.channels, s.options.width,
                 s.options.height);
  MICROEMO_CHECK(time > s.last_time && duration > 0, "a frame at {} for {} behind one at {}", time, duration, s.last_time);
  const Frame frame = new_picture(rgb.width, rgb.height, AV_PIX_FMT_YUV420P), source = padded(rgb);
  sws_scale(s.to_yuv.get(), source->data, source->linesize, 0, rgb.height, frame->data, frame->linesize);
  write_sound_until(s, double(time) * av_q2d(s.video->time_base));
  ++s.frames;
  frame->pts = s.last_time = time;
  s.durations[time] = duration;
  encode(*s.format, *s.video, *s.video_stream, frame.get(), *s.packet, s.path, &s.durations);
}

void VideoWriter::add_sound(const Sound& sound) {
  State& s = *state_;
  MICROEMO_CHECK(s.audio && !s.sound, "sound was not announced, or was added before");
  MICROEMO_CHECK(sound.rate == s.options.sound_rate, "sound of {} Hz for a stream of {} Hz", sound.rate, s.options.sound_rate);
  s.sound = sound;
}

void VideoWriter::finish() {
  State& s = *state_;
  MICROEMO_CHECK(s.frames > 0, "a video without a frame");
  MICROEMO_CHECK(!s.audio || s.sound, "sound was announced but never added");
  write_sound_until(s, std::numeric_limits<double>::infinity());
  encode(*s.format, *s.video, *s.video_stream, nullptr, *s.packet, s.path, &s.durations);
  if (s.audio) encode(*s.format, *s.audio, *s.audio_stream, nullptr, *s.packet, s.path);
  check(av_write_trailer(s.format.get()), "cannot complete the file", s.path);
  avio_flush(s.format->pb);
  check(s.format->pb->error, "writing failed", s.path);
  check(avio_closep(&s.format->pb), "cannot close the file", s.path);
  s.file.commit();
}

}  // namespace microemo::media
