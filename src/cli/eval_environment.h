#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/device.h"
#include "microemo/base/json.h"
#include "microemo/train/load_run.h"

namespace microemo::cli {

/// The words that this process was started with.
std::vector<std::string> command_line();

/// What an evaluation was made with, for its environment.json: {"microemo", "commit", "libtorch", "cpu_capability", "threads",
/// "device" (device_text), "checkpoint" (folder, step, SHA-256 of its manifest), "options" (of the evaluation), "configuration"
/// (of the run), "command"}.
Json eval_environment(const train::LoadedRun& run, const Json& options, int64_t threads, const Device& device);

}  // namespace microemo::cli
