#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "microemo/parallel/launch_context.h"
#include "microemo/parallel/watch.h"

namespace microemo::parallel {

/// Where the ranks of a job of this machine meet, held by what starts them: it lives on when any of them dies. One thread at a
/// time.
class Host {
 public:
  /// Takes a free port. Throws Error(environment).
  explicit Host(int64_t world, int64_t attempt = 0);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  LaunchContext context(int64_t rank) const;
  /// The newest sign of life; nothing before the first.
  std::optional<Beat> beat(int64_t rank) const;
  /// What Group::publish told; empty when nothing.
  std::string told(const std::string& name) const;
  /// Lets every rank know that the job is over and why.
  void announce(const std::string& verdict);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The variables that launch_context reads this from.
Variables variables_of(const LaunchContext& context);

}  // namespace microemo::parallel
