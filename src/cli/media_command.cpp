#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "media_input.h"
#include "media_overlay.h"
#include "media_speech.h"
#include "media_view.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/cli/commands.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/image.h"
#include "microemo/media/sound.h"
#include "microemo/media/text_drawing.h"
#include "microemo/media/video_reader.h"
#include "microemo/report/sound_picture.h"

namespace microemo::cli {
namespace {

using media::Image;
using media::VideoFrame;
using media::VideoInfo;
using media::VideoReader;

struct Words {
  std::string video, sheet, wav, rule;
  std::vector<double> at;
  std::vector<int64_t> index;
  int64_t count = 0;
  int cells = 24, bands = 64, rate = 16000;
  std::string resampler = "swresample";
  std::optional<double> from, to;
  bool json = false;
  MediaWords media;

  media::MediaInput input() const { return media.input(video); }
};

/// Prints frames as they come; JSON at the end.
class FramePrinter {
 public:
  FramePrinter(const Words& words, const VideoInfo& info) : words_(words), info_(info) {
    if (words.json) return;
    print_info(info, words.video);
    std::printf("%7s %12s %10s %4s  %s\n", "frame", "pts", "seconds", "key", "md5");
  }
  void add(const VideoFrame& frame) {
    if (words_.json)
      frames_.push_back({{"index", frame.index},
                         {"pts", frame.pts},
                         {"time_base", {info_.time_base_num, info_.time_base_den}},
                         {"seconds", rounded(frame.seconds, 6)},
                         {"key", frame.key},
                         {"size", frame.bytes},
                         {"damaged", frame.damaged},
                         {"md5", frame.md5}});
    else
      std::printf("%7lld %12lld %10.4f %4s  %s%s\n", (long long)frame.index, (long long)frame.pts, rounded(frame.seconds, 4),
                  frame.key ? "key" : "", frame.md5.c_str(), frame.damaged ? "  damaged" : "");
  }
  void finish(int64_t bad_packets, const std::optional<media::BadPacket>& first,
              const std::optional<media::Damage>& damage) const {
    Json bad;
    if (first) bad = {{"packet", first->number}, {"seconds", rounded(first->seconds, 6)}, {"reason", first->reason}};
    if (words_.json)
      print_json_lines({{"video", info_json(info_, words_.video)},
                        {"partial", damage_json(damage)},
                        {"bad_packets", bad_packets},
                        {"first_bad_packet", std::move(bad)}},
                       "frames", frames_);
    else if (first)
      std::printf("%lld packets that the decoder refused, the first is packet %lld at %.3f s: %s\n", (long long)bad_packets,
                  (long long)first->number, rounded(first->seconds, 3), first->reason.c_str());
    if (damage && !words_.json) std::printf("%s\n", damage_text(*damage).c_str());
  }

