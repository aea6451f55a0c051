#include "store.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "key_store.h"
#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

c10::intrusive_ptr<c10d::Store> connect(const LaunchContext& context, std::chrono::milliseconds timeout) {
  // torchrun's agent speaks the language of TCPStore.
  if (!context.hosted || context.watched) return c10::make_intrusive<KeyStore>(context.address, context.port, timeout);
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(context.port);
  options.waitWorkers = false;
  options.timeout = timeout;
  return c10::make_intrusive<c10d::TCPStore>(context.address, options);
}

}  // namespace

std::string first_line(const std::exception& failure) {
  const auto* torch_failure = dynamic_cast<const c10::Error*>(&failure);
  const std::string text = torch_failure != nullptr ? torch_failure->what_without_backtrace() : failure.what();
  return text.substr(0, text.find('\n'));
}

c10::intrusive_ptr<c10d::Store> connect_store(const LaunchContext& context, double timeout_s) {
  return connect_member(context, timeout_s, {});
}

c10::intrusive_ptr<c10d::Store> connect_member(const LaunchContext& context, double timeout_s, const std::string& left_key) {
  const std::string prefix = "attempt_" + std::to_string(context.attempt);
  try {
    const auto store = connect(context, std::chrono::milliseconds(static_cast<int64_t>(1000 * timeout_s)));
    auto* own = dynamic_cast<KeyStore*>(store.get());
    if (own != nullptr && !left_key.empty()) own->join(prefix + "/" + left_key);
    return c10::make_intrusive<c10d::PrefixStore>(prefix, store);
  } catch (const std::exception& failure) {
    throw EnvironmentError("the place where the ranks meet cannot be reached: {}", first_line(failure))
        .at(fmt::format("{}:{}", context.address, context.port))
        .hint(
            "check that rank 0 runs, and that MASTER_ADDR and MASTER_PORT are the same for all ranks and open between the "
            "machines");
  }
}

std::string get_text(c10d::Store& store, const std::string& key) {
  const std::vector<uint8_t> bytes = store.get(key);
  return {bytes.begin(), bytes.end()};
}

void set_text(c10d::Store& store, const std::string& key, const std::string& text) {
  store.set(key, std::vector<uint8_t>(text.begin(), text.end()));
}

}  // namespace microemo::parallel
