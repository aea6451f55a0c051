#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "microemo/base/config.h"

namespace microemo::data {

/// Most clips of each part.
constexpr int64_t most_synth_clips = 1000000;

/// What the synthetic dialogue benchmark is made of. Lengths on the face are in units of the distance between the outer eye
/// corners.
struct SynthOptions {
  int64_t seed = 1;
  int64_t train_clips = 520, test_clips = 120, text_clips = 0;
  std::string photographs = {};
  double none_probability = 0.22;
  double pause_movement_probability = 0.6;
  double amplitude_min = 0.06, amplitude_max = 0.09;
  double movement_min_s = 0.12, movement_max_s = 0.48;
  double warp_jitter = 0.02;
  double talk_amplitude = 0.02;
  double blink_amplitude = 0.05, blinks_per_s = 0.3;
  double head_shift = 1.2, head_turn = 1.0, head_scale = 0.008;
  double light_drift = 0.02;
  double pixel_noise = 2.0;
  int64_t crf = 23;
};

template <class Visitor>
void describe(Visitor& option, SynthOptions& o) {
  option("seed", o.seed, "Everything is drawn from it; the same seed gives the same files.").min(0);
  option("train_clips", o.train_clips, "Clips of the training part.").min(1).max(most_synth_clips);
  option("test_clips", o.test_clips, "Clips of the test part: other people, voices and sentences.").min(1).max(most_synth_clips);
  option("text_clips", o.text_clips,
         "Dialogues in words alone (text.jsonl): what face and voice do is written in brackets before each sentence.")
      .min(0)
      .max(most_synth_clips);
  option("photographs", o.photographs, "Folder of the photographs; empty: where tools/setup puts them.");
  option("none_probability", o.none_probability, "Chance that the face does nothing during an utterance.").min(0).max(1);
  option("pause_movement_probability", o.pause_movement_probability,
         "Chance of a movement in a pause, which belongs to no utterance.")
      .min(0)
      .max(1);
  option("amplitude_min", o.amplitude_min, "Smallest movement, in distances of the outer eye corners.").above(0).max(0.12);
  option("amplitude_max", o.amplitude_max, "Largest movement, in distances of the outer eye corners.").above(0).max(0.12);
  option("movement_min_s", o.movement_min_s, "Shortest movement from onset to offset, in seconds.").min(0.04).max(0.8);
  option("movement_max_s", o.movement_max_s, "Longest movement from onset to offset, in seconds.").min(0.04).max(0.8);
  option("warp_jitter", o.warp_jitter, "Standard deviation of the warp's control points about the landmarks, in eye distances.")
      .min(0)
      .max(0.1);
  option("talk_amplitude", o.talk_amplitude, "How far the mouth opens in speech, in eye distances.").min(0).max(0.1);
  option("blink_amplitude", o.blink_amplitude, "How far the upper lids come down in a blink, in eye distances.").min(0).max(0.1);
  option("blinks_per_s", o.blinks_per_s, "Mean number of blinks in a second.").min(0).max(2);
  option("head_shift", o.head_shift, "Standard deviation of the head's shift, in pixels of the wide shot.").min(0).max(4);
  option("head_turn", o.head_turn, "Standard deviation of the head's tilt, in degrees.").min(0).max(4);
  option("head_scale", o.head_scale, "Standard deviation of the head's size, as a fraction.").min(0).max(0.05);
  option("light_drift", o.light_drift, "Standard deviation of the brightness over time, as a fraction.").min(0).max(0.2);
  option("pixel_noise", o.pixel_noise, "Standard deviation of the noise, in grey levels of 255.").min(0).max(10);
  option("crf", o.crf, "x264's constant rate factor: more is smaller and coarser.").min(10).max(40);
}

struct SynthReport {
  int64_t clips = 0, made = 0, already_there = 0;
  bool stopped = false;  ///< by a signal; clips that are whole stay, and the same call goes on
};

/// Makes the benchmark in `folder`: clips/ID.mp4 and clips/ID.srt, then manifest.jsonl (both parts), train.jsonl, test.jsonl,
/// text.jsonl (when there are text_clips) and synth.json (options, seed, SHA-256 of the photographs, espeak-ng's version, counts,
/// score ceilings). The files depend on the options alone, not on `workers` (0: as many as the machine allows). Clips that are
/// there are kept, so a stopped call can be repeated and a set can be made larger. Throws Error(environment): photographs,
/// landmark model or espeak-ng missing, folder not writable; Error(config): options that contradict each other, or `folder` holds
/// a set made with others.
SynthReport make_synth(const std::filesystem::path& folder, const SynthOptions& options, int workers);

/// Draws a contact sheet of the first clips of both parts of a finished set: per utterance or pause with a movement the whole
/// frame at onset and at apex, the face enlarged from both, and the labels. Throws Error(data) when a clip cannot be read.
void write_synth_preview(const std::filesystem::path& folder, const SynthOptions& options, const std::filesystem::path& sheet);

}  // namespace microemo::data
