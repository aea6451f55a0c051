#pragma once
#include <string>

#include <CLI/CLI.hpp>

#include "microemo/media/input.h"

namespace microemo::cli {

/// Which streams of a file are read, and within which limits.
struct MediaWords {
  int video_stream = -1, audio_stream = -1;
  media::ReadLimits limits = {};

  media::MediaInput input(const std::string& file) const;
};

/// Their options. `words` has to live as long as the command.
void add_media_options(CLI::App& command, MediaWords& words);

}  // namespace microemo::cli
