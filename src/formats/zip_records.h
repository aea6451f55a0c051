#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

#include "microemo/base/error.h"
#include "microemo/formats/zip.h"

namespace microemo::formats {

/// Little-endian numbers at a place of a file; a place outside is "truncated or damaged" (Error(data) naming the file).
class ZipBytes {
 public:
  ZipBytes(std::string_view bytes, const std::filesystem::path& path) : bytes_(bytes), path_(path) {}
  uint64_t size() const { return bytes_.size(); }
  std::string_view slice(uint64_t offset, uint64_t length) const;
  uint16_t u16(uint64_t offset) const { return static_cast<uint16_t>(number(offset, 2)); }
  uint32_t u32(uint64_t offset) const { return static_cast<uint32_t>(number(offset, 4)); }
  uint64_t u64(uint64_t offset) const { return number(offset, 8); }
  const std::filesystem::path& path() const { return path_; }
  Error damaged(const std::string& how) const;

 private:
  uint64_t number(uint64_t offset, int bytes) const;

  std::string_view bytes_;
  const std::filesystem::path& path_;
};

/// The archive's table of entries (central directory), each entry's sizes checked against the file and the limits.
std::vector<ZipEntry> read_zip_table(const ZipBytes& file, const ZipLimits& limits);

/// The packed bytes of an entry, behind its local header.
std::string_view zip_packed_bytes(const ZipBytes& file, const ZipEntry& entry);

}  // namespace microemo::formats
