#include <algorithm>
#include <cmath>
#include <optional>

#include "audio_mix.h"
#include "in_call.h"
#include "media_file.h"
#include "microemo/base/error.h"
#include "microemo/media/sound.h"

namespace microemo::media {

using namespace libav;

namespace {

// Times of packets are rounded to the container's clock; a difference above this is a hole in the sound.
constexpr double hole_s = 0.1;

// No sound has less or more; a file that claims so would become a flood of samples.
constexpr int lowest_rate = 1000, highest_rate = 1'000'000;

/// Decodes the sound once from start to end and gives its samples in pieces, at the rate that is asked for.
class Decoding {
 public:
  Decoding(const MediaInput& input, const SoundOptions& options);

  /// Appends the next samples to `samples`; false when these were the last.
  bool next(std::vector<float>& samples);
  const VideoInfo& info() const { return file_.info; }
  double start_s() const { return start_s_; }
  int64_t bad_packets() const { return bad_packets_; }
  const std::optional<Damage>& damage() const { return damage_; }
  /// The file read to its end before its time.
  Error without_sound() const { return truncated(file_, {0, "no sound could be decoded"}); }

 private:
  void receive(std::vector<float>& samples);
  void add(const AVFrame& frame, std::vector<float>& samples);
  void keep_time(const AVFrame& frame, std::vector<float>& samples);
  void prepare(const AVFrame& frame, std::vector<float>& samples);
  void finish(std::vector<float>& samples);

  MediaFile file_;
  SoundOptions options_;
  CodecContext decoder_;
  PacketReader packets_;
  Packet packet_ = new_packet();
  Frame frame_ = new_frame();
  std::unique_ptr<media::Resampler> resampler_;
  std::vector<float> mono_;
  int rate_ = 0;
  int64_t taken_ = 0;  ///< mono samples since the last hole or change of rate, at the file's rate
  double taken_from_s_ = 0, start_s_ = 0;
  int64_t bad_packets_ = 0;
  std::optional<Damage> damage_;  ///< known at the end
  bool started_ = false, more_ = true;
};

MediaFile open_sound(const MediaInput& input, const ReadLimits& limits) {
  MediaFile file = open_media(input, limits);
  if (file.pictures)
    throw DataError("a folder of pictures has no sound stream").where(input.path).hint("name the sound's own file");
  if (!file.info.has_audio) throw DataError("the file has no sound stream").where(input.path).hint("give a video with sound");
  return file;
}

Decoding::Decoding(const MediaInput& input, const SoundOptions& options)
    : file_(open_sound(input, options.limits)),
      options_(options),
      decoder_(open_decoder(file_, file_.audio_stream)),
      packets_(file_) {}

bool Decoding::next(std::vector<float>& samples) {
  more_ = packets_.next(file_.audio_stream, *packet_);
  const int code = in_call([&] { return avcodec_send_packet(decoder_.get(), more_ ? packet_.get() : nullptr); });
  av_packet_unref(packet_.get());
  if (code < 0) ++bad_packets_;
  receive(samples);
  if (more_) return true;
  finish(samples);
  if (!file_.limits.partial) packets_.check_complete();
  damage_ = packets_.damage(file_.audio_stream, packets_.stream_end_s());
  return false;
}

/// Everything that the decoder has ready.
void Decoding::receive(std::vector<float>& samples) {
  for (;;) {
    const int code = in_call([&] { return avcodec_receive_frame(decoder_.get(), frame_.get()); });
    file_.watch->passed();
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
    if (code < 0) {
      ++bad_packets_;
      return;
    }
    add(*frame_, samples);
    av_frame_unref(frame_.get());
  }
}

void Decoding::add(const AVFrame& frame, std::vector<float>& samples) {
  if (frame.nb_samples <= 0 || frame.sample_rate <= 0) return;
  keep_time(frame, samples);
  started_ = true;
  try {
    prepare(frame, samples);
    mono_.clear();
    mix_down(frame, mono_weights(frame.ch_layout), mono_);
    resampler_->add(mono_, samples);
  } catch (Error& error) {
    if (error.place().empty()) error.where(file_.path);
    throw;
  }
  taken_ += frame.nb_samples;
}

/// Takes the start from the first frame and fills holes with silence.
void Decoding::keep_time(const AVFrame& frame, std::vector<float>& samples) {
  if (frame.best_effort_timestamp == AV_NOPTS_VALUE) return;
  const double seconds = file_.seconds(file_.audio_stream, frame.best_effort_timestamp);
  if (!started_) {
    start_s_ = taken_from_s_ = seconds;
    return;
  }
  const double end_s = taken_from_s_ + double(taken_) / rate_, hole = seconds - end_s;
  if (hole < hole_s) return;
  if (hole > options_.limits.max_seconds)
    throw DataError("its sound has a hole of {:.0f} s at {:.3f} s, over the limit max_seconds = {}", hole, end_s,
                    options_.limits.max_seconds)
        .where(file_.path)
        .hint("cut the file there");
  finish(samples);
  samples.resize(samples.size() + size_t(std::llround(hole * options_.rate)));
  taken_from_s_ = seconds;
}

/// A sound whose rate changes goes on through a resampler of its own.
void Decoding::prepare(const AVFrame& frame, std::vector<float>& samples) {
  if (resampler_ && rate_ == frame.sample_rate) return;
  if (frame.sample_rate < lowest_rate || frame.sample_rate > highest_rate)
    throw DataError("its sound claims a rate of {} Hz", frame.sample_rate)
        .where(file_.path)
        .hint("rates from 1 kHz to 1 MHz are read: convert it, for instance with ffmpeg");
  finish(samples);
  rate_ = frame.sample_rate;
  resampler_ = make_resampler(options_.resampling, rate_, options_.rate);
}

void Decoding::finish(std::vector<float>& samples) {
  if (!resampler_) return;
  resampler_->finish(samples);
  resampler_.reset();
  if (rate_ > 0) taken_from_s_ += double(taken_) / rate_;
  taken_ = 0;
}

}  // namespace

struct AudioReader::State {
  MediaInput input{std::filesystem::path()};
  SoundOptions options;
  std::optional<Decoding> decoding;
  std::vector<float> samples;  ///< those that were decoded and may still be asked for
  int64_t first = 0;           ///< number of the first of them
  bool more = true;

