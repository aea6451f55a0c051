#pragma once
#include <filesystem>

#include "microemo/media/face.h"
#include "microemo/media/input.h"
#include "microemo/report/overlay.h"

namespace microemo::report {

struct OverlayVideo {
  media::MediaInput video;
  std::filesystem::path out;
  /// Its duration is found by itself when it is 0.
  Overlay overlay;
  media::FaceTrackOptions faces;
  media::ReadLimits limits = {};
};

/// Checks a name and place for an overlay before long work: throws Error(config) when it does not end in ".mp4" or is the video
/// itself, Error(environment) when its folder cannot be written.
void check_overlay_place(const std::filesystem::path& video, const std::filesystem::path& out);

/// Writes the clip as an MP4 with faces, words and labels drawn (OverlayPainter), every frame at its own time and with the clip's
/// sound: copied where MP4 holds its kind, else written anew as AAC in one channel at 48 kHz. Decodes the clip twice, first to
/// follow the faces. Shows progress. Returns false, and writes nothing, when a stop is requested (stop_requested). Throws
/// Error(data) as media::VideoReader does and for a text that ends after the clip, and as check_overlay_place does. Thread rule:
/// uses the calling thread alone.
bool write_overlay_video(const OverlayVideo& job);

}  // namespace microemo::report
