#pragma once
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace microemo::parallel {

// Bytes that one rank keeps and others ask for, over TCP. A request is where the bytes begin and how many they are (8 bytes each,
// in the order of this machine); the answer is these bytes. A request that leaves what is kept ends the connection.

/// Answers, a thread for each connection.
class PieceServer {
 public:
  /// Of `bytes`, which outlive this. Throws Error(environment).
  PieceServer(std::span<const std::byte> bytes, bool this_machine_only);
  ~PieceServer();
  PieceServer(const PieceServer&) = delete;
  PieceServer& operator=(const PieceServer&) = delete;

  int64_t port() const { return port_; }

 private:
  void accept_all();
  void answer(int client) const;

  std::span<const std::byte> bytes_;
  int listener_ = -1;
  int64_t port_ = 0;
  std::mutex mutex_;
  bool stopping_ = false;
  std::vector<int> clients_;
  std::vector<std::jthread> threads_;
  std::jthread acceptor_;
};

struct PieceAddress {
  std::string host;
  int64_t port = 0;
};

/// Asks one server; one thread at a time. Throws std::runtime_error when it does not answer within the limit.
class PieceClient {
 public:
  PieceClient(const PieceAddress& address, double limit_s);
  ~PieceClient();
  PieceClient(const PieceClient&) = delete;
  PieceClient& operator=(const PieceClient&) = delete;

  void ask(int64_t begin, int64_t size);
  void receive(std::span<std::byte> to);

 private:
  int descriptor_ = -1;
};

}  // namespace microemo::parallel
