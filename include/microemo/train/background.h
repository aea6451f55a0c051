#pragma once
#include <functional>
#include <future>
#include <stop_token>

namespace microemo::train {

/// One piece of work at a time on a thread of its own, while the owner goes on. Owned by one thread.
class Background {
 public:
  /// The token asks work that waits for others to give up; work that waits for nobody need not look at it.
  using Work = std::function<void(std::stop_token)>;

  Background() = default;
  /// Asks the work to stop waiting and waits for its end; an error that nobody has seen becomes a warning in the log.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Waits for the work before, then begins this one. Throws the error of the one before; then nothing is begun.
  void start(Work work);
  /// Waits until nothing is at work. Throws the error that ended it, once.
  void wait();
  /// True when wait() would return or throw at once.
  bool ended() const;

 private:
  std::stop_source stop_;
  std::future<void> work_;
};

}  // namespace microemo::train
