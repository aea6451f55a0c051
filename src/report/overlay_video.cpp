#include "microemo/report/overlay_video.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/sound.h"
#include "microemo/media/video_reader.h"
#include "microemo/media/video_writer.h"

namespace microemo::report {
namespace {

namespace fs = std::filesystem;

constexpr int new_sound_rate = 48000;
constexpr double end_tolerance_s = 0.1;  // transcripts are rounded

struct FacesOfClip {
  std::vector<std::vector<media::Face>> faces;
  std::vector<std::optional<media::Face>> watched;
};

void check_size(const media::Image& frame, const media::VideoInfo& info, const OverlayVideo& job) {
  if (frame.width != info.width || frame.height != info.height)
    throw DataError("the video begins with pictures of {} x {} and goes on with {} x {}", info.width, info.height, frame.width,
                    frame.height)
        .where(job.video.path)
        .hint("convert it to one size, for instance with ffmpeg -vf scale");
}

/// Nothing when a stop is requested.
std::optional<FacesOfClip> follow_faces(const OverlayVideo& job, int64_t frames) {
  media::FaceTracker tracker(job.faces);
  media::VideoReader reader(job.video, {.limits = job.limits});
  Progress progress("faces", "frames", frames);
  while (const auto frame = reader.next()) {
    if (stop_requested()) return std::nullopt;
    check_size(frame->rgb, reader.info(), job);
    tracker.add(frame->rgb);
    progress.add();
  }
  FacesOfClip clip{tracker.finish(), {}};
  clip.watched = media::watched_faces(clip.faces);
  return clip;
}

/// The times of a clip's frames, counted from the clip's zero in the unit of its video stream.
class FrameClock {
 public:
  FrameClock(const media::FrameReader& reader, const media::VideoInfo& info)
      : frames_(reader.frames()), unit_s_(double(info.time_base_num) / double(info.time_base_den)), start_s_(info.start_s) {
    end_ = std::llround((reader.end_s() + start_s_) / unit_s_) - zero();
  }
  int64_t time(size_t frame) const { return frames_[frame].pts - zero(); }
  int64_t duration(size_t frame) const {
    return std::max<int64_t>(1, (frame + 1 < frames_.size() ? time(frame + 1) : end_) - time(frame));
  }
  size_t count() const { return frames_.size(); }

 private:
  int64_t zero() const { return std::llround(start_s_ / unit_s_); }

  std::vector<media::IndexedFrame> frames_;
  double unit_s_, start_s_;
  int64_t end_ = 0;
};

void check_times(const FrameClock& clock, const OverlayVideo& job) {
  for (size_t i = 1; i < clock.count(); ++i)
    if (clock.time(i) <= clock.time(i - 1))
      throw DataError("frames {} and {} of the video are shown at the same time", i - 1, i)
          .where(job.video.path)
          .hint("give its frames times of their own, for instance with ffmpeg -vsync vfr");
}

void check_ends(const std::vector<TimedText>& texts, const OverlayVideo& job, double duration_s) {
  for (const TimedText& text : texts)
    if (text.end_s > duration_s + end_tolerance_s)
      throw DataError("an utterance ends at {:.3f} s, after the clip ({:.3f} s)", text.end_s, duration_s)
          .where(job.video.path)
          .hint("give the transcript and the labels of this clip");
}

/// Has the sound written from the start on, with the pictures.
std::optional<media::Sound> announce_sound(const OverlayVideo& job, const media::VideoInfo& info,
                                           media::VideoWriterOptions& options) {
  options.sound = false;
  if (!info.has_audio) return std::nullopt;
  if (media::can_copy_sound(job.video.path)) {
    options.sound_of = job.video.path;
    return std::nullopt;
  }
  options.sound = true;
  options.sound_rate = new_sound_rate;
  return media::read_sound(job.video, {.rate = new_sound_rate, .limits = job.limits});
}

bool write_frames(const OverlayVideo& job, const OverlayPainter& painter, const FrameClock& clock, const FacesOfClip& clip,
                  media::VideoWriter& writer) {
  media::VideoReader reader(job.video, {.limits = job.limits});
  Progress progress("overlay", "frames", int64_t(clock.count()));
  while (const auto frame = reader.next()) {
    if (stop_requested()) return false;
    const auto i = size_t(frame->index);
    if (i >= clock.count() || i >= clip.faces.size())
      throw DataError("the video changed while it was read").where(job.video.path).hint("write the overlay of a copy of it");
    const int watched = clip.watched[i] ? clip.watched[i]->track : -1;
    writer.add(painter.draw(frame->rgb, frame->seconds, clip.faces[i], watched), clock.time(i), clock.duration(i));
    progress.add();
  }
  return true;
}

}  // namespace

void check_overlay_place(const fs::path& video, const fs::path& out) {
  std::string extension = out.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  if (extension != ".mp4")
    throw ConfigError("an overlay is an MP4, and this name says something else").where(out).hint("end the name in .mp4");
  std::error_code ignored;
  if (fs::equivalent(video, out, ignored))
    throw ConfigError("the overlay would replace the video that it is made of").where(out).hint("give another name with --out");
  ensure_writable_folder(fs::absolute(out).parent_path());
}

bool write_overlay_video(const OverlayVideo& job) {
  const media::FrameReader index(job.video, {.limits = job.limits});
  const media::VideoInfo& info = index.info();
  check_overlay_place(job.video.path, job.out);
  OverlayVideo whole = job;
  if (whole.overlay.duration_s == 0) whole.overlay.duration_s = index.end_s();
  // The sound may go on behind the last picture.
  const double end_s = std::max(whole.overlay.duration_s, info.duration_s);
  check_ends(job.overlay.words, job, end_s);
  check_ends(job.overlay.labels, job, end_s);
  const OverlayPainter painter(info.width, info.height, whole.overlay);
  const FrameClock clock(index, info);
  check_times(clock, job);
  const auto clip = follow_faces(job, int64_t(clock.count()));
  if (!clip) return false;
  media::VideoWriterOptions options;
  options.width = painter.width(), options.height = painter.height();
  options.time_base_num = info.time_base_num, options.time_base_den = info.time_base_den;
  options.crf = 20;
  const auto sound = announce_sound(job, info, options);
  media::VideoWriter writer(job.out, options);
  if (sound) writer.add_sound(*sound);
  if (!write_frames(job, painter, clock, *clip, writer)) return false;
  writer.finish();
  return true;
}

}  // namespace microemo::report
