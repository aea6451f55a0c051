#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "media_speech.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/cli/commands.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/image.h"
#include "microemo/media/sound.h"
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
  double threshold = media::FaceTrackOptions{}.threshold;
  std::string resampler = "swresample";
  std::optional<double> from, to;
  bool json = false;
};

constexpr int columns = 4;
constexpr int cell_height = 160;
constexpr double note_scale = 0.45;
constexpr media::Color watched_color{255, 220, 0}, other_color{120, 160, 255}, empty_color{56, 56, 56}, note_color{200, 200, 200};

/// Never -0, which people do not write.
double rounded(double value, int decimals) {
  const double unit = std::pow(10, decimals);
  return std::round(value * unit) / unit + 0.0;
}

Json info_json(const VideoInfo& info, const std::string& path) {
  Json json = {{"file", path},
               {"container", info.container},
               {"video_codec", info.video_codec},
               {"audio_codec", info.audio_codec},
               {"start_s", info.start_s},
               {"duration_s", info.duration_s},
               {"time_base", {info.time_base_num, info.time_base_den}}};
  if (info.has_video) json.update(Json{{"width", info.width}, {"height", info.height}, {"rotation", info.rotation}});
  return json;
}

/// One frame a line: a clip has hundreds, and 68 points each.
void print_json_lines(const Json& head, const char* name, const std::vector<Json>& items) {
  std::string text = head.dump();
  text.pop_back();
  std::printf("%s,\"%s\":[", text.c_str(), name);
  for (size_t i = 0; i < items.size(); ++i) std::printf("%s\n%s", i ? "," : "", items[i].dump().c_str());
  std::printf("\n]}\n");
}

void print_info(const VideoInfo& info, const std::string& path) {
  std::printf("%s: %s, %s", path.c_str(), info.container.c_str(), info.video_codec.c_str());
  if (info.has_video) std::printf(" %d x %d", info.width, info.height);
  if (info.rotation) std::printf(", turned by %d degrees", info.rotation);
  std::printf("%s%s\n", info.has_audio ? ", sound " : ", no sound", info.audio_codec.c_str());
}

/// `count` indices spread evenly over 0 … total - 1, first and last included.
std::vector<int64_t> spread(int64_t total, int64_t count) {
  std::vector<int64_t> indices;
  count = std::min(count, total);
  for (int64_t i = 0; i < count; ++i) indices.push_back(count == 1 ? 0 : i * (total - 1) / (count - 1));
  return indices;
}

Image shrunk(const Image& image) {
  return media::resize(image, std::max(1, int(std::lround(double(image.width) * cell_height / image.height))), cell_height);
}

/// Reads the video once more and makes a cell of each chosen frame.
template <class MakeCell>
void write_sheet(const Words& words, int64_t frame_count, MakeCell&& make_cell) {
  const auto chosen = spread(frame_count, words.cells);
  std::vector<media::Cell> cells;
  VideoReader reader(words.video);
  while (auto frame = reader.next())
    if (std::binary_search(chosen.begin(), chosen.end(), frame->index)) cells.push_back(make_cell(*frame));
  media::write_png(words.sheet, media::contact_sheet(cells, columns));
}

std::string caption(const VideoFrame& frame) { return fmt::format("{}  {:.3f} s", frame.index, rounded(frame.seconds, 3)); }

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
  void finish(int64_t bad_packets) const {
    if (words_.json)
      print_json_lines({{"video", info_json(info_, words_.video)}, {"bad_packets", bad_packets}}, "frames", frames_);
  }

 private:
  const Words& words_;
  VideoInfo info_;
  std::vector<Json> frames_;
};

VideoReader::Options hashes_alone() {
  VideoReader::Options options;
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
  media::FrameReader reader(words.video, hashes_alone());
  FramePrinter printer(words, reader.info());
  for (const VideoFrame& frame : reader.read(chosen_frames(words, reader))) printer.add(frame);
  printer.finish(0);
}

void show_frames(const Words& words) {
  if (!words.at.empty() || !words.index.empty() || !words.rule.empty()) return show_chosen_frames(words);
  VideoReader reader(words.video, hashes_alone());
  FramePrinter printer(words, reader.info());
  int64_t count = 0;
  for (; auto frame = reader.next(); ++count) printer.add(*frame);
  printer.finish(reader.bad_packets());
  if (!words.sheet.empty())
    write_sheet(words, count, [](const VideoFrame& frame) { return media::Cell{shrunk(frame.rgb), caption(frame)}; });
}

