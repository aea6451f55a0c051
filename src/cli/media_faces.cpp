#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "media_input.h"
#include "media_view.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/face_crops.h"
#include "microemo/media/image.h"
#include "microemo/media/repeats.h"
#include "microemo/media/video_reader.h"
#include "microemo/report/face_sheet.h"

namespace microemo::cli {
namespace {

using media::Image;
using media::VideoFrame;
using media::VideoInfo;
using media::VideoReader;

struct Words {
  std::string video, sheet, track_sheet, crops;
  int cells = 24, size = 112;
  media::FaceTrackOptions tracking;
  bool json = false;
  MediaWords media;

  VideoReader reader() const { return VideoReader(media.input(video), {.limits = media.limits}); }
};

Json face_json(const media::Face& face) {
  Json points = Json::array();
  for (const media::Point& p : face.landmarks) points.push_back({p.x, p.y});
  const media::Box& box = face.box;
  return {{"track", face.track},
          {"confidence", rounded(face.score, 4)},
          {"box", {rounded(box.left, 1), rounded(box.top, 1), rounded(box.right, 1), rounded(box.bottom, 1)}},
          {"landmarks", points}};
}

Json track_json(const media::TrackSummary& track) {
  return {{"track", track.track},
          {"first", track.first},
          {"last", track.last},
          {"frames", track.frames},
          {"coverage", rounded(track.coverage, 4)},
          {"mean_confidence", rounded(track.mean_score, 4)},
          {"duplicated", track.repeated}};
}

Json repeat_json(media::Repeat repeat) {
  if (repeat == media::Repeat::none) return nullptr;
  return repeat == media::Repeat::frame ? "frame" : "field";
}

bool is_watched(const media::Face& face, const std::optional<media::Face>& watched) {
  return watched && watched->track == face.track;
}

struct TrackedClip {
  VideoInfo info;
  std::optional<media::Damage> damage;
  std::vector<double> seconds;
  std::vector<std::vector<media::Face>> faces;
  std::vector<std::optional<media::Face>> watched;
  std::vector<media::Repeat> repeats;
  std::vector<media::TrackSummary> tracks;
};

TrackedClip track(const Words& words) {
  media::FaceTracker tracker(words.tracking);
  media::RepeatFinder repeats;
  VideoReader reader = words.reader();
  TrackedClip clip{reader.info(), {}, {}, {}, {}, {}, {}};
  while (auto frame = reader.next()) {
    clip.seconds.push_back(frame->seconds);
    tracker.add(frame->rgb);
    repeats.add(frame->rgb);
  }
  clip.damage = reader.damage();
  clip.faces = tracker.finish();
  clip.watched = media::watched_faces(clip.faces);
  clip.repeats = repeats.finish();
  clip.tracks = media::summarise_tracks(clip.faces, clip.repeats);
  return clip;
}

void print_faces_json(const TrackedClip& clip, const Words& words) {
  std::vector<Json> frames;
  Json main_track, tracks = Json::array();
  for (const auto& face : media::main_face(clip.faces))
    if (face) main_track = face->track;
  for (const media::TrackSummary& summary : clip.tracks) tracks.push_back(track_json(summary));
  for (size_t i = 0; i < clip.faces.size(); ++i) {
    Json faces = Json::array();
    for (const media::Face& face : clip.faces[i]) faces.push_back(face_json(face));
    const Json watched = clip.watched[i] ? Json(clip.watched[i]->track) : Json();
    frames.push_back({{"index", i},
                      {"seconds", rounded(clip.seconds[i], 6)},
                      {"duplicated", repeat_json(clip.repeats[i])},
                      {"watched", watched},
                      {"faces", faces}});
  }
  print_json_lines({{"video", info_json(clip.info, words.video)},
                    {"partial", damage_json(clip.damage)},
                    {"main_track", main_track},
                    {"tracks", tracks}},
                   "frames", frames);
}

void print_tracks(const TrackedClip& clip) {
  std::printf("%7s %7s %7s %7s %9s %11s %10s\n", "track", "first", "last", "frames", "coverage", "confidence", "duplicated");
  for (const media::TrackSummary& t : clip.tracks)
    std::printf("%7d %7lld %7lld %7lld %8.1f%% %11.2f %10lld\n", t.track, (long long)t.first, (long long)t.last,
                (long long)t.frames, 100 * t.coverage, t.mean_score, (long long)t.repeated);
}

void print_faces(const TrackedClip& clip, const Words& words) {
  print_info(clip.info, words.video);
  std::printf("%7s %10s %6s %10s  %s\n", "frame", "seconds", "track", "confidence", "box (left top right bottom)");
  int64_t with_face = 0;
  for (size_t i = 0; i < clip.faces.size(); ++i) {
    with_face += !clip.faces[i].empty();
    const char* again = clip.repeats[i] == media::Repeat::frame   ? "  duplicated"
                        : clip.repeats[i] == media::Repeat::field ? "  duplicated field"
                                                                  : "";
    if (clip.faces[i].empty()) std::printf("%7zu %10.4f      -%s\n", i, rounded(clip.seconds[i], 4), again);
    for (const media::Face& face : clip.faces[i])
      std::printf("%7zu %10.4f %5d%s %10.2f  %.0f %.0f %.0f %.0f%s\n", i, rounded(clip.seconds[i], 4), face.track,
                  is_watched(face, clip.watched[i]) ? "*" : " ", face.score, face.box.left, face.box.top, face.box.right,
                  face.box.bottom, again);
  }
  print_tracks(clip);
  std::printf("faces in %lld of %zu frames; * the face that is watched\n", (long long)with_face, clip.faces.size());
  if (clip.damage) std::printf("%s\n", damage_text(*clip.damage).c_str());
}

void write_crops(const TrackedClip& clip, const Words& words) {
  const media::AlignOptions options{.size = words.size, .style = media::CropStyle::openface, .follow_motion = true};
  const auto alignment = media::align_tracks(clip.watched, options);
  std::map<int, media::Stabilizer> held;
  std::vector<Image> crops(clip.watched.size());
  VideoReader reader = words.reader();
  while (auto frame = reader.next()) {
    const auto i = size_t(frame->index);
    if (!alignment[i]) continue;
    media::Stabilizer& track = held.try_emplace(clip.watched[i]->track, options.style, options.size).first->second;
    crops[i] = media::crop_face(frame->rgb, track.add(frame->rgb, *alignment[i]), words.size);
  }
  media::write_face_crops(words.crops, crops, words.size);
}

void show_faces(const Words& words) {
  for (const std::string& sheet : {words.sheet, words.track_sheet})
    if (!sheet.empty()) media::check_png_name(sheet);
  if (!words.crops.empty()) media::check_crops_name(words.crops);
  const TrackedClip clip = track(words);
  words.json ? print_faces_json(clip, words) : print_faces(clip, words);
  if (!words.crops.empty()) write_crops(clip, words);
  if (!words.track_sheet.empty())
    media::write_png(words.track_sheet, report::draw_face_sheet(words.media.input(words.video), clip.faces, words.cells,
                                                                clip.watched, words.media.limits));
  if (!words.sheet.empty())
    media::write_png(words.sheet, report::draw_face_page(words.media.input(words.video), clip.faces, clip.watched, words.cells,
                                                         words.media.limits));
}

}  // namespace

void add_faces_view(CLI::App& media_command) {
  auto words = std::make_shared<Words>();
  CLI::App* view = media_command.add_subcommand(
      "faces", "Every frame's faces: box, confidence, track, 68 landmarks; every track; frames that show nothing new");
  view->add_option("VIDEO", words->video, "File to look at")->required()->type_name("");
  view->add_flag("--json", words->json, "Print JSON");
  add_media_options(*view, words->media);
  view->add_option("--sheet", words->sheet,
                   "Write frames with boxes and track numbers, and under them the aligned crops of every track over time")
      ->type_name("PNG");
  view->add_option("--track-sheet", words->track_sheet, "Write these crops alone")->type_name("PNG");
  view->add_option("--cells", words->cells, "Pictures on the contact sheet, spread over the clip")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  view->add_option("--threshold", words->tracking.threshold, "Detector score below which a new face is not taken")
      ->check(finite)
      ->capture_default_str();
  view->add_option("--cnn-detector", words->tracking.models.cnn_detector,
                   "dlib's convolutional detector (mmod_human_face_detector.dat) in place of the frontal one; slow")
      ->type_name("FILE");
  view->add_option("--five-points", words->tracking.models.five_points,
                   "dlib's 5-point landmark model, which puts that detector's boxes where the 68 points expect them")
      ->type_name("FILE");
  CLI::Option* crops =
      view->add_option("--crops", words->crops,
                       "Write the watched face of every frame, aligned like OpenFace's: uint8 [frames, size, size, 3], "
                       "blue, green, red; black where there is none")
          ->type_name("NPY");
  view->add_option("--size", words->size, "Side of these crops, in pixels")
      ->check(CLI::IsMember({112, 224}))
      ->needs(crops)
      ->capture_default_str();
  view->callback([words] {
    const auto guard = end_when_hung(words->video, words->media.limits);
    show_faces(*words);
  });
}

}  // namespace microemo::cli
