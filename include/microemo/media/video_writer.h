#pragma once
#include <filesystem>
#include <memory>

#include "microemo/media/image.h"
#include "microemo/media/sound.h"

namespace microemo::media {

struct VideoWriterOptions {
  int width = 640, height = 360;
  int rate = 25;  ///< frames per second
  int crf = 23;   ///< x264's constant rate factor
  bool sound = true;
  int sound_rate = 16000;
};

/// Writes an MP4 (H.264 yuv420p by libx264 "veryfast", one thread; AAC mono), atomically: the file appears at finish(). The same
/// input gives the same bytes. Throws Error(environment) on encoder or disk trouble.
class VideoWriter {
 public:
  VideoWriter(const std::filesystem::path& path, const VideoWriterOptions& options);
  ~VideoWriter();
  void add(const Image& rgb);
  /// The whole sound at once, at options.sound_rate; starts at time 0.
  void add_sound(const Sound& sound);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace microemo::media
