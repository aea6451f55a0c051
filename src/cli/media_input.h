#pragma once
#include <string>

#include <CLI/CLI.hpp>

#include "microemo/media/input.h"

namespace microemo::cli {

/// Which streams of a file are read, and within which limits.
struct MediaWords {
  int video_stream = -1, audio_stream = -1;
  double frame_rate = 0;
  media::ReadLimits limits = {};

  media::MediaInput input(const std::string& file) const;
};

/// A file, or with a rate a folder of pictures, whose name does not end in a slash.
media::MediaInput media_input(const std::string& name, double frame_rate);
/// --frame-rate. `rate` has to live as long as the command.
void add_frame_rate(CLI::App& command, double& rate);
/// Their options. `words` has to live as long as the command.
void add_media_options(CLI::App& command, MediaWords& words);

}  // namespace microemo::cli
