#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/data/manifest.h"
#include "microemo/data/prepared.h"

namespace microemo::data {

/// An entry that cannot be trusted, and why.
struct DamagedEntry {
  std::filesystem::path file;
  std::string message;
};

struct CacheCheck {
  int64_t entries = 0, bytes = 0;
  int64_t unsigned_entries =
      0;                ///< of earlier versions, without a hash of their contents: checked for layout and finiteness alone
  int64_t partial = 0;  ///< of clips whose files break off
  std::vector<DamagedEntry> damaged;  ///< in the order of their names
};

/// Reads every entry of a cache: layout, finite numbers, and the hash over its tensors and facts that
/// write_prepared recorded; and those of a cache of encoders (encoded.h) in the same way. With `fix` the damaged ones are
/// removed, so that prepare makes them anew. Uses `workers` threads (0: as many as the machine allows). Throws Error(data) when
/// there is no such folder, Error(environment) when an entry cannot be removed.
CacheCheck verify_cache(const std::filesystem::path& cache, bool fix, int workers = 0);

struct CachePruning {
  int64_t kept = 0, kept_bytes = 0;
  int64_t removed = 0, removed_bytes = 0;        ///< entries that no manifest needs
  int64_t unfinished = 0, unfinished_bytes = 0;  ///< temporary files of killed processes, older than a day
  int64_t foreign = 0;                           ///< files that are none of a cache: left alone
};

/// Removes from a cache the entries that none of the manifests needs with any of the options, and temporary files older than a
/// day; from a cache of encoders (encoded.h) what was computed from such entries; with `dry_run` it only counts them. Everything
/// that it cannot prove to be unneeded stays: it throws Error(data) before anything is removed when a video of a manifest cannot
/// be read, as what it needs is then not known, and leaves files alone that are not named as entries are. No process may prepare
/// into the cache meanwhile for other manifests. Throws Error(data) also for a folder that is no cache, Error(environment) when a
/// file cannot be removed.
CachePruning prune_cache(const std::filesystem::path& cache, const std::vector<Manifest>& manifests,
                         const std::vector<PrepareOptions>& options, bool dry_run);

}  // namespace microemo::data
