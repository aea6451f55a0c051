#pragma once
#include <filesystem>
#include <memory>

#include "microemo/media/image.h"
#include "microemo/media/sound.h"

namespace microemo::media {

struct VideoWriterOptions {
  int width = 640, height = 360;
  int rate = 25;  ///< frames per second
  /// Unit of the times of frames, in seconds; 1 / rate when the denominator is 0.
  int64_t time_base_num = 1, time_base_den = 0;
  int crf = 23;       ///< x264's constant rate factor
  bool sound = true;  ///< add_sound will be called
  int sound_rate = 16000;
  /// In place of add_sound: this file's sound goes along as it is, packet by packet. Ask can_copy_sound first.
  std::filesystem::path sound_of{};
};

/// Whether a file has sound of a kind that an MP4 can hold without encoding it again: AAC, MP3, AC-3, E-AC-3, ALAC or Opus.
/// Throws Error(data) as probe does.
bool can_copy_sound(const std::filesystem::path& path);

/// Writes an MP4 (H.264 yuv420p by libx264 "veryfast", one thread; AAC mono or sound that is copied), atomically: the file
/// appears at finish(), with sound and pictures interleaved by time. The same input gives the same bytes. Throws
/// Error(environment) on encoder or disk trouble.
class VideoWriter {
 public:
  VideoWriter(const std::filesystem::path& path, const VideoWriterOptions& options);
  ~VideoWriter();
  /// The next frame, shown for 1 / rate.
  void add(const Image& rgb);
  /// A frame that is shown from `time` on, later than all before it, for `duration`, both in the unit of the options.
  void add(const Image& rgb, int64_t time, int64_t duration);
  /// The whole sound at once, at options.sound_rate and from its start_s on; before the frames, where they are to be interleaved.
  void add_sound(const Sound& sound);
  void finish();

 private:
  struct State;
  static void write_sound_until(State& state, double seconds);
  std::unique_ptr<State> state_;
};

}  // namespace microemo::media
