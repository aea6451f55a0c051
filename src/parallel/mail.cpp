#include "microemo/parallel/mail.h"

#include <chrono>
#include <thread>

#include "mail_box.h"
#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds between_questions{10};
/// For texts that are on their way when the owner ends.
constexpr std::chrono::seconds patience_when_stopped{5};

template <class Work>
auto talk(const std::string& name, Work work) {
  try {
    return work();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& failure) {
    throw EnvironmentError("'{}' cannot be told to the other ranks: {}", name, first_line(failure))
        .hint("look for the rank that failed first; the last checkpoint is whole and can be resumed");
  }
}

}  // namespace

Mail::Mail(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Mail::~Mail() = default;

void Mail::send(const std::string& name, const std::string& text) {
  talk(name, [&] { set_text(*impl_->store, "mail/" + name, text); });
}

std::string Mail::receive(const std::string& name, double limit_s, const std::stop_token& stop) const {
  const std::string key = "mail/" + name;
  auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limit_s));
  bool stopped = false;
  return talk(name, [&] {
    while (!impl_->store->check({key})) {
      if (!stopped && stop.stop_requested()) end = std::min(end, Clock::now() + patience_when_stopped);
      stopped |= stop.stop_requested();
      if (Clock::now() > end)
        throw EnvironmentError("another rank did not tell '{}' in time", name)
            .hint("look for the rank that failed first; the last checkpoint is whole and can be resumed");
      std::this_thread::sleep_for(between_questions);
    }
    return get_text(*impl_->store, key);
  });
}

}  // namespace microemo::parallel
