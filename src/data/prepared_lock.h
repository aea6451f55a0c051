#pragma once
#include <filesystem>

namespace microemo::data {

/// Keeps the other processes that prepare into this cache from its lists (index.jsonl, skipped.jsonl) as long as it lives; waits
/// for one that is at them, which takes milliseconds. Held by flock on CACHE/index.lock, so a process that is killed holds
/// nothing. Threads of one process wait for each other, too. Throws Error(environment) when the file cannot be made; a file
/// system that knows no locks gives a warning.
class CacheLock {
 public:
  explicit CacheLock(const std::filesystem::path& cache);
  ~CacheLock();
  CacheLock(const CacheLock&) = delete;
  CacheLock& operator=(const CacheLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace microemo::data
