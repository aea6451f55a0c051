#include "pieces.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

#include "key_server.h"
#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

using Request = std::array<int64_t, 2>;

bool send_bytes(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t now = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(now));
  }
  return true;
}

void send_at_once(int descriptor) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int connected(const PieceAddress& address) {
  addrinfo wanted{}, *list = nullptr;
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &wanted, &list) != 0) return -1;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor >= 0 && ::connect(descriptor, list->ai_addr, list->ai_addrlen) == 0) return descriptor;
  if (descriptor >= 0) ::close(descriptor);
  return -1;
}

}  // namespace

PieceServer::PieceServer(std::span<const std::byte> bytes, bool this_machine_only)
    : bytes_(bytes), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(this_machine_only ? INADDR_LOOPBACK : INADDR_ANY);
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, plain, length) != 0 || ::listen(listener_, 1024) != 0 ||
      ::getsockname(listener_, plain, &length) != 0) {
    const int code = errno;
    if (listener_ >= 0) ::close(listener_);
    throw EnvironmentError("this rank cannot offer its part of the frozen weights: {}", std::strerror(code))
        .at("this machine")
        .hint("set train.ranks.shard_frozen=false, or look at the limits of the network");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { accept_all(); });
}

PieceServer::~PieceServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int client : clients_) ::shutdown(client, SHUT_RDWR);
  }
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  threads_.clear();
  for (const int client : clients_) ::close(client);
  ::close(listener_);
}

void PieceServer::accept_all() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      if (client >= 0) ::close(client);
      return;
    }
    if (client < 0 && errno != EINTR && errno != ECONNABORTED) return;
    if (client < 0) continue;
    send_at_once(client);
    clients_.push_back(client);
    threads_.emplace_back([this, client] { answer(client); });
  }
}

void PieceServer::answer(int client) const {
  for (Request request{}; receive_all(client, request.data(), sizeof request);) {
    const auto [begin, size] = request;
    const auto all = static_cast<int64_t>(bytes_.size());
    if (begin < 0 || size < 0 || begin > all || size > all - begin) break;
    if (!send_bytes(client, bytes_.subspan(static_cast<size_t>(begin), static_cast<size_t>(size)))) break;
  }
  ::shutdown(client, SHUT_RDWR);
}

PieceClient::PieceClient(const PieceAddress& address, double limit_s) : descriptor_(connected(address)) {
  if (descriptor_ < 0) throw std::runtime_error(fmt::format("{}:{} does not answer", address.host, address.port));
  const timeval limit{.tv_sec = static_cast<time_t>(std::ceil(limit_s)), .tv_usec = 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  send_at_once(descriptor_);
}

PieceClient::~PieceClient() { ::close(descriptor_); }

void PieceClient::ask(int64_t begin, int64_t size) {
  const Request request{begin, size};
  if (!send_bytes(descriptor_, std::as_bytes(std::span(request)))) throw std::runtime_error("the connection is broken");
}

void PieceClient::receive(std::span<std::byte> to) {
  if (!receive_all(descriptor_, to.data(), to.size())) throw std::runtime_error("the connection is broken");
}

}  // namespace microemo::parallel
