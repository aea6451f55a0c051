#pragma once
#include <filesystem>

namespace microemo {

/// Keeps a folder for this process as long as it lives: a second lock of the same folder, by any process of this machine, is
/// refused at once. Held by flock on FOLDER/lock, which says whose it is; a process that is killed leaves the file and no lock.
class FolderLock {
 public:
  /// Makes the folder when it is not there. Throws Error(environment): another process holds it (named by its id), or nothing can
  /// be written there. A file system that knows no locks gives a warning.
  explicit FolderLock(const std::filesystem::path& folder);
  /// Removes the lock, and the folder when it was made by this and holds nothing.
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  std::filesystem::path folder_, file_;
  bool made_ = false;
  int descriptor_ = -1;
};

}  // namespace microemo
