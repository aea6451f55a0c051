#include "key_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

constexpr uint32_t longest_text = 64 << 20;

/// A client that sends half a request is given up after this time, so that it cannot hold up the others.
constexpr timeval patience{.tv_sec = 10, .tv_usec = 0};

int listen_at(int64_t port, bool this_machine_only) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(this_machine_only ? INADDR_LOOPBACK : INADDR_ANY);
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(descriptor, 1024) == 0)
    return descriptor;
  const int code = errno;
  ::close(descriptor);
  errno = code;
  return -1;
}

}  // namespace

std::string packed(const std::string& text) {
  const auto size = static_cast<uint32_t>(text.size());
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + text;
}

bool send_all(int descriptor, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t now = ::send(descriptor, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) return false;
    sent += static_cast<size_t>(now);
  }
  return true;
}

bool receive_all(int descriptor, void* to, size_t size) {
  auto* bytes = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t got = ::recv(descriptor, bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool receive_text(int descriptor, std::string& text) {
  uint32_t size = 0;
  if (!receive_all(descriptor, &size, sizeof size) || size > longest_text) return false;
  text.resize(size);
  return receive_all(descriptor, text.data(), size);
}

KeyServer::KeyServer(int64_t port, bool this_machine_only) : listener_(listen_at(port, this_machine_only)) {
  int ends[2] = {-1, -1};
  if (listener_ < 0 || ::pipe2(ends, O_CLOEXEC) != 0) {
    const int code = errno;
    if (listener_ >= 0) ::close(listener_);
    throw EnvironmentError("the ranks cannot meet at port {}: {}", port, std::strerror(code))
        .at("this machine")
        .hint("set MASTER_PORT to a free port for all ranks");
  }
  wake_read_ = ends[0];
  wake_write_ = ends[1];
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this] { serve(); });
}

KeyServer::~KeyServer() {
  ::close(wake_write_);
  thread_.join();
  for (const int client : clients_) ::close(client);
  ::close(listener_);
  ::close(wake_read_);
}

void KeyServer::accept_one() {
  const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const int on = 1;
  ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  clients_.push_back(client);
}

void KeyServer::serve() {
  for (;;) {
    std::vector<pollfd> ends = {{wake_read_, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const int client : clients_) ends.push_back({client, POLLIN, 0});
    if (::poll(ends.data(), ends.size(), -1) < 0) continue;
    if (ends[0].revents != 0) return;
    for (size_t i = 2; i < ends.size(); ++i) {
      if (ends[i].revents != 0 && !answer(ends[i].fd)) drop(ends[i].fd);
    }
    if (ends[1].revents != 0) accept_one();
  }
}

void KeyServer::drop(int client) {
  ::close(client);
  std::erase(clients_, client);
  const auto member = members_.find(client);
  if (member == members_.end()) return;
  table_.try_emplace(member->second, farewell_gone);
  members_.erase(member);
}

bool KeyServer::answer(int client) {
  uint8_t request = 0;
  std::string key, value;
  if (!receive_all(client, &request, 1) || request > static_cast<uint8_t>(KeyRequest::join)) return false;
  if (!receive_text(client, key) || !receive_text(client, value)) return false;
  if (static_cast<KeyRequest>(request) == KeyRequest::join) members_[client] = key;
  return send_all(client, handle(static_cast<KeyRequest>(request), key, value));
}

std::string KeyServer::handle(KeyRequest request, const std::string& key, const std::string& value) {
  const auto found = table_.find(key);
  const bool known = found != table_.end();
  std::string given = known ? found->second : std::string();
  if (request == KeyRequest::set) table_[key] = value;
  if (request == KeyRequest::remove && known) table_.erase(found);
  if (request == KeyRequest::count) given = std::to_string(table_.size());
  if (request == KeyRequest::add) {
    const int64_t sum = std::strtoll(given.c_str(), nullptr, 10) + std::strtoll(value.c_str(), nullptr, 10);
    table_[key] = given = std::to_string(sum);
  }
  if (request == KeyRequest::compare_set) {
    // Expected and wanted value, each packed. A key that is not there is set when nothing is expected.
    uint32_t size = 0;
    std::memcpy(&size, value.data(), sizeof size);
    const std::string expected = value.substr(sizeof size, size), wanted = value.substr(2 * sizeof size + size);
    if (known ? given == expected : expected.empty()) table_[key] = given = wanted;
  }
  return std::string(1, known ? '\1' : '\0') + packed(given);
}

}  // namespace microemo::parallel
