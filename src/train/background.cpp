#include "microemo/train/background.h"

#include <chrono>
#include <exception>
#include <utility>

#include "microemo/base/log.h"

namespace microemo::train {

Background::~Background() {
  stop_.request_stop();
  try {
    wait();
  } catch (const std::exception& error) {
    log_warning(error.what());
  }
}

void Background::start(Work work) {
  wait();
  work_ = std::async(std::launch::async, std::move(work), stop_.get_token());
}

void Background::wait() {
  if (work_.valid()) work_.get();
}

bool Background::ended() const { return !work_.valid() || work_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

}  // namespace microemo::train
