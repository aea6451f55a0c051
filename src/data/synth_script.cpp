#include "microemo/data/synth_script.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <numbers>

#include "microemo/base/error.h"
#include "microemo/base/random.h"
#include "microemo/data/synth_face.h"

namespace microemo::data {
namespace {

constexpr double blink_margin_s = 0.2;

const std::array<std::array<const char*, synth_adjectives>, 3> adjectives{{
    {"wonderful", "lovely", "great", "brilliant", "splendid", "perfect", "superb", "pleasant", "charming", "fine"},
    {"terrible", "dreadful", "horrible", "nasty", "rotten", "ghastly", "lousy", "poor", "bad", "wretched"},
    {"normal", "standard", "common", "regular", "typical", "plain", "simple", "basic", "moderate", "routine"},
}};

const std::array<std::array<const char*, 2>, synth_frames> sentence_frames{{
    {"well that was ", ""},
    {"it was a ", " day"},
    {"this is a ", " place"},
    {"they had a ", " plan"},
    {"we saw a ", " film"},
    {"she made a ", " cake"},
    {"he told a ", " story"},
    {"I had a ", " trip"},
    {"you got a ", " room"},
    {"now it looks ", " here"},
}};

double round_to(double value, double parts) { return std::round(value * parts) / parts; }
double round_to_tenth(double seconds) { return round_to(seconds, 10.0); }

uint64_t coordinate(SynthPart part) { return part == SynthPart::train ? 0 : 1; }

Sentence draw_sentence(Random& random, SynthPart part) {
  for (;;) {
    const Sentence sentence{all_sentiments[random.below(3)], int(random.below(synth_adjectives)),
                            int(random.below(synth_frames))};
    if (part_of(sentence) == part) return sentence;
  }
}

FaceUnit draw_unit(Random& random, double none_probability) {
  if (random.chance(none_probability)) return FaceUnit::none;
  return all_units[1 + random.below(all_units.size() - 1)];
}

std::vector<std::string> draw_labels(Random& random, const Factors& factors) {
  std::vector<std::string> labels;
  for (const std::string& name : groups_of(factors))
    labels.push_back(random.pick(std::ranges::find(label_groups(), name, &LabelGroup::name)->synonyms));
  return labels;
}

ScriptedUtterance draw_utterance(Random& random, const SynthOptions& options, SynthPart part, double start_s) {
  ScriptedUtterance u;
  u.sentence = draw_sentence(random, part);
  u.unit = draw_unit(random, options.none_probability);
  u.manner = all_manners[random.below(2)];
  u.start_s = start_s;
  u.end_s = round_to_tenth(start_s + 0.1 * double(9 + random.below(6)));
  u.words_per_minute = random.uniform(210, 250);
  u.pitch = random.uniform(40, 60);
  u.placement = random.uniform();
  return u;
}

/// A movement that lies whole in [start_s, end_s], its apex on a frame. The room is always more than a frame longer than the
/// movement, so that there is one.
Movement draw_movement(Random& random, const SynthOptions& options, FaceUnit unit, double start_s, double end_s) {
  constexpr double frame_s = 1.0 / synth_rate;
  const double longest = std::min(options.movement_max_s, end_s - start_s - 1.5 * frame_s);
  const double length = random.uniform(std::min(options.movement_min_s, longest), longest);
  const double rise = length * random.uniform(0.25, 0.5);
  const auto first = int64_t(std::ceil((start_s + rise) / frame_s)),
             last = int64_t(std::floor((end_s - length + rise) / frame_s));
  Movement movement;
  movement.unit = name_of(unit);
  movement.apex_s = double(first + int64_t(random.below(uint64_t(last - first + 1)))) / synth_rate;
  movement.onset_s = round_to(movement.apex_s - rise, 1e4);
  movement.offset_s = round_to(movement.apex_s - rise + length, 1e4);
  movement.amplitude = round_to(random.uniform(options.amplitude_min, options.amplitude_max), 1e4);
  return movement;
}

void draw_utterances(Random& random, const SynthOptions& options, ClipScript& script) {
  double time_s = round_to_tenth(0.1 * double(2 + random.below(3)));
  const auto count = int(1 + random.below(4));
  for (int i = 0; i < count; ++i) {
    script.utterances.push_back(draw_utterance(random, options, script.part, time_s));
    time_s = round_to_tenth(script.utterances.back().end_s + 0.1 * double(5 + random.below(3)));
  }
  const double tail_s = 0.1 * double(2 + random.below(3));
  script.frames = int(std::lround((script.utterances.back().end_s + tail_s) * synth_rate));
}

void draw_movements(Random& random, const SynthOptions& options, ClipScript& script) {
  for (size_t i = 0; i < script.utterances.size(); ++i) {
    const ScriptedUtterance& u = script.utterances[i];
    if (i > 0 && random.chance(options.pause_movement_probability)) {
      const FaceUnit unit = all_units[1 + random.below(all_units.size() - 1)];
      script.movements.push_back(draw_movement(random, options, unit, script.utterances[i - 1].end_s, u.start_s));
    }
    if (u.unit == FaceUnit::none) continue;
    script.movements.push_back(draw_movement(random, options, u.unit, u.start_s, u.end_s));
    script.movements.back().utterance = int64_t(i);
  }
}

void draw_blinks(Random& random, const SynthOptions& options, ClipScript& script) {
  if (options.blinks_per_s <= 0) return;
  for (double time_s = blink_margin_s;;) {
    time_s += -std::log(1.0 - random.uniform()) / options.blinks_per_s;  // waiting times of a Poisson process
    if (time_s > script.duration_s() - blink_margin_s) return;
    script.blinks_s.push_back(time_s);
    time_s += blink_margin_s;
  }
}

std::string question_text(Random& random, const ScriptedUtterance& u) {
  switch (random.below(3)) {
    case 0:
      return fmt::format("What does the person feel from {:.1f} to {:.1f} seconds?", u.start_s, u.end_s);
    case 1:
      return fmt::format("How does the person feel between {:.1f} and {:.1f} seconds?", u.start_s, u.end_s);
    default:
      return fmt::format("Which emotion shows from {:.1f} to {:.1f} seconds?", u.start_s, u.end_s);
  }
}

const char* face_clue(FaceUnit unit) {
  constexpr std::array clues{"face rests",       "brows rise",   "brows lower",  "lip corners rise",
                             "lip corners drop", "lids tighten", "nose wrinkles"};
  return clues.at(size_t(unit));
}

}  // namespace

const char* name_of(SynthPart part) { return part == SynthPart::train ? "train" : "test"; }

std::string Sentence::text() const {
  const auto& [before, after] = sentence_frames.at(size_t(frame));
  return std::string(before) + adjectives.at(size_t(sentiment)).at(size_t(adjective)) + after;
}

SynthPart part_of(const Sentence& sentence) {
  // 3 is coprime to 10: each adjective has exactly three test frames, and each frame three test adjectives.
  return (sentence.adjective + 3 * sentence.frame + 4 * int(sentence.sentiment)) % 10 < 3 ? SynthPart::test : SynthPart::train;
}

const std::vector<std::string>& voices_of(SynthPart part) {
  static const std::vector<std::string> train{"en-us+m1", "en-us+m2", "en-us+m4", "en-us+m7",
                                              "en-us+f1", "en-us+f2", "en-us+f4", "en-us+f5"};
  static const std::vector<std::string> test{"en-us+m3", "en-us+f3"};
  return part == SynthPart::train ? train : test;
}

ClipScript draw_script(const SynthOptions& options, SynthPart part, int64_t index) {
  Random random(uint64_t(options.seed), "script", {coordinate(part), uint64_t(index)});
  ClipScript script;
  script.part = part;
  script.index = index;
  script.id = fmt::format("{}_{:05}", name_of(part), index);
  const std::vector<std::string> portraits = portrait_names(part);
  script.portrait = portraits[size_t(index) % portraits.size()];
  script.voice = random.pick(voices_of(part));
  script.eye_distance = random.uniform(52, 64);
  script.head_x = synth_width * random.uniform(0.32, 0.68);
  script.head_y = synth_height * random.uniform(0.42, 0.55);
  script.gain = random.uniform(0.85, 1.12);
  script.loudness = random.uniform(0.75, 1.25);
  draw_utterances(random, options, script);
  draw_movements(random, options, script);
  draw_blinks(random, options, script);
  Random words(uint64_t(options.seed), "labels", {coordinate(part), uint64_t(index)});  // apart: another synonym changes no clip
  for (ScriptedUtterance& u : script.utterances) u.labels = draw_labels(words, {u.sentence.sentiment, u.unit, u.manner});
  return script;
}

std::string answer_text(const Factors& factors, const std::vector<std::string>& labels) {
  std::string words = name_of(factors.sentiment), named = labels.at(0);
  words[0] = char(std::toupper(words[0]));
  if (labels.size() > 1) named += " and " + labels[1];
  return fmt::format("{} words, {} voice, {}: the person feels {}.", words, name_of(factors.manner), face_clue(factors.unit),
                     named);
}

Clip to_clip(const ClipScript& script, const std::filesystem::path& video) {
  Random random(0, "question", {coordinate(script.part), uint64_t(script.index)});
  Clip clip;
  clip.id = script.id;
  clip.video = video;
  clip.split = name_of(script.part);
  clip.identity = script.portrait;
  clip.speaker = script.voice;
  clip.movements = script.movements;
  for (const ScriptedUtterance& u : script.utterances) {
    Utterance line{
        .start_s = u.start_s, .end_s = u.end_s, .text = u.sentence.text(), .speaker = script.voice, .labels = u.labels};
    line.answer = answer_text({u.sentence.sentiment, u.unit, u.manner}, u.labels);
    line.question = question_text(random, u);
    line.face = name_of(u.unit);
    line.voice = name_of(u.manner);
    line.words = name_of(u.sentence.sentiment);
    clip.utterances.push_back(line);
  }
  return clip;
}

Clip draw_text_clip(const SynthOptions& options, int64_t index) {
  const ClipScript script = draw_script(options, SynthPart::train, most_synth_clips + index);
  Clip clip = to_clip(script, {});
  clip.id = fmt::format("text_{:05}", index);
  clip.identity.clear();
  clip.speaker.clear();
  clip.movements.clear();
  for (size_t i = 0; i < clip.utterances.size(); ++i) {
    const ScriptedUtterance& spoken = script.utterances[i];
    Utterance& line = clip.utterances[i];
    line.speaker.clear();
    line.text = fmt::format("({} voice, {}) {}", name_of(spoken.manner), face_clue(spoken.unit), line.text);
  }
  return clip;
}

double movement_progress(const Movement& movement, double seconds) {
  if (seconds <= movement.onset_s || seconds >= movement.offset_s) return 0.0;
  const double half_pi = std::numbers::pi / 2.0;
  const double angle = seconds <= movement.apex_s
                           ? half_pi * (seconds - movement.onset_s) / (movement.apex_s - movement.onset_s)
                           : half_pi * (1.0 + (seconds - movement.apex_s) / (movement.offset_s - movement.apex_s));
  return std::sin(angle) * std::sin(angle);
}

}  // namespace microemo::data
