#pragma once
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "microemo/base/config.h"
#include "microemo/base/json.h"
#include "microemo/base/shard.h"
#include "microemo/data/manifest.h"
#include "microemo/media/input.h"
#include "microemo/media/resample.h"

// Shapes: T sampled whole frames, C channels, H height, W width, N native-rate face frames, S side of a face input, F log-mel
// frames, M mel bands.

namespace microemo::data {

enum class FaceInput { rgb, gray, difference, flow, rgb_difference };
constexpr auto names_of(FaceInput) {
  return std::array{std::pair{FaceInput::rgb, "rgb"}, std::pair{FaceInput::gray, "gray"},
                    std::pair{FaceInput::difference, "difference"}, std::pair{FaceInput::flow, "flow"},
                    std::pair{FaceInput::rgb_difference, "rgb_difference"}};
}

/// Whose face the model sees.
enum class FaceChoice {
  watched,   ///< media::watched_faces
  speaking,  ///< media::speaking_faces in each utterance
};
constexpr auto names_of(FaceChoice) {
  return std::array{std::pair{FaceChoice::watched, "watched"}, std::pair{FaceChoice::speaking, "speaking"}};
}

/// How a track's crops are held still.
enum class FaceAlign {
  averaged,    ///< landmarks, averaged over time
  followed,    ///< a parabola through them: media::AlignOptions::follow_motion
  registered,  ///< followed, then media::Stabilizer
};
constexpr auto names_of(FaceAlign) {
  return std::array{std::pair{FaceAlign::averaged, "averaged"}, std::pair{FaceAlign::followed, "followed"},
                    std::pair{FaceAlign::registered, "registered"}};
}

enum class FrameRule { rate, uniform };
constexpr auto names_of(FrameRule) {
  return std::array{std::pair{FrameRule::rate, "rate"}, std::pair{FrameRule::uniform, "uniform"}};
}

/// What the audio encoder reads.
enum class SoundInput {
  log_mel,    ///< one spectrogram of the whole clip
  imagebind,  ///< log-mel filter banks of pieces of 2 s
  samples,    ///< pieces of 2 s at 16 kHz (HuBERT)
  whisper,    ///< Whisper's log-mel of pieces of 30 s
};
constexpr auto names_of(SoundInput) {
  return std::array{std::pair{SoundInput::log_mel, "log_mel"}, std::pair{SoundInput::imagebind, "imagebind"},
                    std::pair{SoundInput::samples, "samples"}, std::pair{SoundInput::whisper, "whisper"}};
}

/// What becomes of a clip whose file breaks off.
enum class Partial { refuse, allow };
constexpr auto names_of(Partial) { return std::array{std::pair{Partial::refuse, "refuse"}, std::pair{Partial::allow, "allow"}}; }

/// What is taken from a clip; part of the cache's key, so a change makes new entries and leaves the old.
struct PrepareOptions {
  FrameRule frame_rule = FrameRule::rate;
  double frame_rate = 5.0;
  int64_t frame_count = 32;
  int64_t frame_width = 112, frame_height = 64;
  bool faces = true;
  int64_t face_size = 64;
  double face_rate = 0.0;
  double face_rate_cap = 60.0;
  FaceInput face_input = FaceInput::flow;
  FaceChoice face_choice = FaceChoice::watched;
  FaceAlign face_align = FaceAlign::averaged;
  SoundInput sound = SoundInput::log_mel;
  media::Resampling sound_resampler = media::Resampling::swresample;
  int64_t mel_bands = 40, sound_pieces = 0;
  Partial partial = Partial::refuse;
  media::ReadLimits limits = {};  ///< not part of the key
};

template <class Visitor>
void describe_sound(Visitor& option, PrepareOptions& o) {
  option("sound", o.sound,
         "What the audio encoder reads: one log-mel spectrogram (model.audio.style plain), or pieces for imagebind, samples "
         "(hubert) "
         "or whisper.");
  option(
      "sound_resampler", o.sound_resampler,
      "How a sound comes to 16 kHz: swresample, as ffmpeg does it (Whisper, MERTools); sinc, as torchaudio does it (ImageBind); "
      "soxr, the cleanest.");
  option("mel_bands", o.mel_bands, "Mel bands of the sound; ImageBind has 128, Whisper 80 or 128.")
      .min(8)
      .max(256)
      .only_if(o.sound != SoundInput::samples, "prepare.sound is not samples");
  option(
      "sound_pieces", o.sound_pieces,
      "So many pieces of 2 s, evenly over the clip (the public code: 8, which overlap or leave gaps); 0 cuts it without a gap.")
      .min(0)
      .max(4096)
      .only_if(o.sound == SoundInput::imagebind || o.sound == SoundInput::samples, "prepare.sound is imagebind or samples");
}

template <class Visitor>
void describe(Visitor& option, PrepareOptions& o) {
  option(
      "frame_rule", o.frame_rule,
      "rate: the frames shown every 1 / frame_rate seconds; uniform: frame_count frames, evenly by their number in the clip, as "
      "TimeChat and Video-LLaMA take them (all frames of a shorter clip).");
  option("frame_rate", o.frame_rate, "Whole frames per second of presentation time.")
      .above(0)
      .max(60)
      .only_if(o.frame_rule == FrameRule::rate, "prepare.frame_rule is rate");
  option("frame_count", o.frame_count, "Whole frames of a clip.")
      .min(1)
      .max(4096)
      .only_if(o.frame_rule == FrameRule::uniform, "prepare.frame_rule is uniform");
  option("frame_width", o.frame_width, "Width of a whole frame as the model sees it, in pixels.").min(8).max(1024);
  option("frame_height", o.frame_height, "Height of a whole frame as the model sees it, in pixels.").min(8).max(1024);
  const std::string faces = "prepare.faces is true";
  option("faces", o.faces,
         "Follow the face through every frame; a model without a local branch needs none, and prepares faster.");
  option("face_size", o.face_size, "Side of an aligned face crop, in pixels; flow maps have half of it.")
      .min(32)
      .max(448)
      .only_if(o.faces, faces);
  option("face_rate", o.face_rate, "Face crops per second; 0 keeps the file's own rate.").min(0).max(240).only_if(o.faces, faces);
  option("face_rate_cap", o.face_rate_cap, "Highest rate of face crops when face_rate is 0.")
      .above(0)
      .max(240)
      .only_if(o.faces, faces)
      .only_if(o.face_rate == 0, "face_rate is 0");
  option("face_input", o.face_input,
         "What the face encoder reads: colour, grey, difference to the clip's neutral face, its movement (flow), or colour and "
         "difference together.")
      .only_if(o.faces, faces);
  option("face_choice", o.face_choice,
         "Whose face: watched (the largest and clearest over the clip), or in each utterance the one whose mouth moves with the "
         "sound (speaking), and the watched one where that cannot be told.")
      .only_if(o.faces, faces);
  option("face_align", o.face_align,
         "What holds the crops still while the head moves: its landmarks averaged over time, which lag behind a quick head; a "
         "parabola through them (followed); or that and the registration of each crop with the ones before (registered).")
      .only_if(o.faces, faces);
  describe_sound(option, o);
  option(
      "partial", o.partial,
      "A clip whose file is truncated or damaged: skip it (refuse), or take what can be read up to there (allow). Such a clip is "
      "marked wherever it is used; utterances that end later are an error still.");
  option(
      "limits", o.limits,
      "Limits against hostile and broken files; a clip over one is skipped. They change nothing of what is taken, so entries of "
      "other limits are kept.");
}

/// The options that decide what is taken from a clip, as in the cache's key: without the limits, and without `partial` where it
/// refuses, as whole clips had the same entries before there was that option.
Json taken_options(const PrepareOptions& options);
/// Within which a clip is read.
media::ReadLimits read_limits(const PrepareOptions& options);

/// One clip as the model reads it. CPU tensors; times are seconds on the clip's clock: presentation times of the frames that were
/// taken, never index / rate. A clip without sound has F = 0, one without a video stream T = N = 0.
struct PreparedClip {
  std::string id;          ///< of the clip it was prepared for; empty when read from the cache, whose entries belong to contents
  double duration_s = 0;   ///< end of the last frame or sample, whichever is later
  at::Tensor frames_TCHW;  ///< uint8 RGB, stretched to the asked size: the frames shown at first + k / frame_rate, each once
  at::Tensor frame_times_T;  ///< float64
  at::Tensor faces_NCSS;     ///< rgb, gray: uint8 (3 or 1 channels); difference: int8 [N, 1, S, S], grey levels above the clip's
                             ///< neutral face; rgb_difference: int8 [N, 4, S, S], colour less 128 and four times the difference;
                             ///< flow: int8 [N, 2, S/2, S/2] in 3/127 pixel
  at::Tensor face_times_N;   ///< float64
  at::Tensor face_mask_N;    ///< bool; false: no face in this frame, its values are meaningless
  at::Tensor mel_FM;       ///< float32, natural log, not normalised; rounded to half precision, so that the cache changes nothing
  at::Tensor mel_times_F;  ///< float64, middle of each window
  at::Tensor pieces_K;  ///< float32 [K, …] pieces of sound: imagebind log-mel [K, frames, bands], samples [K, n], whisper [K,
                        ///< bands, frames]; K = 0 with SoundInput::log_mel, as F is with the others
  at::Tensor piece_times_K;   ///< float64, middle of each
  int64_t source_frames = 0;  ///< decoded frames, for reports
  int64_t faces_found = 0;    ///< face frames with a face
  /// Of a partial clip: up to where pictures and sound are both whole, and what is wrong with its file. What reaches further of
  /// one of them is kept.
  std::optional<media::Damage> damage = {};

