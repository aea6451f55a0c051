#pragma once
#include <filesystem>
#include <string>

namespace microemo {

enum class LogLevel { debug, info, warning };

/// Where log lines go. The library is silent until the command line (or a program that embeds it) opens a log: console lines to standard
/// error at `console_level` and above, and every line as one JSON object {"time","level","message"} to `jsonl` when that is not empty.
/// Thread-safe. Throws Error(environment) when the file cannot be opened.
void open_log(LogLevel console_level, const std::filesystem::path& jsonl = {});
void close_log();

void log_debug(const std::string& message);
void log_info(const std::string& message);
/// For what the user should know though the work goes on: a setting without effect, a clip listed as skipped.
void log_warning(const std::string& message);

}  // namespace microemo
