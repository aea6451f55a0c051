#include "media_input.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "media_view.h"
#include "microemo/base/error.h"
#include "microemo/media/picture_folder.h"

namespace microemo::cli {

media::MediaInput media_input(const std::string& name, double frame_rate) {
  std::filesystem::path path(name);
  if (frame_rate > 0 && !path.has_filename() && path.has_relative_path()) path = path.parent_path();
  media::MediaInput input(path);
  input.frame_rate = frame_rate;
  return input;
}

void add_frame_rate(CLI::App& command, double& rate) {
  command
      .add_option_function<std::string>(
          "--frame-rate",
          [&rate](const std::string& text) {
            const std::optional<double> read = media::frame_rate_of(text);
            if (!read)
              throw ConfigError("'{}' is no frame rate", text)
                  .at("--frame-rate")
                  .hint(fmt::format("give the pictures a second, such as 25 or 30000/1001: from {:g} to {:g}",
                                    media::least_frame_rate, media::most_frame_rate));
            rate = *read;
          },
          "The name is that of a folder of numbered pictures, which are shown so many a second: 25, 29.97 or 30000/1001")
      ->type_name("RATE");
}

media::MediaInput MediaWords::input(const std::string& file) const {
  media::MediaInput input = media_input(file, frame_rate);
  input.video_stream = video_stream;
  input.audio_stream = audio_stream;
  return input;
}

namespace {

constexpr double most = 1e9;
constexpr const char* group = "Streams and limits";

template <class Number>
void add_number(CLI::App& command, const char* name, Number& value, const char* meaning, double least) {
  command.add_option(name, value, meaning)
      ->check(finite)
      ->check(CLI::Range(least, most).description(""))
      ->group(group)
      ->capture_default_str();
}

/// Calls add(name, member, meaning, least) for every limit.
template <class Add>
void each_limit(Add&& add) {
  using Limits = media::ReadLimits;
  add("--max-pixels", &Limits::max_pixels, "A file with larger pictures is refused", 1);
  add("--max-seconds", &Limits::max_seconds, "A sound that is longer is refused", 0);
  add("--max-streams", &Limits::max_streams, "A file with more streams is refused", 1);
  add("--max-bad-packets", &Limits::max_bad_packets, "A file with more in a row that the decoder refuses is refused", 0);
  add("--probe-mb", &Limits::probe_mb, "Megabytes that are read to learn about the streams", 0.001);
  add("--probe-seconds", &Limits::probe_seconds, "Seconds of media that are read for it", 0.001);
  add("--stall-seconds", &Limits::stall_seconds, "A file that gives nothing for so long is taken to hang", 0.001);
}

}  // namespace

void add_media_options(CLI::App& command, MediaWords& words) {
  add_frame_rate(command, words.frame_rate);
  add_number(command, "--video-stream", words.video_stream,
             "Number of the video stream in the file, as ffprobe counts; -1: the best", -1);
  add_number(command, "--audio-stream", words.audio_stream, "Number of the sound stream; -1: the best", -1);
  add_read_options(command, words.limits);
}

void add_read_options(CLI::App& command, media::ReadLimits& limits) {
  each_limit([&](const char* name, auto member, const char* meaning, double least) {
    add_number(command, name, limits.*member, meaning, least);
  });
  command.add_flag("--partial", limits.partial, "Read a file that breaks off up to there, and say so, instead of refusing it");
}

void add_limit_options(CLI::App& command, NamedLimits& limits) {
  each_limit([&]<class Value>(const char* name, Value media::ReadLimits::*member, const char* meaning, double least) {
    command
        .add_option_function<Value>(
            name,
            [&limits, member](const Value& value) {
              limits.set.push_back([member, value](media::ReadLimits& into) { into.*member = value; });
            },
            meaning)
        ->check(finite)
        ->check(CLI::Range(least, most).description(""))
        ->group("Limits, in place of the run's prepare.limits");
  });
}

std::unique_ptr<media::HangGuard> end_when_hung(const std::string& file, const media::ReadLimits& limits) {
  const double limit_s = media::hang_stalls * limits.stall_seconds;
  return std::make_unique<media::HangGuard>(limit_s, [file, limit_s] {
    const Error error = DataError(
                            "a call of the decoder has lasted for {:g} s: the file is taken to hang, by {:g} times the limit "
                            "stall_seconds",
                            limit_s, media::hang_stalls)
                            .where(file)
                            .hint("look at the disk or network that it lies on, or convert it with ffmpeg");
    std::fprintf(stderr, "%s\n", error.what());
    std::_Exit(exit_code(error.kind()));
  });
}

}  // namespace microemo::cli
