#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/sqrt.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "media_input.h"
#include "media_overlay.h"
#include "media_view.h"
#include "microemo/base/device.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/base/workers.h"
#include "microemo/cli/commands.h"
#include "microemo/eval/extract.h"
#include "microemo/eval/labels.h"
#include "microemo/infer/answer_text.h"
#include "microemo/infer/generate.h"
#include "microemo/media/text_drawing.h"
#include "microemo/media/video_reader.h"
#include "microemo/media/voice.h"
#include "microemo/report/clip_frames.h"
#include "microemo/report/overlay_video.h"
#include "microemo/report/timeline.h"
#include "microemo/text/transcript.h"
#include "microemo/text/utterance_rules.h"
#include "microemo/train/device.h"
#include "microemo/train/load_run.h"
#include "out_of_memory.h"
#include "rule_options.h"
#include "sampling_options.h"
#include "seen_frames.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

constexpr int shown_frames = 8;

struct Words {
  std::string video, run, transcript, question, out, device = "auto";
  std::vector<std::string> features;
  infer::GenerateOptions generate;
  text::UtteranceRules rules;
  double frame_rate = 0;
  NamedLimits limits;
  bool json = false, ema = false, stream = false, voice = false, overlay = false, partial = false;

  media::MediaInput input() const { return media_input(video, frame_rate); }
  /// Folders may have dots in their names.
  fs::path name() const { return frame_rate > 0 ? fs::weakly_canonical(input().path).filename() : input().path.stem(); }
};

/// A clip and what the model said about it, one answer and its labels per utterance.
struct Prediction {
  data::Sample sample;
  std::vector<infer::Answer> answers;
  std::vector<std::vector<std::string>> labels;
  std::vector<std::string> remarks;
};

std::vector<data::Utterance> utterances_of(const std::vector<text::Cue>& cues, const Words& words) {
  std::vector<data::Utterance> utterances;
  for (const text::Cue& cue : cues)
    utterances.push_back(
        {.start_s = cue.start_s, .end_s = cue.end_s, .text = cue.text, .speaker = cue.speaker, .question = words.question});
  return utterances;
}

void refuse_too_many(const std::vector<text::Cue>& cues, const std::string& file, int64_t most) {
  if (int64_t(cues.size()) > most)
    throw DataError("there are {} utterances, and this model was made for {} at most", cues.size(), most)
        .where(file, cues[size_t(most)].line)
        .hint(fmt::format("merge neighbours with --most {}, or cut the video into parts of {} utterances", most, most));
}

std::vector<text::Cue> cues_of(const text::Transcript& transcript, const Words& words) {
  if (!transcript.timed) return {};
  if (transcript.cues.empty())
    throw DataError("the transcript has no utterance")
        .where(words.transcript)
        .hint("leave --transcript out to ask about the whole clip");
  return text::utterances_of(transcript.cues, words.rules, words.transcript);
}

std::vector<text::Cue> cues_of_voice(const Words& words, const media::ReadLimits& limits) {
  std::vector<text::Cue> cues;
  if (!media::probe(words.input(), limits).has_audio) return cues;
  for (const auto& [start_s, end_s] : media::voiced_stretches(media::read_sound(words.input(), {.limits = limits})))
    cues.push_back({start_s, end_s, {}});
  return text::utterances_of(std::move(cues), words.rules, words.video);
}

/// The features that the command line names.
std::map<std::string, fs::path> named_features(const Words& words, const std::vector<std::string>& known) {
  std::map<std::string, fs::path> files;
  for (const std::string& feature : words.features) {
    const size_t sign = feature.find('=');
    const std::string name = feature.substr(0, sign);
    if (sign == std::string::npos || sign + 1 == feature.size())
      throw ConfigError("'{}' names no file of a feature", feature).hint("give --feature NAME=FILE.npy");
    if (std::ranges::count(known, name) == 0)
      throw ConfigError("the model reads no feature '{}'", name)
          .hint(known.empty() ? "leave --feature out" : fmt::format("it reads {}", fmt::join(known, ", ")));
    files[name] = feature.substr(sign + 1);
  }
  return files;
}

