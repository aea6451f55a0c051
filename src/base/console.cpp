#include "console.h"

#include <unistd.h>

#include <cstdio>
#include <mutex>

namespace microemo {
namespace {

constexpr const char* clear_line = "\r\x1b[K";

std::mutex mutex;
bool bar_shows = false;

// A function's static, so that programs which never show a bar do not pay for it at start.
std::string& bar_text() {
  static std::string text;
  return text;
}

void put(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

}  // namespace

bool console_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

void console_line(std::string_view text) {
  const std::lock_guard lock(mutex);
  if (bar_shows) put(clear_line);
  put(text);
  put("\n");
  if (bar_shows) put(bar_text());
  std::fflush(stderr);
}

void console_bar(const std::string& text) {
  const std::lock_guard lock(mutex);
  put(clear_line);
  put(text);
  std::fflush(stderr);
  bar_text() = text;
  bar_shows = true;
}

void console_end_bar() {
  const std::lock_guard lock(mutex);
  if (bar_shows) put("\n");
  std::fflush(stderr);
  bar_shows = false;
}

}  // namespace microemo
