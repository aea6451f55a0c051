#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/data/manifest.h"
#include "prepare_reasons.h"

namespace microemo::data {

/// The clips that one run skips, and CACHE/skipped.jsonl, in which they stand beside those of other manifests and of other
/// processes. Not thread-safe.
class SkippedClips {
 public:
  SkippedClips(const Manifest& manifest, std::filesystem::path cache);

  /// The clip was looked at, so that what the list says about it so far is out of date.
  void looked_at(const Clip& clip) { not_looked_at_.erase(clip.id); }
  void add(const Clip& clip, const Error& error);
  const SkipCounts& counts() const { return counts_; }

  /// Brings the list up to date when more than `unwritten` clips are new in it, under the cache's lock. Throws
  /// Error(environment).
  void save(int64_t unwritten);
  /// The same whatever is new; a list without a line is removed.
  void save();

 private:
  std::vector<Json> lines_to_keep(const std::filesystem::path& file) const;

  const Manifest& manifest_;
  std::string manifest_name_;
  std::filesystem::path cache_;
  std::vector<Json> lines_;
  SkipCounts counts_;
  int64_t unwritten_ = 0;
  std::set<std::string> not_looked_at_;  ///< ids
};

}  // namespace microemo::data
