#pragma once
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

namespace microemo::parallel {

/// Short texts from rank to rank by name, over the place where they meet: for threads beside the one that calls Group, which wait
/// without holding up a sum. Any thread.
class Mail {
 public:
  struct Impl;
  explicit Mail(std::unique_ptr<Impl> impl);
  ~Mail();

  /// A name is used once in a job.
  void send(const std::string& name, const std::string& text);
  /// Waits for a text of that name, at most limit_s, and no longer than a few seconds from when `stop` asks to end. Throws
  /// Error(environment) when it does not come.
  std::string receive(const std::string& name, double limit_s, const std::stop_token& stop) const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace microemo::parallel
