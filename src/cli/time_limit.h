#pragma once
#include <chrono>
#include <string>

namespace microemo::cli {

/// What --stop-after leaves of a call, from where this is made on.
class TimeLimit {
 public:
  /// 90s, 45m, 23h or 2d; empty: no limit. Throws Error(config) for other texts.
  explicit TimeLimit(const std::string& duration);
  /// 0 without a limit, and above 0 with one, though it may be over.
  double left_s() const;
  bool is_over() const;

 private:
  double most_s_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace microemo::cli
