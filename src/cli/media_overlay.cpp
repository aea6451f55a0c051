#include "media_overlay.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "media_input.h"
#include "media_view.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/base/workers.h"
#include "microemo/media/frame_reader.h"
#include "microemo/report/overlay_video.h"
#include "microemo/text/transcript.h"
#include "microemo/text/utterance_rules.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using report::TimedText;

constexpr double same_duration_s = 0.5;

struct Words {
  std::string video, out, transcript, labels;
  double threshold = media::FaceTrackOptions{}.threshold, frame_rate = 0;
  media::ReadLimits limits;
};

Error not_a_prediction(const fs::path& path, const std::string& why) {
  return DataError("this is no prediction: {}", why).where(path).hint("give the prediction.json that microemo predict wrote");
}

TimedText text_of(const Json& utterance, const fs::path& path, std::string text) {
  TimedText timed{json_get<double>(utterance, "start_s", path), json_get<double>(utterance, "end_s", path), std::move(text)};
  if (!(timed.start_s >= 0 && timed.end_s >= timed.start_s && std::isfinite(timed.end_s)))
    throw not_a_prediction(path, fmt::format("an utterance from {} to {} s", timed.start_s, timed.end_s));
  return timed;
}

std::vector<Json> utterances_of(const fs::path& path) {
  const Json prediction = read_json(path);
  if (!prediction.is_object() || !prediction.contains("utterances") || !prediction["utterances"].is_array())
    throw not_a_prediction(path, "it has no list of \"utterances\"");
  std::vector<Json> utterances(prediction["utterances"].begin(), prediction["utterances"].end());
  if (utterances.empty()) throw not_a_prediction(path, "it has no utterance");
  for (const Json& utterance : utterances)
    if (!utterance.is_object()) throw not_a_prediction(path, "an utterance is no object");
  return utterances;
}

void check_is_about(const Json& prediction, const fs::path& path, const media::MediaInput& video,
                    const media::ReadLimits& limits) {
  const fs::path named = json_get<std::string>(prediction, "video", path);
  const auto refuse = [&](const std::string& why) {
    return DataError("these labels are those of another clip: {}", why)
        .where(path)
        .hint("predict this clip, or give the labels that belong to it");
  };
  if (named.filename() != video.path.filename())
    throw refuse(fmt::format("{} and not {}", named.filename().string(), video.path.filename().string()));
  const media::FrameReader reader(video, {.limits = limits});
  const double told_s = json_get<double>(prediction, "duration_s", path);
  const double end_s = std::max(reader.end_s(), reader.info().duration_s);
  if (!(std::abs(told_s - reader.end_s()) <= same_duration_s || std::abs(told_s - end_s) <= same_duration_s))
    throw refuse(fmt::format("one of {:.3f} s, and this one has {:.3f} s", told_s, end_s));
}

std::vector<TimedText> read_words(const fs::path& file) {
  const text::Transcript transcript = text::read_transcript(file);
  std::vector<TimedText> words;
  for (const text::Cue& cue : text::utterances_of(transcript.cues, {.overlap = text::Overlap::cut}, file))
    words.push_back({cue.start_s, cue.end_s, cue.text});
  if (words.empty())
    throw DataError("the transcript has no utterance with times").where(file).hint("leave --transcript out to show no words");
  return words;
}

/// The words of a prediction's utterances, where there is no transcript beside it.
std::vector<TimedText> words_of(const fs::path& path) {
  std::vector<TimedText> words;
  for (const Json& utterance : utterances_of(path)) {
    const auto text = json_get<std::string>(utterance, "text", path);
    if (!text.empty()) words.push_back(text_of(utterance, path, text));
  }
  return words;
}

int run(const Words& words) {
  report::OverlayVideo job{media_input(words.video, words.frame_rate), words.out, {}, {}, words.limits};
  job.faces.threshold = words.threshold;
  report::check_overlay_place(job.video.path, job.out);
  if (!words.labels.empty()) job.overlay.labels = read_labels(words.labels, job.video, words.limits);
  if (!words.transcript.empty())
    job.overlay.words = read_words(words.transcript);
  else if (!words.labels.empty())
    job.overlay.words = words_of(words.labels);
  if (!report::write_overlay_video(job)) {
    std::fprintf(stderr, "stopped: no overlay was written\n");
    return exit_code_interrupted;
  }
  std::printf("overlay: %s\n", words.out.c_str());
  if (!words.limits.partial) return 0;
  if (const auto damage = media::find_damage(media_input(words.video, words.frame_rate), words.limits))
    std::printf("%s\n", damage_text(*damage).c_str());
  return 0;
}

}  // namespace

std::string label_text(const std::vector<std::string>& labels) {
  return labels.empty() ? "no label" : fmt::format("{}", fmt::join(labels, ", "));
}

std::vector<TimedText> read_labels(const fs::path& path, const media::MediaInput& video, const media::ReadLimits& limits) {
  const std::vector<Json> utterances = utterances_of(path);
  check_is_about(read_json(path), path, video, limits);
  std::vector<TimedText> labels;
  for (const Json& utterance : utterances)
    labels.push_back(text_of(utterance, path, label_text(json_get<std::vector<std::string>>(utterance, "labels", path))));
  return labels;
}

void add_media_overlay(CLI::App& media_command, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* view = media_command.add_subcommand(
      "overlay", "Write the video again with its sound, and faces, words and labels drawn on and under its pictures");
  view->add_option("VIDEO", words->video, "File to look at")->required()->type_name("");
  view->add_option("--out", words->out, "The new file")->required()->type_name("MP4");
  view->add_option("--transcript", words->transcript,
                   "The words of each moment: .srt, .vtt, .json of Whisper, or .csv like MELD's")
      ->type_name("FILE");
  view->add_option("--labels", words->labels,
                   "What microemo predict wrote about this video: labels, and words without a transcript")
      ->type_name("prediction.json");
  add_frame_rate(*view, words->frame_rate);
  view->add_option("--threshold", words->threshold, "Detector score below which a new face is not taken")
      ->check(finite)
      ->capture_default_str();
  add_read_options(*view, words->limits);
  view->callback([words, &status] {
    install_stop_signals();
    const auto guard = end_when_hung(words->video, words->limits);
    status = run(*words);
  });
}

}  // namespace microemo::cli
