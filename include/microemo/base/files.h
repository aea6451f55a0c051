#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace microemo {

/// Whole file as bytes. Throws Error(data) naming the file when it is missing, a folder, or unreadable.
std::string read_file(const std::filesystem::path& path);

/// Writes a file so that readers see the old content or the new, never a part: temporary name beside it, fsync, rename, fsync of
/// the folder. Missing parent folders are made. Throws Error(environment) (full disk, no permission) and removes the temporary file.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// The three steps of write_file_atomic for writers that need a path (an encoder, say): write to `temporary()`, then `commit()`.
/// Destroyed without commit, it removes the temporary file. The temporary name keeps the extension.
class PendingFile {
 public:
  explicit PendingFile(std::filesystem::path final_path);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  const std::filesystem::path& temporary() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path final_, temporary_;
  bool committed_ = false;
};

/// Makes a folder and its parents and proves that a file can be written there. Throws Error(environment) with the reason.
void ensure_writable_folder(const std::filesystem::path& folder);

/// A new empty folder under the system's temporary folder, removed with its content by the destructor.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace microemo
