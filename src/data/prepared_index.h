#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace microemo::data {

/// Content hashes of files, remembered by path, size and times of the last change, so that a second start need not read every
/// video. Several processes may share one index: each appends its own lines under the cache's lock. Thread-safe.
class ContentHashes {
 public:
  /// Starts from what save() wrote, when it is there; a damaged line is only a loss of time.
  explicit ContentHashes(std::filesystem::path index);

  /// SHA-256 of the content. Throws Error(data) when the file cannot be read.
  std::string of(const std::filesystem::path& file);
  /// pictures_hash of a folder, remembered by its path, the pictures' size in all and the last change of any. Throws Error(data)
  /// as media::picture_files does.
  std::string of_pictures(const std::filesystem::path& folder);
  /// Appends the new hashes to the index when there are more than `unsaved` of them; an index with damaged lines, or whose
  /// lines are for the most part out of date, is written anew. Throws Error(environment), and leaves the index as it was then.
  void save(int64_t unsaved = 0);

 private:
  struct Known {
    int64_t size = 0, modified_ns = 0, changed_ns = 0;
    std::string sha256;
    bool operator==(const Known&) const = default;
  };
  using Entries = std::map<std::string, Known>;  ///< by path
  /// What the file holds.
  struct Contents {
    Entries entries;
    int64_t lines = 0, damaged = 0;
  };

  static Known stamp(const std::filesystem::path& file);
  static Known stamp(const std::filesystem::path& folder, const std::vector<std::filesystem::path>& pictures);
  std::string remembered(const std::filesystem::path& file, Known now, const std::function<std::string()>& hash);
  static std::string line_of(const std::string& path, const Known& entry);
  Contents read() const;
  void append();
  void rewrite();

  std::filesystem::path index_;
  std::mutex mutex_;
  Entries known_;
  std::set<std::string> unsaved_;  ///< paths
  int64_t lines_ = 0;              ///< in the file as far as known
  bool mend_ = false;              ///< lines are damaged
};

/// The hashes of CACHE/index.jsonl; one object per cache folder and process.
ContentHashes& content_hashes(const std::filesystem::path& cache);

}  // namespace microemo::data
