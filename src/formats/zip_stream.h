#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "microemo/base/files.h"

namespace microemo::formats {

/// Writes an archive of stored entries one after another, of any size (zip64 where it is needed), each at a multiple of 64 bytes
/// as torch wants it. Every time is 1980-01-01. Throws Error(environment) when the file cannot be written.
class ZipStream {
 public:
  explicit ZipStream(const std::filesystem::path& path);
  void add(std::string_view name, std::string_view bytes);
  void commit();

 private:
  void put(std::string_view bytes);

  std::filesystem::path path_;
  PendingFile pending_;
  std::ofstream file_;
  uint64_t at_ = 0, entries_ = 0;
  std::string table_;
};

}  // namespace microemo::formats