  bool has_sound() const { return mel_times_F.size(0) > 0 || (piece_times_K.defined() && piece_times_K.size(0) > 0); }
};

/// Bytes that preparing one clip may take.
struct ClipMemory {
  /// Source frames held until the faces in them are aligned. A clip with more of them is decoded twice, with the same outcome.
  int64_t kept_frames = int64_t(128) << 20;
  /// What grows with the length of the clip however it is read: frames, faces and sound as the model reads them, landmarks.
  int64_t most = std::numeric_limits<int64_t>::max();
};

/// Seconds of one piece of sound.
double piece_seconds(SoundInput sound);

/// Decodes, tracks, crops and transforms one clip within `memory`. Thread-safe; uses the calling thread alone. Throws Error(data)
/// when it cannot be read whole or needs more memory, and as check_utterances does.
PreparedClip prepare_clip(const Clip& clip, const PrepareOptions& options, const ClipMemory& memory = {});

/// A clip of so many seconds at 25 frames a second as prepare_clip would leave it: a face in every frame, sound throughout, and
/// patterns for contents. To see what a step costs before anything is prepared. Pure.
PreparedClip pattern_clip(const PrepareOptions& options, double seconds);

/// Utterances may end this much after the clip: transcripts are rounded, and encoders cut the last frame of sound.
inline constexpr double utterance_tolerance_s = 0.1;
/// Throws Error(data) for an utterance that ends later than that after the clip, or after what could be read of a partial one.
void check_utterances(const Clip& clip, double duration_s, const std::optional<media::Damage>& damage = {});

/// The cache's file of a clip: CACHE/ab/abcdef….safetensors, where the name is the hash of the video's content, of the options
/// and of the layout's version; of given face crops too, and of the utterances' times where they choose the face; for a folder of
/// pictures the hash of their contents and order, and the rate. The content's hash is remembered for the process and in
/// CACHE/index.jsonl by path, size and times of change. Thread-safe. Throws Error(data) when the video cannot be read.
std::filesystem::path cache_file(const std::filesystem::path& cache, const Clip& clip, const PrepareOptions& options);
/// Safetensors with the names of PreparedClip's members, written atomically; equal clips give equal bytes.
void write_prepared(const std::filesystem::path& file, const PreparedClip& clip);
/// Throws Error(data) naming the file when it is missing (run prepare first) or damaged.
PreparedClip read_prepared(const std::filesystem::path& file);
/// The same without the pixels of whole frames, which are not read: frames_TCHW is [T, 0, 0, 0].
PreparedClip read_prepared_without_frames(const std::filesystem::path& file);
/// The pixels of whole frames alone, [T, 3, H, W].
at::Tensor read_prepared_frames(const std::filesystem::path& file);

/// What a cache entry's header says, without reading its tensors. Throws as read_prepared does.
struct PreparedFacts {
  double duration_s = 0;
  int64_t frames = 0, face_frames = 0, mel_frames = 0, pieces = 0;  ///< T, N, F and K
  int64_t source_frames = 0, faces_found = 0;
  std::optional<media::Damage> damage = {};
};
PreparedFacts read_prepared_facts(const std::filesystem::path& file);

struct PrepareReport {
  int64_t clips = 0, done = 0, already_there = 0, skipped = 0;
  std::map<std::string, int64_t> reasons;  ///< skipped clips by reason: missing, truncated, … (docs/prepare.md names them all)
  bool stopped = false;                    ///< by a signal; what is done stays
  double elapsed_s = 0;                    ///< on the clock
  double seconds = 0;                      ///< of media, in all clips that are in the cache now
  int64_t source_frames = 0, face_frames = 0, faces_found = 0;
  int64_t without_picture = 0, without_sound = 0;  ///< clips
  int64_t without_face = 0;                        ///< clips with a picture in which no frame has a face
  int64_t partial = 0;                             ///< clips whose files break off
};

/// How a manifest is prepared; nothing of it is part of the cache's key.
struct PrepareRun {
  int workers = 0;   ///< threads; 0: as many as the machine allows
  Shard shard = {};  ///< only its clips, in the order of the manifest
  /// The share and the number of clips that may be skipped; with both the smaller holds. A run that may not reach its end any
  /// more stops at once. Without either every clip is looked at, and a skipped one is an error at the end.
  std::optional<double> max_skipped = {};
  std::optional<int64_t> max_skipped_clips = {};
  /// Bytes that all clips at work may take together, beside what the program takes without any; 0: 80 MiB for each worker. A clip
  /// that needs more than a worker's part of it is prepared after the others, alone, and is skipped when it needs more than all.
  int64_t memory_bytes = 0;
  /// Called, on a thread of its own, when a decoder hangs (media::HangGuard) and nothing else is left to do: all workers that are
  /// at work hang, and no other one can begin a clip. Everything is saved then; it has to end the process, as threads that hang
  /// cannot be ended. `report` is that of the run so far, stopped where clips are left; `failure` is what prepare_manifest would
  /// throw, or null. Without it the run waits for the decoder.
  std::function<void(const PrepareReport& report, std::exception_ptr failure)> on_hang = {};
};

/// Prepares the clips of a manifest, or those of a shard, into the cache. Resumable: entries that exist are kept, a damaged one
/// is made again, skipped clips are tried again, those whose decoder hung behind all others. Several processes may share a cache
/// at the same time. Clips that cannot be read, and clips whose utterances lie outside them, are listed in CACHE/skipped.jsonl,
/// one object a line: manifest, line, id, video, reason, kind, message, where, next; lines of other manifests and shards stay. In
/// the same way CACHE/partial.jsonl lists the clips that are partial: manifest, line, id, video, until_s, reason. Throws
/// Error(data) when more are skipped than `run` allows, naming the commonest reasons, and Error(environment) when the cache
/// cannot be written; the entries that were finished stay.
PrepareReport prepare_manifest(const Manifest& manifest, const std::filesystem::path& cache, const PrepareOptions& options,
                               const PrepareRun& run = {});

}  // namespace microemo::data
