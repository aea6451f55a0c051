#include "media_speech.h"

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "media_input.h"
#include "media_view.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/media/voice.h"
#include "microemo/text/transcript.h"
#include "rule_options.h"

namespace microemo::cli {
namespace {

struct Words {
  std::string file, srt;
  text::UtteranceRules rules;
  media::ReadLimits limits;
  media::VoiceOptions voice;
  bool json = false;
};

void print_json(const std::vector<text::Cue>& cues, const Words& words) {
  Json list = Json::array();
  for (const text::Cue& cue : cues) {
    Json item = {{"start_s", cue.start_s}, {"end_s", cue.end_s}, {"text", cue.text}};
    if (!cue.speaker.empty()) item["speaker"] = cue.speaker;
    list.push_back(std::move(item));
  }
  std::printf("%s\n", Json({{"file", words.file}, {"utterances", list}}).dump(2).c_str());
}

void print_text(const std::vector<text::Cue>& cues) {
  for (const text::Cue& cue : cues) {
    const std::string speaker = cue.speaker.empty() ? "" : cue.speaker + ": ";
    std::printf("%9.3f - %9.3f s  %s%s\n", cue.start_s, cue.end_s, speaker.c_str(), cue.text.c_str());
  }
  std::printf("%zu utterance%s\n", cues.size(), cues.size() == 1 ? "" : "s");
}

void show(const std::vector<text::Cue>& cues, const Words& words) {
  words.json ? print_json(cues, words) : print_text(cues);
  if (!words.srt.empty()) write_file_atomic(words.srt, text::format_srt(cues));
}

void show_transcript(const Words& words) {
  const text::Transcript transcript = text::read_transcript(words.file);
  if (!transcript.timed)
    throw DataError("this text has no times, so it belongs to its clip as a whole")
        .where(words.file)
        .hint("give a transcript with times: .srt, .vtt, .json or .csv");
  show(text::utterances_of(transcript.cues, words.rules, words.file), words);
}

void show_voice(const Words& words) {
  const media::Sound sound = media::read_sound(words.file, {.limits = words.limits});
  if (sound.damage) std::fprintf(stderr, "%s\n", damage_text(*sound.damage).c_str());
  std::vector<text::Cue> cues;
  for (const auto& [start_s, end_s] : media::voiced_stretches(sound, words.voice)) cues.push_back({start_s, end_s, {}});
  show(cues, words);
}

void add_outputs(CLI::App& view, Words& words) {
  view.add_flag("--json", words.json, "Print JSON");
  view.add_option("--srt", words.srt, "Write the utterances as a SubRip file")->type_name("SRT");
}

void add_voice_options(CLI::App& view, media::VoiceOptions& voice) {
  const auto number = [&](const char* name, double& value, double least, double most, const char* meaning) {
    view.add_option(name, value, meaning)->check(CLI::Range(least, most).description(""))->capture_default_str();
  };
  number("--shortest-voice", voice.shortest_voice_s, 0, 1e7, "Seconds: a shorter burst is no speech");
  number("--shortest-silence", voice.shortest_silence_s, 0, 1e7, "Seconds: a shorter pause belongs to the speech around it");
  number("--pad", voice.pad_s, 0, 1e7, "Seconds: begin earlier and end later by so much, to the middle of a pause at most");
  number("--silence", voice.silence_db, -300, 0, "Decibels of full scale: what is quieter is silence always");
}

}  // namespace

void add_speech_views(CLI::App& media_command) {
  auto words = std::make_shared<Words>();
  CLI::App* transcript = media_command.add_subcommand("transcript", "The utterances that a transcript of any kind becomes");
  transcript->add_option("FILE", words->file, ".srt, .vtt, .json of Whisper, or .csv like MELD's")->required()->type_name("");
  add_outputs(*transcript, *words);
  add_rule_options(*transcript, words->rules);
  transcript->callback([words] { show_transcript(*words); });
  CLI::App* voice = media_command.add_subcommand("voice", "Where the sound is loud enough to be speech");
  voice->add_option("VIDEO", words->file, "File to listen to")->required()->type_name("");
  add_outputs(*voice, *words);
  add_voice_options(*voice, words->voice);
  add_read_options(*voice, words->limits);
  voice->callback([words] {
    const auto guard = end_when_hung(words->file, words->limits);
    show_voice(*words);
  });
}

}  // namespace microemo::cli
