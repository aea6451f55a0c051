#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

// A checkpoint is a folder of safetensors and JSON files with a manifest.json of their sizes and SHA-256. It is written under a
// temporary name (NAME.partial), synced, and renamed: a folder without a manifest, or with one that does not match, is not used.
// A run keeps its checkpoints as RUN/checkpoints/step-00000500. One that is written again is NAME.replaced until the new one has
// its name, and is found there.

namespace microemo::checkpoint {

/// What the manifest says of a file.
struct FileFacts {
  uint64_t bytes = 0;
  std::string sha256;
};
/// Syncs a file and hashes it. Throws Error(environment).
FileFacts synced_facts(const std::filesystem::path& file);

/// A folder that appears whole or not at all. Write files into `path()`, then commit(). Destroyed without commit it leaves
/// nothing behind. Not thread-safe.
class PendingFolder {
 public:
  /// Makes FINAL.partial, and its parents; a remainder of an interrupted write is removed. Throws Error(environment).
  explicit PendingFolder(std::filesystem::path final_path);
  ~PendingFolder();
  PendingFolder(const PendingFolder&) = delete;
  PendingFolder& operator=(const PendingFolder&) = delete;

  const std::filesystem::path& path() const { return partial_; }
  /// Hashes and syncs every file, writes manifest.json, renames, syncs the parent. A folder of that name is replaced, and removed
  /// when the new one is in its place. `others`: files by name that other processes have put here and synced; what they told of
  /// them goes into the manifest. Throws Error(environment), also when one of these is not to be seen from here.
  void commit(const std::map<std::string, FileFacts>& others = {});

 private:
  std::filesystem::path final_, partial_;
};

/// Names of the files in a checkpoint's manifest. Throws Error when it cannot be read.
std::vector<std::string> files_in_manifest(const std::filesystem::path& folder);

/// Why a folder is no whole checkpoint: no manifest, a file missing, of another size or another content, or written by a newer
/// format. Empty when it is whole. Reads every file.
std::string damage_of(const std::filesystem::path& folder);
inline bool is_whole(const std::filesystem::path& folder) { return damage_of(folder).empty(); }

struct RunCheckpoint {
  int64_t step = 0;
  std::filesystem::path path;
};

/// RUN/checkpoints/step-00000500.
std::filesystem::path step_folder(const std::filesystem::path& run, int64_t step);
/// The finished ones of a run by step, unchecked; empty when there are none.
std::vector<RunCheckpoint> list_checkpoints(const std::filesystem::path& run);
/// The newest whole one. Damaged ones are passed over with a warning each that names the damage.
std::optional<RunCheckpoint> find_latest(const std::filesystem::path& run);
/// A checkpoint folder as it is, or the newest whole one of a run folder. Throws Error(checkpoint) when the path does not exist,
/// the folder is damaged, or the run has no whole one.
std::filesystem::path find_checkpoint(const std::filesystem::path& run_or_checkpoint);
/// Keeps the newest `keep_last` of a run (0 keeps all) and that of the step `spared`, and removes remainders of interrupted
/// writes. Those behind the step `newest` neither count nor go: a run that went on from an earlier one, as they are damaged,
/// would else keep them in place of its own.
void prune_checkpoints(const std::filesystem::path& run, int64_t keep_last, int64_t spared = -1,
                       int64_t newest = std::numeric_limits<int64_t>::max());

}  // namespace microemo::checkpoint
