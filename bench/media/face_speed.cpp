#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/video_reader.h"

// One side of bench/media/faces: for each line of standard input the video is followed once, from opening it to the last aligned
// crop, and a line of JSON is written.

namespace {

using namespace microemo;

struct Outcome {
  std::vector<std::vector<media::Face>> faces;
  size_t crops = 0;
  uint64_t sum = 0;  ///< of the crops' pixels: they are used
};

Outcome follow(const std::string& video) {
  media::FaceTracker tracker;
  media::VideoReader reader(video);
  while (auto frame = reader.next()) tracker.add(frame->rgb);
  Outcome outcome;
  outcome.faces = tracker.finish();
  const auto watched = media::watched_faces(outcome.faces);
  const auto large = media::align_tracks(watched, 224), small = media::align_tracks(watched, 112);
  // A clip's frames are not kept: the alignment is known at its end, and the video is decoded once more.
  media::VideoReader again(video);
  while (auto frame = again.next()) {
    const auto i = size_t(frame->index);
    if (!large[i]) continue;
    outcome.sum +=
        media::crop_face(frame->rgb, *large[i], 224).pixels[0] + media::crop_face(frame->rgb, *small[i], 112).pixels[0];
    outcome.crops += 2;
  }
  return outcome;
}

Json boxes_of(const std::vector<std::vector<media::Face>>& faces) {
  Json frames = Json::array();
  for (const auto& frame : faces) {
    Json boxes = Json::array();
    for (const media::Face& face : frame) boxes.push_back({face.box.left, face.box.top, face.box.right, face.box.bottom});
    frames.push_back(boxes);
  }
  return frames;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) return std::fprintf(stderr, "face_speed VIDEO\n"), 2;
  const media::FaceTracker reads_the_models;
  for (std::string line; std::getline(std::cin, line);) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t processor_start = std::clock();
    const Outcome outcome = follow(words[1]);
    const double processor = double(std::clock() - processor_start) / CLOCKS_PER_SEC;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const Json json = {{"seconds", seconds},
                       {"processor", processor},
                       {"crops", outcome.crops},
                       {"sum", outcome.sum},
                       {"boxes", boxes_of(outcome.faces)}};
    std::cout << json.dump() << std::endl;
  }
}
