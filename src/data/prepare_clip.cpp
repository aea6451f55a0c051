#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include "microemo/base/error.h"
#include "microemo/base/log.h"
#include "microemo/data/prepared.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/sound.h"
#include "microemo/media/video_reader.h"
#include "prepare_faces.h"
#include "prepare_memory.h"
#include "prepare_sampling.h"
#include "prepare_sound.h"

namespace microemo::data {
namespace {

using media::Image;

at::Tensor times_tensor(const std::vector<double>& seconds) { return at::tensor(seconds, at::kDouble); }

/// Lets go of each picture once it is in the tensor, so that a long clip is not held twice.
at::Tensor frames_tensor(std::vector<Image> images, const PrepareOptions& options) {
  const int64_t height = options.frame_height, width = options.frame_width;
  at::Tensor frames = at::empty({int64_t(images.size()), 3, height, width}, at::kByte);
  for (size_t i = 0; i < images.size(); ++i) {
    const at::Tensor image = at::from_blob(const_cast<uint8_t*>(images[i].pixels.data()), {height, width, 3}, at::kByte);
    frames.select(0, int64_t(i)).copy_(image.permute({2, 0, 1}));
    images[i] = {};
  }
  return frames;
}

/// What one pass over the pictures leaves.
struct Pictures {
  WholeFrames whole;
  KeptFrames kept;                  ///< of each face time
  std::vector<double> frame_times;  ///< of every frame, where given faces may need them
  std::vector<double> face_times;
  std::vector<std::optional<media::Face>> faces;  ///< of each face time
  double end_s = 0;
  int64_t decoded = 0, bad_packets = 0, damaged = 0;
  std::optional<media::Damage> damage;
};

void report_repairs(const Clip& clip, const char* what, int64_t count) {
  if (count > 0) log_warning(fmt::format("clip {}: {} damaged {} in {}", clip.id, count, what, clip.video.string()));
}

/// A clip is whole up to the first place where something is missing.
void note_damage(PreparedClip& prepared, const std::optional<media::Damage>& damage) {
  if (damage && (!prepared.damage || damage->until_s < prepared.damage->until_s)) prepared.damage = damage;
}

/// Where frames of certain numbers alone are looked at, `rgb_of` spares the others their colours.
media::VideoReader reader_of(const Clip& clip, const PrepareOptions& options, std::function<bool(int64_t)> rgb_of = {}) {
  return media::VideoReader(media_of(clip), {.limits = read_limits(options), .rgb_of = std::move(rgb_of)});
}

int64_t counted_frames(const Clip& clip, const PrepareOptions& options) {
  media::VideoReader reader(media_of(clip), {.limits = read_limits(options), .rgb = false});
  int64_t count = 0;
  while (reader.next()) ++count;
  return count;
}

/// `total` is the number of frames where the rule needs to know it before the first is seen, else 0.
Pictures watch(const Clip& clip, const PrepareOptions& options, const ClipMemory& memory, MemoryCount& count, int64_t total) {
  Pictures pictures{WholeFrames(options, total), KeptFrames(memory.kept_frames), {}, {}, {}, 0, 0, 0, 0, {}};
  const bool faces_are_given = !clip.face_crops.empty(), looks_for_faces = options.faces && !faces_are_given;
  media::VideoReader reader = reader_of(clip, options, [&](int64_t) { return looks_for_faces || pictures.whole.wants_next(); });
  // It loads a landmark model of 100 MB.
  std::optional<media::FaceTracker> tracker;
  if (looks_for_faces) tracker.emplace();
  FaceClock clock(options);
  size_t counted = 0;
  const double claimed_s = reader.info().duration_s;
  double last_interval_s = 0, last_s = 0;
  int64_t damaged = 0;
  while (auto frame = reader.next()) {
    if (pictures.decoded++ > 0) last_interval_s = frame->seconds - last_s;
    last_s = frame->seconds;
    damaged += frame->damaged;
    if (faces_are_given) pictures.frame_times.push_back(frame->seconds);
    if (looks_for_faces && clock.takes(frame->seconds)) {
      tracker->add(frame->rgb);
      const double seen = claimed_s > 0 ? std::min(1.0, (last_s + last_interval_s) / claimed_s) : 1;
      if (pictures.kept.complete()) pictures.kept.add(face_source(frame->rgb, options), seen);
      pictures.face_times.push_back(frame->seconds);
      count.add(face_frame_bytes(options), last_s);
    }
    pictures.whole.add(std::move(*frame));
    for (; counted < pictures.whole.images().size(); ++counted) count.add(whole_frame_bytes(options), last_s);
  }
  // The length of the last frame is in no packet: it is taken to be shown as long as the one before it, and a single one as the
  // container says.
  pictures.damage = reader.damage();
  pictures.end_s = last_interval_s > 0 ? last_s + last_interval_s
                   : pictures.damage   ? last_s
                                       : std::max(last_s, reader.info().duration_s);
  pictures.whole.finish(pictures.end_s);
  pictures.faces =
      chosen_faces(clip, options, tracker ? tracker->finish() : std::vector<std::vector<media::Face>>(), pictures.face_times);
  const auto found = std::ranges::count_if(pictures.faces, [](const auto& face) { return face.has_value(); });
  count.add(found * face_crop_bytes(options), last_s);
  pictures.bad_packets = reader.bad_packets();
  pictures.damaged = damaged;
  return pictures;
}

/// A clip is decoded once where its packets tell the number of its frames, and again where fewer of them can be decoded.
Pictures watch(const Clip& clip, const PrepareOptions& options, const ClipMemory& memory, MemoryCount& count) {
  if (options.frame_rule == FrameRule::rate) return watch(clip, options, memory, count, 0);
  std::optional<int64_t> total = media::announced_frames(media_of(clip), read_limits(options));
  if (total > 0) {
    MemoryCount tried = count;
    Pictures pictures = watch(clip, options, memory, tried, *total);
    if (pictures.decoded == *total) {
      count = tried;
      return pictures;
    }
    total = pictures.decoded;
  }
  return watch(clip, options, memory, count, total > 0 ? *total : counted_frames(clip, options));
}

/// Calls visit(index, source) for the face frames before `count`, in order; decodes the clip again where they were not kept.
template <class Visit>
void visit_sources(const Clip& clip, const PrepareOptions& options, const KeptFrames& kept, size_t count, Visit&& visit) {
  if (kept.complete()) {
    for (size_t i = 0; i < count; ++i) visit(i, kept.at(i));
    return;
  }
  media::VideoReader reader = reader_of(clip, options);
  FaceClock clock(options);
  for (size_t i = 0; i < count;) {
    const auto frame = reader.next();
    MICROEMO_CHECK(frame, "the second pass over {} ends early", clip.video.string());
    if (clock.takes(frame->seconds)) visit(i++, face_source(frame->rgb, options));
  }
}

/// Aligned crops of every face frame. The alignment is smoothed over frames to come, so they can only be cut once the whole clip
/// was seen.
std::vector<FaceCrop> crop_faces(const Clip& clip, const PrepareOptions& options, const Pictures& pictures) {
  const int size = int(options.face_size);
  const auto similarities =
      media::align_tracks(pictures.faces, {.size = size, .follow_motion = options.face_align != FaceAlign::averaged});
  HeldFaces held(options);
  std::vector<FaceCrop> crops(similarities.size());
  size_t last = similarities.size();
  while (last > 0 && !similarities[last - 1]) --last;
  visit_sources(clip, options, pictures.kept, last, [&](size_t i, const Image& source) {
    if (!similarities[i]) return;
    const int track = pictures.faces[i]->track;
    crops[i] = {media::crop_face(source, held.at(track, source, *similarities[i]), size), track};
  });
  return crops;
}

void read_pictures(const Clip& clip, const PrepareOptions& options, const ClipMemory& memory, MemoryCount& count,
                   PreparedClip& prepared) {
  Pictures pictures = watch(clip, options, memory, count);
  report_repairs(clip, "packets of video", pictures.bad_packets);
  report_repairs(clip, "frames", pictures.damaged);
  const GivenFaces faces = options.faces && !clip.face_crops.empty()
                               ? given_faces(clip, options, pictures.frame_times, pictures.end_s)
                               : GivenFaces{crop_faces(clip, options, pictures), pictures.face_times};
  pictures.kept = KeptFrames(0);
  const std::vector<FaceCrop>& crops = faces.crops;
  prepared.frames_TCHW = frames_tensor(pictures.whole.take_images(), options);
  prepared.frame_times_T = times_tensor(pictures.whole.times());
  prepared.faces_NCSS = face_inputs(crops, options);
  prepared.face_times_N = times_tensor(faces.times);
  prepared.face_mask_N = at::empty({int64_t(crops.size())}, at::kBool);
  for (size_t i = 0; i < crops.size(); ++i) {
    const bool found = crops[i].track >= 0;
    prepared.face_mask_N.data_ptr<bool>()[i] = found;
    prepared.faces_found += found;
  }
  prepared.source_frames = pictures.decoded;
  note_damage(prepared, pictures.damage);
  prepared.duration_s = std::max(prepared.duration_s, pictures.end_s);
}

void read_sound(const Clip& clip, const PrepareOptions& options, MemoryCount& count, PreparedClip& prepared) {
  const media::Sound sound =
      media::read_sound(media_of(clip), {.resampling = options.sound_resampler, .limits = read_limits(options)});
  count.add(sound_bytes(double(sound.samples.size()) / sound.rate, options), sound.end_s());
  add_sound(sound, options, prepared);
  prepared.duration_s = std::max(prepared.duration_s, sound.end_s());
  note_damage(prepared, sound.damage);
  report_repairs(clip, "packets of sound", sound.bad_packets);
}

PreparedClip empty_clip(const std::string& id, const PrepareOptions& options) {
  PreparedClip clip;
  clip.id = id;
  clip.frames_TCHW = frames_tensor({}, options);
  clip.faces_NCSS = face_inputs({}, options);
  clip.face_mask_N = at::empty({0}, at::kBool);
  clip.mel_FM = at::empty({0, options.mel_bands}, at::kFloat);
  clip.pieces_K = at::empty({0}, at::kFloat);
  clip.frame_times_T = clip.face_times_N = clip.mel_times_F = clip.piece_times_K = at::empty({0}, at::kDouble);
  add_sound({}, options, clip);
  return clip;
}

}  // namespace

media::ReadLimits read_limits(const PrepareOptions& options) {
  media::ReadLimits limits = options.limits;
  limits.partial = options.partial == Partial::allow;
  return limits;
}

PreparedClip prepare_clip(const Clip& clip, const PrepareOptions& options, const ClipMemory& memory) {
  const media::VideoInfo info = media::probe(media_of(clip), read_limits(options));
  MemoryCount count(clip, memory);
  count.expect(claimed_bytes(info, options), info.duration_s);
  PreparedClip prepared = empty_clip(clip.id, options);
  if (info.has_video) read_pictures(clip, options, memory, count, prepared);
  if (info.has_audio) read_sound(clip, options, count, prepared);
  check_utterances(clip, prepared.duration_s, prepared.damage);
  return prepared;
}

void check_utterances(const Clip& clip, double duration_s, const std::optional<media::Damage>& damage) {
  const double end_s = damage ? std::min(duration_s, damage->until_s) : duration_s;
  for (size_t i = 0; i < clip.utterances.size(); ++i)
    if (clip.utterances[i].end_s > end_s + utterance_tolerance_s)
      throw DataError("utterance {} of clip \"{}\" ends at {:.3f} s, after the clip ({:.3f} s{})", i + 1, clip.id,
                      clip.utterances[i].end_s, end_s, damage ? ", where its file breaks off" : "")
          .where(clip.video)
          .hint(damage ? "copy or download the video again, or take the utterance out of the manifest"
                       : "correct the times in the manifest or transcript, or name the right video");
}

}  // namespace microemo::data