Json face_json(const media::Face& face) {
  Json points = Json::array();
  for (const media::Point& p : face.landmarks) points.push_back({p.x, p.y});
  const media::Box& box = face.box;
  return {{"track", face.track},
          {"score", rounded(face.score, 4)},
          {"box", {rounded(box.left, 1), rounded(box.top, 1), rounded(box.right, 1), rounded(box.bottom, 1)}},
          {"landmarks", points}};
}

bool is_watched(const media::Face& face, const std::optional<media::Face>& watched) {
  return watched && watched->track == face.track;
}

/// In place of the aligned crop of a frame that has none.
Image note_picture(const std::string& note) {
  Image picture{cell_height, cell_height, 3, std::vector<uint8_t>(size_t(cell_height) * cell_height * 3)};
  media::fill_box(picture, 0, 0, cell_height, cell_height, empty_color);
  const double left = (cell_height - media::text_width(note, note_scale)) / 2.0;
  media::draw_text(picture, note, {left, cell_height / 2.0 + 4}, note_scale, note_color);
  return picture;
}

/// The whole frame with boxes and points, beside it the aligned crop of the face that is watched.
media::Cell face_cell(const VideoFrame& frame, const std::vector<media::Face>& faces, const std::optional<media::Face>& watched,
                      const std::optional<media::Similarity>& alignment) {
  Image marked = frame.rgb;
  const int thickness = std::max(1, frame.rgb.height / 180);
  for (const media::Face& face : faces) {
    const media::Color color = is_watched(face, watched) ? watched_color : other_color;
    media::draw_box(marked, face.box.left, face.box.top, face.box.right, face.box.bottom, color, thickness);
    for (const media::Point& point : face.landmarks) media::draw_dot(marked, point, thickness, color);
  }
  const Image small = shrunk(marked);
  Image picture{small.width + cell_height, cell_height, 3,
                std::vector<uint8_t>(size_t(small.width + cell_height) * cell_height * 3)};
  media::paste(picture, small, 0, 0);
  const std::string note = faces.empty() ? "no face" : "face not followed";
  media::paste(picture, alignment ? media::crop_face(frame.rgb, *alignment, cell_height) : note_picture(note), small.width, 0);
  return {picture,
          caption(frame) + (watched ? fmt::format("  track {}  score {:.2f}", watched->track, watched->score) : "  " + note)};
}

struct TrackedClip {
  VideoInfo info;
  std::vector<double> seconds;
  std::vector<std::vector<media::Face>> faces;
  std::vector<std::optional<media::Face>> watched;
};

TrackedClip track(const Words& words) {
  media::FaceTrackOptions options;
  options.threshold = words.threshold;
  media::FaceTracker tracker(options);
  VideoReader reader(words.video);
  TrackedClip clip{reader.info(), {}, {}, {}};
  while (auto frame = reader.next()) {
    clip.seconds.push_back(frame->seconds);
    tracker.add(frame->rgb);
  }
  clip.faces = tracker.finish();
  clip.watched = media::watched_faces(clip.faces);
  return clip;
}

void print_faces_json(const TrackedClip& clip, const Words& words) {
  std::vector<Json> frames;
  Json main_track;
  for (const auto& face : media::main_face(clip.faces))
    if (face) main_track = face->track;
  for (size_t i = 0; i < clip.faces.size(); ++i) {
    Json faces = Json::array();
    for (const media::Face& face : clip.faces[i]) faces.push_back(face_json(face));
    const Json watched = clip.watched[i] ? Json(clip.watched[i]->track) : Json();
    frames.push_back({{"index", i}, {"seconds", rounded(clip.seconds[i], 6)}, {"watched", watched}, {"faces", faces}});
  }
  print_json_lines({{"video", info_json(clip.info, words.video)}, {"main_track", main_track}}, "frames", frames);
}

