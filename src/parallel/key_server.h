#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace microemo::parallel {

// The store where ranks meet: a table of keys and values in the memory of one process, which others reach over TCP. LibTorch's
// own TCPStore asks the name service for the name of every client that connects, which takes seconds where that service is slow.
//
// A request is operation (1 byte), key and value, an answer is found (1 byte) and value; texts are their length (4 bytes) and
// bytes, numbers in the order of this machine. The server answers at once: waiting for a key is asking again. A client that joins
// names a key that becomes "gone" when its connection ends and nobody has set it.

enum class KeyRequest : uint8_t { set, get, add, compare_set, remove, count, join };

/// What left/RANK says: how a rank ended. The last one is the server's own word, for a member whose connection broke before.
inline constexpr const char* farewell_ended = "ended";
inline constexpr const char* farewell_failed = "failed";
inline constexpr const char* farewell_lost = "lost";  ///< the other ranks
inline constexpr const char* farewell_gone = "gone";

/// Bytes that are sent and received whole.
std::string packed(const std::string& text);
bool send_all(int descriptor, const std::string& bytes);
bool receive_all(int descriptor, void* to, size_t size);
bool receive_text(int descriptor, std::string& text);

class KeyServer {
 public:
  /// Listens at the port (0: a free one), of this machine alone or of all its addresses. Throws Error(environment).
  KeyServer(int64_t port, bool this_machine_only);
  ~KeyServer();
  KeyServer(const KeyServer&) = delete;
  KeyServer& operator=(const KeyServer&) = delete;

  int64_t port() const { return port_; }

 private:
  void serve();
  void accept_one();
  void drop(int client);
  bool answer(int client);
  std::string handle(KeyRequest request, const std::string& key, const std::string& value);

  int listener_ = -1, wake_read_ = -1, wake_write_ = -1;
  int64_t port_ = 0;
  std::vector<int> clients_;
  std::map<int, std::string> members_;  ///< the key that each names
  std::map<std::string, std::string> table_;
  std::jthread thread_;
};

}  // namespace microemo::parallel
