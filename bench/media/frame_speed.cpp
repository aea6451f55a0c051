// The program of bench/media/frames: answers lines on standard input with seconds of the processor and of the clock, and the MD5
// of all pixels that were read.
//
//   frame_speed VIDEO [FILE|--release-memory]
//
// "uniform N" opens the video and reads N frames, evenly by number, as RGB; "first N" opens it and reads its first N, which needs
// no index of its frames. Freed memory stays with the process, as that of `microemo train` does, unless --release-memory is
// given. With FILE it writes the pixels of "uniform 4" there, as RGB, and reads nothing.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/base/freed_memory.h"
#include "microemo/base/hash.h"
#include "microemo/media/frame_reader.h"

namespace {

using namespace microemo;

double processor_s() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

std::vector<media::VideoFrame> read(const std::string& video, const std::string& kind, int64_t count) {
  if (kind == "uniform") {
    media::FrameReader reader(video);
    return reader.read(media::uniform_frames(int64_t(reader.frames().size()), count));
  }
  media::VideoReader reader(video);
  std::vector<media::VideoFrame> frames;
  while (int64_t(frames.size()) < count) {
    auto frame = reader.next();
    if (!frame) break;
    frames.push_back(std::move(*frame));
  }
  return frames;
}

}  // namespace

int main(int count, char** words) {
  const bool releases = count == 3 && std::string_view(words[2]) == "--release-memory";
  if (!releases) keep_freed_memory();
  if (count == 3 && !releases) {
    std::ofstream pixels(words[2], std::ios::binary);
    for (const auto& frame : read(words[1], "uniform", 4))
      pixels.write(reinterpret_cast<const char*>(frame.rgb.pixels.data()), std::streamsize(frame.rgb.pixels.size()));
    return pixels ? 0 : 1;
  }
  if (count < 2 || count > 3) return 2;
  std::string kind;
  for (int64_t frames = 0; std::cin >> kind >> frames;) {
    const double processor = processor_s();
    const auto clock = std::chrono::steady_clock::now();
    const auto read_frames = read(words[1], kind, frames);
    const double took = processor_s() - processor;
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - clock).count();
    std::string pixels;
    for (const auto& frame : read_frames)
      pixels.append(reinterpret_cast<const char*>(frame.rgb.pixels.data()), frame.rgb.pixels.size());
    std::printf("%.6f %.6f %zu %s\n", took, passed, read_frames.size(), sha256(pixels).c_str());
    std::fflush(stdout);
  }
  return 0;
}