void print_faces(const TrackedClip& clip, const Words& words) {
  print_info(clip.info, words.video);
  std::printf("%7s %10s %6s %7s  %s\n", "frame", "seconds", "track", "score", "box (left top right bottom)");
  int64_t with_face = 0;
  for (size_t i = 0; i < clip.faces.size(); ++i) {
    with_face += !clip.faces[i].empty();
    if (clip.faces[i].empty()) std::printf("%7zu %10.4f      -\n", i, rounded(clip.seconds[i], 4));
    for (const media::Face& face : clip.faces[i])
      std::printf("%7zu %10.4f %5d%s %7.2f  %.0f %.0f %.0f %.0f\n", i, rounded(clip.seconds[i], 4), face.track,
                  is_watched(face, clip.watched[i]) ? "*" : " ", face.score, face.box.left, face.box.top, face.box.right,
                  face.box.bottom);
  }
  std::printf("faces in %lld of %zu frames; * the face that is watched\n", (long long)with_face, clip.faces.size());
}

void show_faces(const Words& words) {
  const TrackedClip clip = track(words);
  words.json ? print_faces_json(clip, words) : print_faces(clip, words);
  if (words.sheet.empty()) return;
  const auto alignment = media::align_tracks(clip.watched, cell_height);
  write_sheet(words, int64_t(clip.faces.size()), [&](const VideoFrame& frame) {
    const auto i = size_t(frame.index);
    return face_cell(frame, clip.faces[i], clip.watched[i], alignment[i]);
  });
}

media::Sound sound_of(const Words& words) {
  media::SoundOptions options{.rate = words.rate, .limits = {}};
  for (const auto& [resampling, name] : names_of(media::Resampling{}))
    if (words.resampler == name) options.resampling = resampling;
  if (!words.from && !words.to) return media::read_sound(words.video, options);
  media::AudioReader reader(words.video, options);
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
  const Json json = {{"video", info_json(media::probe(words.video), words.video)},
                     {"rate", sound.rate},
                     {"samples", sound.samples.size()},
                     {"start_s", rounded(sound.start_s, 6)},
                     {"duration_s", rounded(duration_s, 6)},
                     {"peak", rounded(peak, 6)},
                     {"rms", rounded(rms, 6)},
                     {"bad_packets", sound.bad_packets}};
  if (words.json)
    std::printf("%s\n", json.dump(2).c_str());
  else
    std::printf("%s: %zu samples at %d Hz, from %.4f s, %.4f s long; peak %.3f, rms %.4f; bad packets %lld\n",
                words.video.c_str(), sound.samples.size(), sound.rate, rounded(sound.start_s, 4), duration_s, peak, rms,
                (long long)sound.bad_packets);
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
  view->callback([words, show] {
    if (!words->sheet.empty()) media::check_png_name(words->sheet);
    show(*words);
  });
  return view;
}

/// CLI::Range lets "nan" through.
std::string finite(const std::string& text) {
  const char* const end = text.data() + text.size();
  double value = 0;
  const auto [rest, trouble] = std::from_chars(text.data(), end, value);
  return trouble == std::errc() && rest == end && std::isfinite(value) ? "" : text + " is not a number";
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

void add_media_command(CLI::App& app, int&) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("media", "Look at what is read from a video: frames with their times, faces, sound");
  command->require_subcommand(1);
  CLI::App* frames = add_view(*command, "frames", "Every frame: presentation time, key, md5 of its decoded planes",
                              "Write a contact sheet of frames with their times", words, show_frames);
  CLI::App* faces = add_view(*command, "faces", "Every frame's faces: box, score, track, 68 landmarks",
                             "Write a contact sheet: boxes and points, the watched face's aligned crop", words, show_faces);
  add_choice(*frames, words);
  CLI::App* audio = add_view(*command, "audio", "The sound as the model hears it: mono, at 16 kHz or another rate",
                             "Write a picture of the log-mel filter banks", words, show_sound);
  add_speech_views(*command);
  add_cells(*frames, words);
  add_cells(*faces, words);
  faces->add_option("--threshold", words->threshold, "Detector score below which a new face is not taken")
      ->check(finite)
      ->capture_default_str();
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
      "  microemo media faces clip.mp4 --json > faces.json\n"
      "  microemo media audio clip.mp4 --wav sound.wav\n"
      "  microemo media audio clip.mp4 --from 1.5 --to 3.25 --wav utterance.wav\n"
      "  microemo media transcript talk.vtt --overlap cut --longest 10 --srt talk.srt\n"
      "  microemo media voice clip.mp4 --srt clip.srt");
}

}  // namespace microemo::cli
