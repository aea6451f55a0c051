#include "microemo/base/error.h"

namespace microemo {

Error::Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) { compose(); }

Error& Error::where(const std::filesystem::path& file, int64_t line, int64_t column) {
  std::string place = file.string();
  if (line > 0) place += fmt::format(", line {}", line);
  if (column > 0) place += fmt::format(", column {}", column);
  return at(std::move(place));
}

Error& Error::at(std::string place) {
  place_ = std::move(place);
  compose();
  return *this;
}

Error& Error::hint(std::string next_step) {
  next_step_ = std::move(next_step);
  compose();
  return *this;
}

void Error::compose() {
  text_ = fmt::format("error ({}): {}", kind_name(kind_), message_);
  if (!place_.empty()) text_ += "\n  where  " + place_;
  if (!next_step_.empty()) text_ += "\n  next   " + next_step_;
}

const char* kind_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::config:
      return "config";
    case ErrorKind::data:
      return "data";
    case ErrorKind::checkpoint:
      return "checkpoint";
    case ErrorKind::environment:
      return "environment";
    case ErrorKind::internal:
      break;
  }
  return "internal";
}

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::config:
      return 2;
    case ErrorKind::data:
      return 3;
    case ErrorKind::checkpoint:
      return 4;
    case ErrorKind::environment:
      return 5;
    case ErrorKind::internal:
      break;
  }
  return 1;
}

}  // namespace microemo
