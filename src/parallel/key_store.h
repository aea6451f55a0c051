#pragma once
#include <mutex>
#include <string>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "key_server.h"

namespace microemo::parallel {

/// A client of KeyServer in the form that c10d's groups ask for. Throws std::runtime_error when the server does not answer.
class KeyStore : public c10d::Store {
 public:
  /// Tries until `timeout` is over.
  KeyStore(std::string address, int64_t port, std::chrono::milliseconds timeout);
  ~KeyStore() override;

  c10::intrusive_ptr<c10d::Store> clone() override;
  void set(const std::string& key, const std::vector<uint8_t>& value) override;
  std::vector<uint8_t> compareSet(const std::string& key, const std::vector<uint8_t>& expected,
                                  const std::vector<uint8_t>& wanted) override;
  std::vector<uint8_t> get(const std::string& key) override;
  int64_t add(const std::string& key, int64_t value) override;
  bool deleteKey(const std::string& key) override;
  bool check(const std::vector<std::string>& keys) override;
  int64_t getNumKeys() override;
  /// Asks the server to set this key to "gone" when the connection breaks and it is not there.
  void join(const std::string& left_key) { ask(KeyRequest::join, left_key); }
  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }
  void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) override;

 private:
  struct Answer {
    bool found = false;
    std::string value{};
  };
  Answer ask(KeyRequest request, const std::string& key, const std::string& value = {});

  std::string address_;
  int64_t port_;
  int descriptor_ = -1;
  std::mutex mutex_;
};

}  // namespace microemo::parallel
