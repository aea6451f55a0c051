#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "microemo/base/error.h"

namespace microemo::formats {

/// A whole file mapped read-only. Immutable, thread-safe; the bytes live as long as the object. The file must not be shortened
/// meanwhile: reading past a new end raises SIGBUS, so writers replace files (write_file_atomic) and never rewrite them in place.
/// The command line turns the signal into a message (see mapped_file_at).
class MappedFile {
 public:
  /// Throws Error(kind) naming the file and the system's reason when it is missing, no regular file, or unreadable.
  MappedFile(std::filesystem::path path, ErrorKind kind);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Empty for an empty file. The first byte is aligned to a page.
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// The name of the file that is mapped at an address, null when there is none. For handlers of SIGBUS: safe to call in a signal
/// handler. It knows the first 4096 files that are mapped at a time.
const char* mapped_file_at(const void* address) noexcept;

}  // namespace microemo::formats
