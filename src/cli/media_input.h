#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "microemo/media/hang.h"
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
/// The options of the limits alone, with --partial. `limits` have to live as long as the command.
void add_read_options(CLI::App& command, media::ReadLimits& limits);

/// The limits that a command line names.
struct NamedLimits {
  std::vector<std::function<void(media::ReadLimits&)>> set;
  void apply(media::ReadLimits& limits) const {
    for (const auto& change : set) change(limits);
  }
};
/// Options for them; `limits` has to live as long as the command.
void add_limit_options(CLI::App& command, NamedLimits& limits);

/// While it lives, a reader of this thread that hangs ends the process, with a message about `file` and the exit code of an
/// Error(data): nothing else can end such a call.
std::unique_ptr<media::HangGuard> end_when_hung(const std::string& file, const media::ReadLimits& limits);

}  // namespace microemo::cli
