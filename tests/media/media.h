#pragma once
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/command.h"

namespace microemo::test {

/// A photograph or clip that tools/setup fetched, or nothing on a machine where it did not.
inline std::optional<std::filesystem::path> test_media(const std::string& name) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path root = cache && *cache ? cache : std::string(home ? home : "") + "/.cache";
  const auto path = root / "microemo" / "media" / name;
  return std::filesystem::exists(path) ? std::optional(path) : std::nullopt;
}

inline std::string no_test_media(const std::string& name) { return name + " is not here; tools/setup fetches it"; }

/// Runs the ffmpeg program on these arguments; overwrites the output. Throws std::runtime_error when it fails.
inline void ffmpeg(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"ffmpeg", "-v", "error", "-nostdin", "-y"});
  const CommandResult result = run_command(arguments);
  if (result.exit_code != 0) throw std::runtime_error("ffmpeg failed: " + result.standard_error);
}

/// What a program prints, line by line. Throws std::runtime_error when it fails.
inline std::vector<std::string> lines_of(const std::vector<std::string>& command) {
  const CommandResult result = run_command(command);
  if (result.exit_code != 0) throw std::runtime_error(command[0] + " failed: " + result.standard_error);
  std::vector<std::string> lines(1);
  for (const char c : result.standard_output) {
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  }
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

}  // namespace microemo::test