data::Sample read_clip(const Words& words, const train::RunOptions& options) {
  data::Sample sample;
  sample.clip.id = words.name().string();
  sample.clip.video = words.input().path;
  sample.clip.frame_rate = words.frame_rate;
  const text::Transcript transcript = words.transcript.empty() ? text::Transcript() : text::read_transcript(words.transcript);
  const std::vector<text::Cue> cues =
      words.voice ? cues_of_voice(words, data::read_limits(options.prepare)) : cues_of(transcript, words);
  refuse_too_many(cues, words.voice ? words.video : words.transcript, options.model.decoder.utterances);
  sample.clip.utterances = utterances_of(cues, words);
  sample.clip.features = named_features(words, options.model.features.names);
  sample.features = data::read_features(sample.clip, options.model.features);
  sample.prepared = data::prepare_clip(sample.clip, options.prepare);
  if (sample.clip.utterances.empty()) {
    data::Utterance whole;
    whole.end_s = sample.prepared.duration_s;
    whole.text = transcript.text;
    whole.question = words.question;
    sample.clip.utterances.push_back(whole);
  }
  return sample;
}

std::vector<std::string> remarks_on(const data::PreparedClip& clip, const Words& words) {
  std::vector<std::string> remarks;
  if (words.voice)
    remarks.push_back("no transcript: the utterances are where the sound is loud, without words");
  else if (words.transcript.empty())
    remarks.push_back("no transcript: the whole clip is one utterance without words");
  if (clip.face_times_N.size(0) == 0)
    remarks.push_back("no picture in this file: the model has only heard it");
  else if (clip.faces_found == 0)
    remarks.push_back("no face was found: the model has seen whole frames only");
  if (!clip.has_sound()) remarks.push_back("no sound in this file");
  if (clip.damage) remarks.push_back(damage_text(*clip.damage));
  return remarks;
}