  void open() {
    decoding.emplace(input, options);
    samples.clear();
    first = 0;
    more = true;
    while (more && samples.empty()) more = decoding->next(samples);
    if (samples.empty()) throw decoding->without_sound();
  }
  /// Drops samples before `begin` and decodes until `end` or the end of the sound.
  void advance(int64_t begin, int64_t end) {
    if (begin < first) open();
    for (;;) {
      const int64_t past = std::clamp<int64_t>(begin - first, 0, int64_t(samples.size()));
      // Not for every packet: the rest has to move.
      if (past > options.rate || past == int64_t(samples.size())) {
        samples.erase(samples.begin(), samples.begin() + past);
        first += past;
      }
      if (!more || first + int64_t(samples.size()) >= end) return;
      more = decoding->next(samples);
    }
  }
};

AudioReader::AudioReader(const MediaInput& input, const SoundOptions& options) : state_(std::make_unique<State>()) {
  MICROEMO_CHECK(options.rate > 0, "a sample rate of {}", options.rate);
  state_->input = input;
  state_->options = options;
  state_->open();
}

AudioReader::~AudioReader() = default;
AudioReader::AudioReader(AudioReader&&) noexcept = default;

const VideoInfo& AudioReader::info() const { return state_->decoding->info(); }

double AudioReader::start_s() const { return state_->decoding->start_s(); }

Sound AudioReader::window(double begin_s, double end_s) {
  State& state = *state_;
  const int rate = state.options.rate;
  if (!std::isfinite(begin_s) || !std::isfinite(end_s) || end_s < begin_s)
    throw ConfigError("a window of the sound from {} s to {} s", begin_s, end_s).hint("it has to end after it begins");
  if (end_s - begin_s > state.options.limits.max_seconds)
    throw ConfigError("a window of {} s is longer than the limit max_seconds = {}", end_s - begin_s,
                      state.options.limits.max_seconds)
        .hint("read shorter windows one after the other");
  const auto number = [&](double seconds) {
    // Far behind any sound, and no overflow.
    return std::llround(std::clamp((seconds - start_s()) * rate, 0.0, 1e15));
  };
  const int64_t begin = number(begin_s), end = number(end_s);
  state.advance(begin, end);
  const int64_t known_end = state.first + int64_t(state.samples.size());
  const int64_t from = std::clamp(begin, state.first, known_end), to = std::clamp(end, from, known_end);
  Sound sound;
  sound.rate = rate;
  sound.start_s = start_s() + double(from) / rate;
  sound.samples.assign(state.samples.begin() + (from - state.first), state.samples.begin() + (to - state.first));
  sound.bad_packets = state.decoding->bad_packets();
  sound.damage = state.decoding->damage();
  return sound;
}

Sound read_sound(const MediaInput& input, const SoundOptions& options) {
  MICROEMO_CHECK(options.rate > 0, "a sample rate of {}", options.rate);
  Decoding decoding(input, options);
  Sound sound;
  sound.rate = options.rate;
  for (bool more = true; more;) {
    more = decoding.next(sound.samples);
    if (double(sound.samples.size()) > options.limits.max_seconds * options.rate)
      throw DataError("its sound is longer than the limit max_seconds = {}", options.limits.max_seconds)
          .where(input.path)
          .hint("cut the file into shorter clips");
  }
  if (sound.samples.empty()) throw decoding.without_sound();
  sound.start_s = decoding.start_s();
  sound.bad_packets = decoding.bad_packets();
  sound.damage = decoding.damage();
  return sound;
}

}  // namespace microemo::media