 private:
  const Words& words_;
  VideoInfo info_;
  std::vector<Json> frames_;
};

VideoReader::Options hashes_alone(const Words& words) {
  VideoReader::Options options;
  options.limits = words.media.limits;
  options.rgb = false;
  options.md5 = true;
  return options;
}

/// What --at, --index or --rule asks for, in the order in which it is asked.
std::vector<int64_t> chosen_frames(const Words& words, const media::FrameReader& reader) {
  const auto total = int64_t(reader.frames().size());
  std::vector<int64_t> frames = words.index;
  for (const double seconds : words.at) frames.push_back(reader.shown_at(seconds));
  if (words.rule == "uniform") return media::uniform_frames(total, words.count);
  if (words.rule == "timechat") return media::timechat_frames(total, words.count);
  if (words.rule == "middle") return media::middle_frames(total, words.count);
  if (words.rule == "fps") return media::frames_at_rate(reader.frames(), reader.end_s(), double(words.count));
  return frames;
}

void show_chosen_frames(const Words& words) {
  if (!words.rule.empty() && words.count == 0)
    throw ConfigError("--rule {} does not say how many frames", words.rule).hint("give --count N");
  if (!words.sheet.empty())
    throw ConfigError("a sheet shows the whole clip, and some frames are chosen").hint("leave --sheet or the choice out");
  media::FrameReader reader(words.input(), hashes_alone(words));
  FramePrinter printer(words, reader.info());
  for (const VideoFrame& frame : reader.read(chosen_frames(words, reader))) printer.add(frame);
  printer.finish(0, std::nullopt, reader.damage());
}

void show_frames(const Words& words) {
  if (!words.at.empty() || !words.index.empty() || !words.rule.empty()) return show_chosen_frames(words);
  VideoReader reader(words.input(), hashes_alone(words));
  FramePrinter printer(words, reader.info());
  int64_t count = 0;
  for (; auto frame = reader.next(); ++count) printer.add(*frame);
  printer.finish(reader.bad_packets(), reader.first_bad_packet(), reader.damage());
  if (!words.sheet.empty())
    write_sheet(words.input(), words.media.limits, words.sheet, count, words.cells, [](const VideoFrame& frame) {
      return media::Cell{shrunk(frame.rgb), caption(frame)};
    });
}

media::Sound sound_of(const Words& words) {
  media::SoundOptions options{.rate = words.rate, .limits = words.media.limits};
  for (const auto& [resampling, name] : names_of(media::Resampling{}))
    if (words.resampler == name) options.resampling = resampling;
  if (!words.from && !words.to) return media::read_sound(words.input(), options);
  media::AudioReader reader(words.input(), options);
  const double from = words.from.value_or(reader.start_s());
  return reader.window(from, words.to.value_or(from + options.limits.max_seconds));
}

void show_sound(const Words& words) {
  const media::Sound sound = sound_of(words);
  double peak = 0, square = 0;
  for (const float sample : sound.samples) {
    peak = std::max(peak, std::abs(double(sample)));
    square += double(sample) * sample;
  }
  const double duration_s = double(sound.samples.size()) / sound.rate;
  const double rms = sound.samples.empty() ? 0 : std::sqrt(square / double(sound.samples.size()));
  const Json json = {{"video", info_json(media::probe(words.input(), words.media.limits), words.video)},
                     {"rate", sound.rate},
                     {"samples", sound.samples.size()},
                     {"start_s", rounded(sound.start_s, 6)},
                     {"duration_s", rounded(duration_s, 6)},
                     {"peak", rounded(peak, 6)},
                     {"rms", rounded(rms, 6)},
                     {"bad_packets", sound.bad_packets},
                     {"partial", damage_json(sound.damage)}};
  if (words.json)
    std::printf("%s\n", json.dump(2).c_str());
  else
    std::printf("%s: %zu samples at %d Hz, from %.4f s, %.4f s long; peak %.3f, rms %.4f; bad packets %lld\n",
                words.video.c_str(), sound.samples.size(), sound.rate, rounded(sound.start_s, 4), duration_s, peak, rms,
                (long long)sound.bad_packets);
  if (sound.damage && !words.json) std::printf("%s\n", damage_text(*sound.damage).c_str());
  if (!words.wav.empty()) media::write_wav(words.wav, sound);
  if (!words.sheet.empty())
    media::write_png(words.sheet, report::draw_log_mel(media::log_mel(sound, words.bands), sound.rate,
                                                       std::filesystem::path(words.video).filename().string()));
}

CLI::App* add_view(CLI::App& media_command, const std::string& name, const std::string& description, const std::string& sheet,
                   const std::shared_ptr<Words>& words, void (*show)(const Words&)) {
  CLI::App* view = media_command.add_subcommand(name, description);
  view->add_option("VIDEO", words->video, "File to look at")->required()->type_name("");
  view->add_flag("--json", words->json, "Print JSON");
  view->add_option("--sheet", words->sheet, sheet)->type_name("PNG");
  add_media_options(*view, words->media);
  view->callback([words, show] {
    if (!words->sheet.empty()) media::check_png_name(words->sheet);
    const auto guard = end_when_hung(words->video, words->media.limits);
    show(*words);
  });
  return view;
}

/// Some frames, decoded without all those before them.
void add_choice(CLI::App& view, const std::shared_ptr<Words>& words) {
  CLI::Option* at =
      view.add_option("--at", words->at, "The frames that are shown at these seconds")->delimiter(',')->type_name("SECONDS,…");
  CLI::Option* index =
      view.add_option("--index", words->index, "The frames of these numbers, counted from 0")->delimiter(',')->type_name("N,…");
  CLI::Option* rule =
      view.add_option(
              "--rule", words->rule,
              "uniform: floor(i total / N); timechat: the same as NumPy rounds it; middle: of N equal stretches; fps: those "
              "shown every 1 / N seconds")
          ->check(CLI::IsMember({"uniform", "timechat", "middle", "fps"}));
  at->excludes(index)->excludes(rule);
  index->excludes(rule);
  view.add_option("--count", words->count, "Frames of the rule, or frames a second")
      ->check(CLI::Range(1, 1 << 20))
      ->needs(rule)
      ->type_name("N");
}

void add_cells(CLI::App& view, const std::shared_ptr<Words>& words) {
  view.add_option("--cells", words->cells, "Pictures on the contact sheet, spread over the clip")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
}

}  // namespace

void add_media_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("media", "Look at what is read from a video: frames with their times, faces, sound");
  command->require_subcommand(1);
  CLI::App* frames = add_view(*command, "frames", "Every frame: presentation time, key, md5 of its decoded planes",
                              "Write a contact sheet of frames with their times", words, show_frames);
  add_faces_view(*command);
  add_choice(*frames, words);
  CLI::App* audio = add_view(*command, "audio", "The sound as the model hears it: mono, at 16 kHz or another rate",
                             "Write a picture of the log-mel filter banks", words, show_sound);
  add_speech_views(*command);
  add_media_overlay(*command, status);
  add_cells(*frames, words);
  audio->add_option("--rate", words->rate, "Samples per second")->check(CLI::Range(1000, 384000))->capture_default_str();
  audio->add_option("--resampler", words->resampler, "swresample as ffmpeg, sinc as torchaudio, soxr as sox -v")
      ->check(CLI::IsMember({"swresample", "soxr", "sinc"}))
      ->capture_default_str();
  audio->add_option("--from", words->from, "Only what is heard from this second of the clip on")->check(finite);
  audio->add_option("--to", words->to, "Only what is heard before this second of the clip")->check(finite);
  audio->add_option("--wav", words->wav, "Write the sound as a WAV file")->type_name("WAV");
  audio->add_option("--bands", words->bands, "Mel bands of the picture")->check(CLI::Range(1, 512))->capture_default_str();
  command->footer(
      "Examples:\n"
      "  microemo media frames clip.mp4 --sheet frames.png\n"
      "  microemo media frames clip.mp4 --at 0.5,1.25 --json\n"
      "  microemo media frames clip.mp4 --rule uniform --count 8\n"
      "  microemo media frames S005/001 --frame-rate 30\n"
      "  microemo media faces clip.mp4 --json > faces.json\n"
      "  microemo media faces clip.mp4 --crops faces.npy --size 224\n"
      "  microemo media audio clip.mp4 --wav sound.wav\n"
      "  microemo media audio clip.mp4 --from 1.5 --to 3.25 --wav utterance.wav\n"
      "  microemo media transcript talk.vtt --overlap cut --longest 10 --srt talk.srt\n"
      "  microemo media voice clip.mp4 --srt clip.srt\n"
      "  microemo media overlay clip.mp4 --transcript clip.srt --out overlay.mp4");
}

}  // namespace microemo::cli
