#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>

namespace microemo::data {

/// Content hashes of files, remembered by path, size and times of the last change, so that a second start need not read every
/// video. Thread-safe.
class ContentHashes {
 public:
  /// Starts from what save() wrote, when it is there; a damaged index is only a loss of time.
  explicit ContentHashes(std::filesystem::path index);

  /// SHA-256 of the content. Throws Error(data) when the file cannot be read.
  std::string of(const std::filesystem::path& file);
  /// Writes the index, atomically, when more than `unsaved` hashes are new. Throws Error(environment).
  void save(int64_t unsaved = 0);

 private:
  struct Known {
    int64_t size = 0, modified_ns = 0, changed_ns = 0;
    std::string sha256;
    bool operator==(const Known&) const = default;
  };
  static Known stamp(const std::filesystem::path& file);
  void load();

  std::filesystem::path index_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;
  int64_t unsaved_ = 0;
};

/// The hashes of CACHE/index.jsonl; one object per cache folder and process.
ContentHashes& content_hashes(const std::filesystem::path& cache);

}  // namespace microemo::data
