#include "key_store.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>

namespace microemo::parallel {
namespace {

using Clock = std::chrono::steady_clock;

/// A server that has not answered by then is gone or stopped.
constexpr timeval patience{.tv_sec = 30, .tv_usec = 0};
constexpr std::chrono::milliseconds between_tries{100}, between_questions{5};

int connect_once(const std::string& address, int64_t port, std::string& reason) {
  addrinfo wanted{}, *list = nullptr;
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  if (const int code = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &wanted, &list); code != 0) {
    reason = ::gai_strerror(code);
    return -1;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    const int descriptor = ::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor >= 0 && ::connect(descriptor, one->ai_addr, one->ai_addrlen) == 0) return descriptor;
    reason = std::strerror(errno);
    if (descriptor >= 0) ::close(descriptor);
  }
  return -1;
}

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

KeyStore::KeyStore(std::string address, int64_t port, std::chrono::milliseconds timeout)
    : Store(timeout), address_(std::move(address)), port_(port) {
  const auto end = Clock::now() + timeout;
  std::string reason;
  while ((descriptor_ = connect_once(address_, port_, reason)) < 0) {
    if (Clock::now() + between_tries > end) throw std::runtime_error(reason);
    std::this_thread::sleep_for(between_tries);
  }
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

KeyStore::~KeyStore() { ::close(descriptor_); }

KeyStore::Answer KeyStore::ask(KeyRequest request, const std::string& key, const std::string& value) {
  const std::lock_guard lock(mutex_);
  Answer answer;
  uint8_t found = 0;
  const std::string bytes = std::string(1, static_cast<char>(request)) + packed(key) + packed(value);
  if (!send_all(descriptor_, bytes) || !receive_all(descriptor_, &found, 1) || !receive_text(descriptor_, answer.value))
    throw std::runtime_error("the place where the ranks meet does not answer");
  answer.found = found != 0;
  return answer;
}

c10::intrusive_ptr<c10d::Store> KeyStore::clone() { return c10::make_intrusive<KeyStore>(address_, port_, timeout_); }

void KeyStore::set(const std::string& key, const std::vector<uint8_t>& value) { ask(KeyRequest::set, key, text_of(value)); }

std::vector<uint8_t> KeyStore::compareSet(const std::string& key, const std::vector<uint8_t>& expected,
                                          const std::vector<uint8_t>& wanted) {
  return bytes_of(ask(KeyRequest::compare_set, key, packed(text_of(expected)) + packed(text_of(wanted))).value);
}

std::vector<uint8_t> KeyStore::get(const std::string& key) {
  wait({key});
  return bytes_of(ask(KeyRequest::get, key).value);
}

int64_t KeyStore::add(const std::string& key, int64_t value) {
  return std::stoll(ask(KeyRequest::add, key, std::to_string(value)).value);
}

bool KeyStore::deleteKey(const std::string& key) { return ask(KeyRequest::remove, key).found; }

bool KeyStore::check(const std::vector<std::string>& keys) {
  for (const std::string& key : keys)
    if (!ask(KeyRequest::get, key).found) return false;
  return true;
}

int64_t KeyStore::getNumKeys() { return std::stoll(ask(KeyRequest::count, "").value); }

void KeyStore::wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) {
  const auto end = Clock::now() + timeout;
  for (const std::string& key : keys)
    while (!ask(KeyRequest::get, key).found) {
      if (Clock::now() > end) throw std::runtime_error("timed out while waiting for another rank");
      std::this_thread::sleep_for(between_questions);
    }
}

}  // namespace microemo::parallel
