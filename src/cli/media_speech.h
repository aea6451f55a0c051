#pragma once
#include <CLI/CLI.hpp>

namespace microemo::cli {

/// microemo media transcript, and microemo media voice.
void add_speech_views(CLI::App& media_command);

}  // namespace microemo::cli
