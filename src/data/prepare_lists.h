#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/data/manifest.h"
#include "microemo/media/input.h"
#include "prepare_reasons.h"

namespace microemo::data {

/// Clips that one run lists in a file of the cache, where they stand beside those of other manifests and of other processes. Not
/// thread-safe.
class ClipList {
 public:
  ClipList(const Manifest& manifest, std::filesystem::path cache, const char* name);

  /// The clip was looked at, so that what the list says about it so far is out of date.
  void looked_at(const Clip& clip) { not_looked_at_.erase(clip.id); }
  /// Ids of this manifest's clips that stand in the file with this reason. Throws Error(data) for a damaged list.
  std::set<std::string> ids(const std::string& reason) const;
  /// A line with these facts beside manifest, line, id and video; the clip was looked at.
  void add(const Clip& clip, const Json& facts);

  /// Brings the file up to date when more than `unwritten` clips are new in it, under the cache's lock. Throws
  /// Error(environment).
  void save(int64_t unwritten);
  /// The same whatever is new; a list without a line is removed.
  void save();

 private:
  std::vector<Json> lines_to_keep() const;

  const Manifest& manifest_;
  std::string manifest_name_;
  std::filesystem::path cache_, file_;
  std::vector<Json> lines_;
  int64_t unwritten_ = 0;
  std::set<std::string> not_looked_at_;  ///< ids
};

/// The clips that one run skips, which CACHE/skipped.jsonl lists, and those that it takes in part, of CACHE/partial.jsonl. Not
/// thread-safe.
class PrepareLists {
 public:
  PrepareLists(const Manifest& manifest, const std::filesystem::path& cache);

  /// The clip is in the cache, in part where there is damage.
  void add_prepared(const Clip& clip, const std::optional<media::Damage>& damage);
  void add_skipped(const Clip& clip, const Error& error);
  const SkipCounts& skip_counts() const { return skip_counts_; }
  /// Ids of the clips that a run before skipped for this reason.
  std::set<std::string> skipped_before(const std::string& reason) const { return skipped_.ids(reason); }

  /// As ClipList::save.
  void save(int64_t unwritten);
  void save();

 private:
  ClipList skipped_, partial_;
  SkipCounts skip_counts_;
};

}  // namespace microemo::data
