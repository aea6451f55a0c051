#pragma once
#include <string>
#include <string_view>

namespace microemo {

/// Standard error, shared by log lines and the progress bar so that neither overwrites the other. Thread-safe.
bool console_is_terminal();
/// A whole line; a bar that is showing moves below it.
void console_line(std::string_view text);
/// Draws or redraws the bar (terminals only).
void console_bar(const std::string& text);
/// Leaves the bar as it stands and goes to the next line.
void console_end_bar();

}  // namespace microemo