/// Text as it is written, each answer behind the times of its utterance: answers that are written at the same time would be
/// mixed, so that they are written one after the other, which changes none of them.
infer::OnText stream_to_output(const data::Sample& sample) {
  return [&sample, shown = size_t(-1)](size_t question, const std::string& text) mutable {
    if (question != shown) {
      const data::Utterance& utterance = sample.clip.utterances[question];
      std::printf("%s%.2f to %.2f s  ", shown == size_t(-1) ? "" : "\n", utterance.start_s, utterance.end_s);
      shown = question;
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
}

Prediction predict(const Words& words, const train::LoadedRun& run) {
  Prediction prediction;
  prediction.sample = read_clip(words, run.options);
  prediction.remarks = remarks_on(prediction.sample.prepared, words);
  std::vector<data::Question> questions;
  for (size_t i = 0; i < prediction.sample.clip.utterances.size(); ++i) questions.push_back({0, int64_t(i)});
  const data::BatchBuilder builder(run.tokenizer, run.options.model, run.options.prepare, run.options.prompt);
  infer::GenerateOptions generate = words.generate;
  if (words.stream) generate.batch_rows = 1;
  prediction.answers = infer::generate_answers(*run.model, builder, {&prediction.sample}, questions, generate,
                                               words.stream ? stream_to_output(prediction.sample) : infer::OnText());
  if (words.stream) std::printf("\n\n");
  std::vector<size_t> cut;
  for (size_t i = 0; i < prediction.answers.size(); ++i) {
    prediction.labels.push_back(eval::extract_labels(prediction.answers[i].text));
    if (!prediction.answers[i].complete) cut.push_back(i + 1);
  }
  if (!cut.empty())
    prediction.remarks.push_back(fmt::format("no end after {} tokens: the answer about utterance {}",
                                             words.generate.max_new_tokens, fmt::join(cut, ", ")));
  return prediction;
}

std::vector<double> numbers(const at::Tensor& values) {
  const at::Tensor doubles = values.to(at::kDouble).contiguous();
  return {doubles.const_data_ptr<double>(), doubles.const_data_ptr<double>() + doubles.numel()};
}

/// How much the face differs from its neutral state, where the prepared input says so.
std::vector<report::TimelineSignal> signals_of(const data::PreparedClip& clip, data::FaceInput input) {
  std::vector<report::TimelineSignal> signals;
  const bool moves = input == data::FaceInput::flow || input == data::FaceInput::difference;
  if (moves && clip.faces_found > 0) {
    const at::Tensor squares_NCSS = clip.faces_NCSS.to(at::kFloat).square();
    const at::Tensor strength_N = squares_NCSS.sum(1).sqrt().mean({1, 2});
    signals.push_back(
        {"face moves", numbers(clip.face_times_N),
         numbers(strength_N.masked_fill(clip.face_mask_N.logical_not(), std::numeric_limits<double>::quiet_NaN()))});
  }
  if (clip.mel_times_F.size(0) > 0)
    signals.push_back({"sound", numbers(clip.mel_times_F), numbers(clip.mel_FM.exp().mean(1).sqrt())});
  return signals;
}

std::string face_count(const data::PreparedClip& clip) {
  const int64_t frames = clip.face_times_N.size(0);
  if (frames == 0 && clip.frames_TCHW.size(0) > 0) return "no faces looked for";
  return frames == 0 ? "no picture" : fmt::format("a face in {} of {} frames", clip.faces_found, frames);
}

/// A face is shown only where the model has seen one.
void hide_unseen_faces(report::Timeline& timeline) {
  for (report::TimelineFrame& frame : timeline.frames) {
    const auto next = std::upper_bound(timeline.face_times.begin(), timeline.face_times.end(), frame.seconds + 1e-6);
    const auto at = next == timeline.face_times.begin() ? 0 : next - timeline.face_times.begin() - 1;
    if (!timeline.face_found[size_t(at)]) frame.face = {};
  }
}

report::Timeline timeline_of(const Prediction& prediction, const train::LoadedRun& run) {
  const data::PreparedClip& clip = prediction.sample.prepared;
  report::Timeline timeline;
  timeline.title = prediction.sample.clip.id;
  timeline.subtitle =
      fmt::format("{}   {:.2f} s, {}", prediction.sample.clip.video.filename().string(), clip.duration_s, face_count(clip));
  timeline.duration_s = clip.duration_s;
  if (clip.face_times_N.size(0) > 0)
    timeline.frames = report::sample_frames(data::media_of(prediction.sample.clip), clip.duration_s, shown_frames,
                                            data::read_limits(run.options.prepare));
  timeline.face_times = numbers(clip.face_times_N);
  for (const double found : numbers(clip.face_mask_N)) timeline.face_found.push_back(found != 0);
  hide_unseen_faces(timeline);
  timeline.signals = signals_of(clip, run.options.prepare.face_input);
  timeline.remarks = prediction.remarks;
  for (size_t i = 0; i < prediction.answers.size(); ++i) {
    const data::Utterance& utterance = prediction.sample.clip.utterances[i];
    timeline.utterances.push_back(
        {utterance.start_s, utterance.end_s, utterance.text, prediction.labels[i], prediction.answers[i].text});
  }
  return timeline;
}

/// False when a signal ended it early.
bool write_overlay(const Prediction& prediction, const media::ReadLimits& limits, const fs::path& out) {
  report::OverlayVideo job{data::media_of(prediction.sample.clip), out, {}, {}, limits};
  job.overlay.duration_s = prediction.sample.prepared.duration_s;
  for (size_t i = 0; i < prediction.labels.size(); ++i) {
    const data::Utterance& utterance = prediction.sample.clip.utterances[i];
    job.overlay.labels.push_back({utterance.start_s, utterance.end_s, label_text(prediction.labels[i])});
    if (!utterance.text.empty()) job.overlay.words.push_back({utterance.start_s, utterance.end_s, utterance.text});
  }
  install_stop_signals();
  return report::write_overlay_video(job);
}

void check_overlay(const Words& words, const fs::path& folder) {
  if (!words.overlay) return;
  media::ReadLimits limits;
  words.limits.apply(limits);
  const auto guard = end_when_hung(words.video, limits);
  if (!media::probe(words.input(), limits).has_video)
    throw DataError("there is no picture in this file to write an overlay of").where(words.video).hint("leave --overlay out");
  report::check_overlay_place(words.input().path, folder / "overlay.mp4");
}

Json to_json(const Prediction& prediction, const train::LoadedRun& run, const infer::GenerateOptions& generate,
             const fs::path& folder) {
  const data::PreparedClip& clip = prediction.sample.prepared;
  Json json = {{"video", prediction.sample.clip.video.string()},
               {"checkpoint", run.checkpoint.string()},
               {"step", run.step},
               {"duration_s", clip.duration_s},
               {"frames", clip.source_frames},
               {"face_frames", clip.face_times_N.size(0)},
               {"faces_found", clip.faces_found},
               {"sound", clip.has_sound()},
               {"partial", damage_json(clip.damage)},
               {"extractor", eval::rules_extractor_name(eval::own_lexicon())},
               {"generate", options_to_json(generate)},
               {"remarks", prediction.remarks},
               {"timeline", (folder / "timeline.png").string()},
               {"utterances", Json::array()}};
  for (size_t i = 0; i < prediction.answers.size(); ++i) {
    const data::Utterance& utterance = prediction.sample.clip.utterances[i];
    const infer::Answer& answer = prediction.answers[i];
    json["utterances"].push_back({{"start_s", utterance.start_s},
                                  {"end_s", utterance.end_s},
                                  {"text", utterance.text},
                                  {"question", data::question_text(utterance)},
                                  {"answer", answer.text},
                                  {"labels", prediction.labels[i]},
                                  {"complete", answer.complete},
                                  {"log_probability", answer.log_probability}});
  }
  return json;
}

void print_text(const Prediction& prediction, const Json& json) {
  const auto line = [](const std::string& text) { std::printf("%s\n", text.c_str()); };
  for (size_t i = 0; i < prediction.answers.size(); ++i) {
    const data::Utterance& utterance = prediction.sample.clip.utterances[i];
    line(fmt::format("{:7.2f} - {:.2f} s  {}", utterance.start_s, utterance.end_s, utterance.text));
    line(fmt::format("    answer  {}", prediction.answers[i].text));
    line(fmt::format("    labels  {}",
                     prediction.labels[i].empty() ? "none" : fmt::format("{}", fmt::join(prediction.labels[i], ", "))));
  }
  for (const std::string& remark : prediction.remarks) line("note: " + remark);
  line("timeline: " + json["timeline"].get<std::string>());
  if (json.contains("seen_frames")) line("frames:   " + json["seen_frames"].get<std::string>());
  if (json.contains("overlay")) line("overlay:  " + json["overlay"].get<std::string>());
}

/// What can be known to be wrong before anything is loaded.
void check(const Words& words) {
  infer::check_sampling(words.generate.sampling);
  infer::check_stop(words.generate.stop);
  const infer::SamplingOptions &sampling = words.generate.sampling, defaults;
  const auto needs = [](bool given, const char* option, const char* what) {
    if (given) throw ConfigError("{} has no effect {}", option, what).at(option).hint("leave it out");
  };
  const bool draws = sampling.temperature != 0;
  needs(!draws && sampling.top_k != defaults.top_k, "--top-k", "without --temperature above 0");
  needs(!draws && sampling.top_p != defaults.top_p, "--top-p", "without --temperature above 0");
  needs(!draws && sampling.seed != defaults.seed, "--seed", "without --temperature above 0");
  needs(words.stream && words.json, "--stream", "beside --json");
}

int run(const Words& words) {
  check(words);
  media::check_font();
  const fs::path folder = words.out.empty() ? fs::path("predictions") / words.name() : fs::path(words.out);
  check_overlay(words, folder);
  const at::Device device = train::torch_device(choose_device(words.device));
  train::LoadedRun run = train::load_run(words.run, words.ema, device);
  if (words.partial) run.options.prepare.partial = data::Partial::allow;
  words.limits.apply(run.options.prepare.limits);
  at::set_num_threads(int(std::max<int64_t>(run.options.train.threads, 1)));
  const auto guard = end_when_hung(words.video, run.options.prepare.limits);
  const Prediction prediction = predict(words, run);
  const data::PreparedClip& clip = prediction.sample.prepared;
  const report::Timeline timeline = timeline_of(prediction, run);
  ensure_writable_folder(folder);
  media::write_png(folder / "timeline.png", report::draw_timeline(timeline));
  Json json = to_json(prediction, run, words.generate, folder);
  if (clip.frames_TCHW.size(0) > 0) {
    media::write_png(folder / "frames.png", seen_frames(clip));
    json["seen_frames"] = (folder / "frames.png").string();
  }
  write_json(folder / "prediction.json", json);
  const bool whole = !words.overlay || write_overlay(prediction, data::read_limits(run.options.prepare), folder / "overlay.mp4");
  if (words.overlay && whole) {
    json["overlay"] = (folder / "overlay.mp4").string();
    write_json(folder / "prediction.json", json);
  }
  if (words.json)
    std::printf("%s\n", json.dump(2).c_str());
  else
    print_text(prediction, json);
  if (!whole) std::fprintf(stderr, "stopped: no overlay was written, the rest of the prediction is whole\n");
  return whole ? 0 : exit_code_interrupted;
}

}  // namespace

void add_predict_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command =
      app.add_subcommand("predict", "Ask a trained model about one video: answers, labels, a picture of its timeline");
  command
      ->add_option("VIDEO", words->video,
                   "Any file with a picture or sound that FFmpeg's libraries read, or a folder of pictures with --frame-rate")
      ->required();
  add_frame_rate(*command, words->frame_rate);
  command->add_option("--run", words->run, "Run folder (its newest checkpoint), or a checkpoint folder")
      ->required()
      ->type_name("RUN");
  CLI::Option* transcript =
      command
          ->add_option(
              "--transcript", words->transcript,
              "One utterance a cue: .srt, .vtt, .json of Whisper, .csv like MELD's; .txt, without times, and no transcript "
              "make the whole clip one utterance")
          ->type_name("FILE");
  command->add_flag("--voice", words->voice, "No transcript: an utterance wherever the sound is loud enough to be speech")
      ->excludes(transcript);
  add_rule_options(*command, words->rules);
  add_limit_options(*command, words->limits);
  command->add_option("--question", words->question,
                      "Asked about every utterance; without it what the emotion is, with the times");
  command
      ->add_option("--feature", words->features,
                   "A vector of the clip that the model reads and other programs compute; once for each of model.features.names")
      ->type_name("NAME=FILE.npy");
  command
      ->add_option("--out", words->out,
                   "Folder for prediction.json, timeline.png and frames.png (what the model saw); predictions/NAME without it")
      ->type_name("DIR");
  command->add_option("--device", words->device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  command->add_option("--max-new-tokens", words->generate.max_new_tokens, "An answer without an end stops after so many tokens")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  add_sampling_options(*command, words->generate.sampling, words->generate.stop);
  command->add_flag("--stream", words->stream, "Print answers as they are written");
  command->add_flag("--ema", words->ema, "Answer with the averaged weights of a run that has them (train.ema)");
  command->add_flag("--overlay", words->overlay,
                    "Also write overlay.mp4: the video with its sound, faces, words and labels over time");
  command->add_flag("--partial", words->partial, "Read a file that breaks off up to there, and say so, instead of refusing it");
  command->add_flag("--json", words->json, "Print JSON");
  command->footer(
      "Examples:\n  microemo predict dialogue.mp4 --run runs/one --transcript dialogue.srt\n"
      "  microemo predict dialogue.mp4 --run runs/one --question \"What does the person feel?\" --json\n"
      "  microemo predict dialogue.mp4 --run runs/one --temperature 0.8 --top-p 0.9 --seed 3 --stream");
  command->callback([words, &status] {
    with_memory_for("answering", "cut the video into parts of fewer utterances", [&] { status = run(*words); });
  });
}

}  // namespace microemo::cli
