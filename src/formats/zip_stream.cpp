#include "zip_stream.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>

#include "microemo/base/write_error.h"

namespace microemo::formats {
namespace {

constexpr uint64_t alignment = 64, local_size = 30, in_zip64 = 0xffffffff;
constexpr uint16_t utf8_names = 1 << 11, zip64_field = 1, padding_field = 0x4246;  // "FB", as torch writes it
constexpr uint32_t time_of_1980 = 1 << 21 | 1 << 16;                               // MS-DOS: 1980-01-01 00:00

void append(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

uint64_t short_form(uint64_t value) { return std::min(value, in_zip64); }

/// The fields that the local header and the table have in common, from "version needed" to "extra length".
std::string common_fields(std::string_view name, std::string_view bytes, size_t extra_size) {
  std::string fields;
  append(fields, 45, 2);  // zip64
  append(fields, utf8_names, 2);
  append(fields, 0, 2);
  append(fields, time_of_1980, 4);
  append(fields, crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()), 4);
  append(fields, short_form(bytes.size()), 4);
  append(fields, short_form(bytes.size()), 4);
  append(fields, name.size(), 2);
  append(fields, extra_size, 2);
  return fields;
}

/// Both sizes when they do not fit, and in the table the header's place when that does not.
std::string zip64_extra(uint64_t size, uint64_t offset) {
  std::string numbers;
  if (size >= in_zip64) append(numbers, size, 8), append(numbers, size, 8);
  if (offset >= in_zip64) append(numbers, offset, 8);
  std::string extra;
  if (numbers.empty()) return extra;
  append(extra, zip64_field, 2);
  append(extra, numbers.size(), 2);
  return extra + numbers;
}

/// A field that moves the content to the next multiple of 64.
std::string padding(uint64_t content_without) {
  constexpr uint64_t head = 4;
  const uint64_t begin = (content_without + head + alignment - 1) / alignment * alignment;
  std::string field;
  append(field, padding_field, 2);
  append(field, begin - content_without - head, 2);
  field.append(begin - content_without - head, 'Z');
  return field;
}

std::string end_records(uint64_t entries, uint64_t table_size, uint64_t table_offset) {
  std::string records;
  if (entries >= 0xffff || table_size >= in_zip64 || table_offset >= in_zip64) {
    append(records, 0x06064b50, 4);
    append(records, 44, 8);  // bytes that follow
    append(records, 45, 2), append(records, 45, 2);
    append(records, 0, 8);
    append(records, entries, 8), append(records, entries, 8);
    append(records, table_size, 8);
    append(records, table_offset, 8);
    append(records, 0x07064b50, 4);
    append(records, 0, 4);
    append(records, table_offset + table_size, 8);
    append(records, 1, 4);
  }
  append(records, 0x06054b50, 4);
  append(records, 0, 4);
  append(records, std::min<uint64_t>(entries, 0xffff), 2), append(records, std::min<uint64_t>(entries, 0xffff), 2);
  append(records, short_form(table_size), 4);
  append(records, short_form(table_offset), 4);
  append(records, 0, 2);
  return records;
}

}  // namespace

ZipStream::ZipStream(const std::filesystem::path& path)
    : path_(path), pending_(path), file_(pending_.temporary(), std::ios::binary) {
  put({});
}

void ZipStream::put(std::string_view bytes) {
  file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file_) throw write_error(path_, errno);
  at_ += bytes.size();
}

void ZipStream::add(std::string_view name, std::string_view bytes) {
  const uint64_t offset = at_;
  std::string extra = zip64_extra(bytes.size(), 0);
  extra += padding(offset + local_size + name.size() + extra.size());
  std::string header;
  append(header, 0x04034b50, 4);
  const std::string fields = common_fields(name, bytes, extra.size());
  put(header + fields + std::string(name) + extra);
  put(bytes);
  const std::string table_extra = zip64_extra(bytes.size(), offset);
  append(table_, 0x02014b50, 4);
  append(table_, 45, 2);
  table_.append(fields, 0, fields.size() - 2);
  append(table_, table_extra.size(), 2);
  table_.append(10, '\0');  // comment, disk, internal and external attributes
  append(table_, short_form(offset), 4);
  table_.append(name).append(table_extra);
  ++entries_;
}

void ZipStream::commit() {
  const uint64_t table_offset = at_;
  put(table_);
  put(end_records(entries_, table_.size(), table_offset));
  file_.close();
  if (!file_) throw write_error(path_, errno);
  pending_.commit();
}

}  // namespace microemo::formats
