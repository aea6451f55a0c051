#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace microemo::formats {

// Zip archives (PKWARE APPNOTE 6.3.9): stored and deflated entries, zip64. Encrypted archives and archives of several disks are
// refused.

struct ZipEntry {
  std::string name;  ///< as it stands in the archive; folders end with '/'
  bool deflated = false;
  uint32_t crc32 = 0;
  uint64_t packed_size = 0, size = 0;
  uint64_t header_offset = 0;  ///< of the entry's local header in the file
};

/// What an archive may ask of this machine. Beyond the limits reading fails and says so; nothing is cut off. A deflated entry
/// that claims more than 1032 times its packed size, which deflate cannot reach, is refused in any case.
struct ZipLimits {
  uint64_t entry_bytes = uint64_t{4} << 30;
  uint64_t entries = 1'000'000;
};

/// An archive, mapped. The table of entries is checked when it is opened, an entry's content when it is read. Immutable,
/// thread-safe; copies are cheap and share the mapping.
class ZipFile {
 public:
  /// Throws Error(data), naming the file, when it is missing, no zip, truncated, or when entries leave the file, stand twice, or
  /// use a method other than stored and deflated.
  explicit ZipFile(const std::filesystem::path& path, const ZipLimits& limits = {});

  /// In the order of the archive's table.
  const std::vector<ZipEntry>& entries() const;
  bool contains(std::string_view name) const;
  /// Throws Error(data) that lists the nearest names.
  const ZipEntry& find(std::string_view name) const;
  /// The content, unpacked and checked against size and CRC. Throws Error(data) naming the entry.
  std::string read(const ZipEntry& entry) const;
  std::string read(std::string_view name) const { return read(find(name)); }
  /// The content of a stored entry as a view into the mapping, its CRC unchecked: for large tensors. Throws Error(data) when it
  /// is deflated.
  std::span<const std::byte> view(const ZipEntry& entry) const;
  /// The whole mapping, which view() gives parts of.
  std::span<const std::byte> file_bytes() const;
  const std::filesystem::path& path() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

struct ZipContent {
  std::string name;
  std::string_view bytes;  ///< belongs to the caller
  bool deflate = false;
};

/// Writes atomically; the file depends on the arguments only (every time is 1980-01-01). Throws Error(internal) for an empty name
/// or one used twice and for more than 65,535 entries or 4 GiB (zip64 is read, not written), Error(environment) when the file
/// cannot be written.
void write_zip(const std::filesystem::path& path, const std::vector<ZipContent>& contents);

}  // namespace microemo::formats
