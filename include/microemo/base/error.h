#pragma once
#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace microemo {

/// Who has to act. `config`, `data`, `checkpoint` and `environment` are the user's to mend; `internal` is a bug in MicroEmo.
enum class ErrorKind { config, data, checkpoint, environment, internal };

/// The only exception that MicroEmo throws: what went wrong, where, and what to do next. Every part is plain text for people;
/// the command line prints it and maps the kind to an exit code (see exit_code). Copyable, safe to pass between threads.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message);

  /// Names the place: a file, a line (1-based, 0 for none) and column of it, or free text such as a sample id.
  Error& where(const std::filesystem::path& file, int64_t line = 0, int64_t column = 0);
  Error& at(std::string place);
  /// Says what the user can do next, as an imperative sentence without a full stop.
  Error& hint(std::string next_step);

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& place() const { return place_; }
  const std::string& next_step() const { return next_step_; }

  /// The whole error as it is printed: "error (data): …", then "  where  …" and "  next   …" where they are known.
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  void compose();

  ErrorKind kind_;
  std::string message_, place_, next_step_, text_;
};

/// The word for a kind in messages and JSON: "config", "data", …
const char* kind_name(ErrorKind kind);

/// Exit codes of the command line: 0 done, 1 internal, 2 config (also wrong command-line words), 3 data, 4 checkpoint,
/// 5 environment; 75 stopped by a signal after saving, can be resumed.
int exit_code(ErrorKind kind);
inline constexpr int exit_code_resumable = 75;

template <class... Args>
Error ConfigError(fmt::format_string<Args...> format, Args&&... args) {
  return Error(ErrorKind::config, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
Error DataError(fmt::format_string<Args...> format, Args&&... args) {
  return Error(ErrorKind::data, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
Error CheckpointError(fmt::format_string<Args...> format, Args&&... args) {
  return Error(ErrorKind::checkpoint, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
Error EnvironmentError(fmt::format_string<Args...> format, Args&&... args) {
  return Error(ErrorKind::environment, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
Error InternalError(fmt::format_string<Args...> format, Args&&... args) {
  return Error(ErrorKind::internal, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace microemo

/// Throws Error(internal) with the condition's text and place when `condition` is false: for programmers' mistakes, never for input.
#define MICROEMO_CHECK(condition, ...)                                                                    \
  do {                                                                                                    \
    if (!(condition))                                                                                     \
      throw ::microemo::InternalError(__VA_ARGS__).at(fmt::format("{}:{} ({})", __FILE__, __LINE__, #condition)); \
  } while (false)
