// What the parts of microemo prepare cost on one core, each alone: decoding, faces, sound. One line of JSON; bench/media/prepare
// drives it.
#include <cstdio>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "microemo/data/manifest.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/sound.h"
#include "microemo/media/video_reader.h"

namespace {

using namespace microemo;

constexpr int face_size = 64, frame_width = 112, frame_height = 64, mel_bands = 40;
constexpr double frame_rate = 5;

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

struct Cost {
  double processor = 0, clock = 0;
};

/// Adds what passes while it lives.
class Timer {
 public:
  explicit Timer(Cost& cost) : cost_(cost) {}
  ~Timer() {
    cost_.processor += seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor_;
    cost_.clock += seconds_of(CLOCK_MONOTONIC) - clock_;
  }

 private:
  Cost& cost_;
  double processor_ = seconds_of(CLOCK_PROCESS_CPUTIME_ID), clock_ = seconds_of(CLOCK_MONOTONIC);
};

/// Every frame, and the whole frames at the size of the model.
int64_t decode(const data::Clip& clip, Cost& cost) {
  const Timer timer(cost);
  media::VideoReader reader(clip.video);
  int64_t frames = 0;
  for (double due_s = 0; auto frame = reader.next(); ++frames) {
    if (frame->seconds < due_s) continue;
    media::resize(frame->rgb, frame_width, frame_height);
    due_s += 1 / frame_rate;
  }
  return frames;
}

/// Landmarks, aligned crops and their movement, of frames that are decoded outside the time.
int64_t follow(const data::Clip& clip, media::FaceTracker& tracker, Cost& cost) {
  media::VideoReader reader(clip.video);
  std::vector<media::Image> grey;
  while (const auto frame = reader.next()) {
    const Timer timer(cost);
    tracker.add(frame->rgb);
    grey.push_back(media::to_gray(frame->rgb));
  }
  const Timer timer(cost);
  const auto faces = media::watched_faces(tracker.finish());
  const auto similarities = media::align_tracks(faces, face_size);
  std::map<int, std::vector<media::Image>> crops;
  int64_t found = 0;
  for (size_t i = 0; i < faces.size(); ++i)
    if (similarities[i]) crops[faces[i]->track].push_back(media::crop_face(grey[i], *similarities[i], face_size)), ++found;
  for (const auto& [track, own] : crops) media::movement_maps(own);
  return found;
}

void listen(const data::Clip& clip, Cost& cost) {
  const Timer timer(cost);
  if (media::probe(clip.video).has_audio) media::log_mel(media::read_sound(clip.video), mel_bands);
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) return std::fprintf(stderr, "usage: prepare_parts MANIFEST\n"), 2;
  Cost decoding, faces, sound;
  int64_t frames = 0, found = 0;
  media::FaceTracker tracker;
  for (const data::Clip& clip : data::read_manifest(words[1]).clips) {
    frames += decode(clip, decoding);
    found += follow(clip, tracker, faces);
    listen(clip, sound);
  }
  std::printf("{\"frames\": %lld, \"faces\": %lld", (long long)frames, (long long)found);
  for (const auto& [name, cost] : {std::pair<const char*, Cost>{"decode", decoding}, {"follow", faces}, {"sound", sound}})
    std::printf(", \"%s\": {\"processor\": %.4f, \"clock\": %.4f}", name, cost.processor, cost.clock);
  std::printf("}\n");
}
