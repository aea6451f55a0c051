#include <cstdio>
#include <string>
#include <vector>

#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "support/head_motion.h"

// How far the crops of a still face move while its head moves in a known way:
//
//   face_jitter PHOTOGRAPH…
//
// A square photograph is moved as tests/support/head_motion.h says, 6 s at 25 frames a second with the grain of a camera, tracked
// and aligned in each way. Jitter is in pixels of a crop of 112.

namespace {

using namespace microemo;
using media::Similarity;

constexpr int frames = 150, frame_side = 640, size = 112, grain = 4;
constexpr double rate = 25;

struct Clip {
  std::string name;
  double speed = 1;
  std::vector<media::Image> frames;
  std::vector<Similarity> poses;
  std::vector<std::optional<media::Face>> faces;
};

Clip tracked(const std::string& path, double speed) {
  const media::Image photograph = media::read_image(path);
  Clip clip{path.substr(path.rfind('/') + 1), speed, {}, {}, {}};
  media::FaceTracker tracker;
  for (int i = 0; i < frames; ++i) {
    clip.poses.push_back(test::head_pose(i / rate, photograph.width, frame_side, speed));
    clip.frames.push_back(media::to_gray(test::posed(photograph, clip.poses.back(), frame_side, grain, uint32_t(i))));
    tracker.add(clip.frames.back());
  }
  clip.faces = media::main_face(tracker.finish());
  return clip;
}

void measure(const Clip& clip, media::CropStyle style, const char* style_name) {
  const auto print = [&](const char* way, const std::vector<std::optional<Similarity>>& aligned) {
    std::printf("| %s | %.1f | %s | %s | %.3f |\n", clip.name.c_str(), clip.speed, style_name, way,
                test::jitter(aligned, clip.poses, size));
  };
  const media::AlignOptions averaged{.size = size, .style = style}, single{.size = size, .style = style, .smooth_frames = 0},
      followed{.size = size, .style = style, .follow_motion = true};
  print("each frame's landmarks", media::align_faces(clip.faces, single));
  print("averaged", media::align_faces(clip.faces, averaged));
  auto aligned = media::align_faces(clip.faces, followed);
  print("followed", aligned);
  media::Stabilizer stabilizer(style, size);
  for (size_t i = 0; i < aligned.size(); ++i)
    if (aligned[i]) aligned[i] = stabilizer.add(clip.frames[i], *aligned[i]);
  print("registered", aligned);
}

}  // namespace

int main(int count, char** words) {
  std::printf("| photograph | speed | crop | alignment | jitter, pixels |\n| --- | ---: | --- | --- | ---: |\n");
  for (int i = 1; i < count; ++i)
    for (const double speed : {0.5, 1.0}) {
      const Clip clip = tracked(words[i], speed);
      measure(clip, media::CropStyle::eyes, "eyes");
      measure(clip, media::CropStyle::openface, "openface");
    }
}
