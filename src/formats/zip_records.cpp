#include "zip_records.h"

#include <algorithm>
#include <optional>

namespace microemo::formats {
namespace {

constexpr uint32_t local_signature = 0x04034b50, central_signature = 0x02014b50, end_signature = 0x06054b50;
constexpr uint32_t zip64_end_signature = 0x06064b50, zip64_locator_signature = 0x07064b50;
constexpr uint64_t end_size = 22, zip64_locator_size = 20, central_size = 46, local_size = 30;
constexpr uint64_t longest_comment = 0xffff;
constexpr uint64_t largest_ratio = 1032;  // of deflate: 258 bytes from 2 bits
constexpr uint64_t entry_cost = 192;      // in memory, with its place in the index

struct Table {
  uint64_t offset, size, entries;
};

uint64_t find_end_record(const ZipBytes& file) {
  if (file.size() >= end_size) {
    const uint64_t last = file.size() - end_size;
    const uint64_t first = last - std::min(last, longest_comment);
    for (uint64_t at = last + 1; at-- > first;)
      if (file.u32(at) == end_signature && at + end_size + file.u16(at + 20) == file.size()) return at;
  }
  throw DataError("this is no zip archive, or its end is missing").where(file.path()).hint("fetch or write the file again");
}

std::optional<Table> read_zip64_end(const ZipBytes& file, uint64_t end) {
  if (end < zip64_locator_size || file.u32(end - zip64_locator_size) != zip64_locator_signature) return std::nullopt;
  const uint64_t record = file.u64(end - zip64_locator_size + 8);
  if (file.u32(record) != zip64_end_signature) throw file.damaged("the zip64 record is not where its locator says");
  if (file.u32(record + 16) != 0 || file.u32(record + 20) != 0) throw file.damaged("archives of several disks are not read");
  return Table{file.u64(record + 48), file.u64(record + 40), file.u64(record + 32)};
}

Table read_end(const ZipBytes& file) {
  const uint64_t end = find_end_record(file);
  if (const auto table = read_zip64_end(file, end)) return *table;
  if (file.u16(end + 4) != 0 || file.u16(end + 6) != 0) throw file.damaged("archives of several disks are not read");
  return {file.u32(end + 16), file.u32(end + 12), file.u16(end + 10)};
}

/// Replaces sizes and offset that stand as 0xffffffff by the 64-bit numbers of the extra field, which holds only those, in this
/// order.
void apply_zip64(const ZipBytes& file, uint64_t extra, uint64_t extra_length, ZipEntry& entry) {
  std::vector<uint64_t*> wanted;
  for (uint64_t* number : {&entry.size, &entry.packed_size, &entry.header_offset})
    if (*number == 0xffffffff) wanted.push_back(number);
  const uint64_t end = extra + extra_length;
  while (!wanted.empty() && extra + 4 <= end) {
    const uint64_t length = file.u16(extra + 2);
    if (file.u16(extra) == 1) {
      if (length < 8 * wanted.size() || extra + 4 + length > end)
        throw file.damaged("entry '" + entry.name + "' has a short zip64 field");
      for (size_t i = 0; i < wanted.size(); ++i) *wanted[i] = file.u64(extra + 4 + 8 * i);
      return;
    }
    extra += 4 + length;
  }
}

void check_entry(const ZipBytes& file, const ZipEntry& entry, const ZipLimits& limits) {
  if (!entry.deflated && entry.size != entry.packed_size) throw file.damaged("stored entry '" + entry.name + "' has two sizes");
  if (entry.packed_size > file.size() || entry.header_offset > file.size())
    throw file.damaged("entry '" + entry.name + "' leaves the file");
  if (entry.size / largest_ratio > entry.packed_size)
    throw file.damaged(
        fmt::format("entry '{}' claims {} bytes from {}, which deflate cannot reach", entry.name, entry.size, entry.packed_size));
  if (entry.size > limits.entry_bytes)
    throw DataError("entry '{}' unpacks to {} bytes; at most {} are allowed", entry.name, entry.size, limits.entry_bytes)
        .where(file.path());
}

ZipEntry read_entry(const ZipBytes& file, uint64_t at) {
  if (file.u32(at) != central_signature) throw file.damaged("the table of entries is damaged");
  const uint16_t flags = file.u16(at + 8), method = file.u16(at + 10);
  const uint64_t name_length = file.u16(at + 28), extra_length = file.u16(at + 30);
  ZipEntry entry{std::string(file.slice(at + central_size, name_length)),
                 method == 8,
                 file.u32(at + 16),
                 file.u32(at + 20),
                 file.u32(at + 24),
                 file.u32(at + 42)};
  apply_zip64(file, at + central_size + name_length, extra_length, entry);
  if ((flags & 1) != 0)
    throw DataError("entry '{}' is encrypted", entry.name)
        .where(file.path())
        .hint("unpack the archive and pack it without a password");
  if (method != 0 && method != 8)
    throw DataError("entry '{}' is packed with method {}; stored (0) and deflate (8) are read", entry.name, method)
        .where(file.path())
        .hint("unpack the archive and pack it with deflate");
  return entry;
}

}  // namespace

Error ZipBytes::damaged(const std::string& how) const {
  return DataError("{}", how).where(path_).hint("fetch or write the file again, it is truncated or damaged");
}

std::string_view ZipBytes::slice(uint64_t offset, uint64_t length) const {
  if (offset > bytes_.size() || length > bytes_.size() - offset)
    throw damaged(fmt::format("the archive points to byte {} of {}", offset, bytes_.size()));
  return bytes_.substr(offset, length);
}

uint64_t ZipBytes::number(uint64_t offset, int bytes) const {
  const std::string_view place = slice(offset, static_cast<uint64_t>(bytes));
  uint64_t value = 0;
  for (auto byte = place.rbegin(); byte != place.rend(); ++byte) value = value << 8 | static_cast<unsigned char>(*byte);
  return value;
}

std::vector<ZipEntry> read_zip_table(const ZipBytes& file, const ZipLimits& limits) {
  const Table table = read_end(file);
  if (table.entries > limits.entries)
    throw DataError("the archive claims {} entries; at most {} are allowed", table.entries, limits.entries).where(file.path());
  file.slice(table.offset, table.size);
  if (table.entries > table.size / central_size) throw file.damaged("the table of entries is damaged");
  if (entry_cost * table.entries > 2 * file.size() + (uint64_t{16} << 20))
    throw file.damaged(fmt::format("{} entries would take more memory than twice the file and 16 MB", table.entries));
  std::vector<ZipEntry> entries;
  entries.reserve(table.entries);
  uint64_t at = table.offset;
  for (uint64_t i = 0; i < table.entries; ++i) {
    entries.push_back(read_entry(file, at));
    check_entry(file, entries.back(), limits);
    at += central_size + file.u16(at + 28) + file.u16(at + 30) + file.u16(at + 32);
  }
  if (at != table.offset + table.size) throw file.damaged("the table of entries has another length than the archive's end says");
  return entries;
}

std::string_view zip_packed_bytes(const ZipBytes& file, const ZipEntry& entry) {
  if (file.u32(entry.header_offset) != local_signature)
    throw file.damaged("entry '" + entry.name + "' is not where the table says");
  const std::string_view name = file.slice(entry.header_offset + local_size, file.u16(entry.header_offset + 26));
  if (name != entry.name) throw file.damaged("entry '" + entry.name + "' has another name in front of its content");
  const uint64_t names = uint64_t{file.u16(entry.header_offset + 26)} + file.u16(entry.header_offset + 28);
  return file.slice(entry.header_offset + local_size + names, entry.packed_size);
}

}  // namespace microemo::formats
