#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace microemo::test {

struct StubReply {
  int status = 200;
  std::string body, headers;  ///< headers: whole lines, each with \r\n
  bool silent = false;        ///< keeps the connection open and says nothing
};

/// A small HTTP server of this machine, one request a connection, in a thread of its own.
class HttpStub {
 public:
  /// `reply` gets the whole request, head and body.
  using Reply = std::function<StubReply(const std::string& request)>;

  explicit HttpStub(Reply reply) : reply_(std::move(reply)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, plain, size) != 0 || ::listen(listener_, 16) != 0 || ::getsockname(listener_, plain, &size) != 0)
      throw std::runtime_error("no stub server");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpStub() {
    stop_ = true;
    thread_.join();
    for (const int connection : held_) ::close(connection);
    ::close(listener_);
  }
  HttpStub(const HttpStub&) = delete;
  HttpStub& operator=(const HttpStub&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!stop_) {
      pollfd waiting{listener_, POLLIN, 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection >= 0) answer(connection);
    }
  }

  void answer(int connection) {
    const std::string request = read(connection);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const StubReply reply = reply_(request);
    if (reply.silent) return held_.push_back(connection);
    const std::string text = "HTTP/1.1 " + std::to_string(reply.status) +
                             " Stub\r\nConnection: close\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n" +
                             reply.headers + "\r\n" + reply.body;
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t count = ::send(connection, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<size_t>(count);
    }
    ::close(connection);
  }

  static std::string read(int connection) {
    std::string request;
    char piece[4096];
    for (;;) {
      const size_t head = request.find("\r\n\r\n"), length = request.find("Content-Length: ");
      if (head != std::string::npos && length != std::string::npos &&
          request.size() >= head + 4 + std::stoul(request.substr(length + 16)))
        return request;
      const ssize_t count = ::recv(connection, piece, sizeof piece, 0);
      if (count <= 0) return request;
      request.append(piece, static_cast<size_t>(count));
    }
  }

  Reply reply_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::vector<int> held_;
  std::thread thread_;
};

}  // namespace microemo::test
