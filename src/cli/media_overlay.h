#pragma once
#include <filesystem>
#include <vector>

#include <CLI/CLI.hpp>

#include "microemo/media/input.h"
#include "microemo/report/overlay.h"

namespace microemo::cli {

/// What a shell reports for a program that Ctrl-C ended: nothing was saved that the same command could go on from.
inline constexpr int exit_code_interrupted = 130;

/// `media overlay`: the command and its options.
void add_media_overlay(CLI::App& media_command, int& status);

/// The labels of each utterance in a file that `predict` wrote. Throws Error(data) with the file when it is not of that form, or
/// tells of a video of another name or length than `video`, which is read within the limits.
std::vector<report::TimedText> read_labels(const std::filesystem::path& prediction, const media::MediaInput& video,
                                           const media::ReadLimits& limits = {});

/// A list of labels as it is shown.
std::string label_text(const std::vector<std::string>& labels);

}  // namespace microemo::cli
