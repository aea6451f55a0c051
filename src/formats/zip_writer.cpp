#include <zlib.h>

#include <algorithm>
#include <set>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/formats/zip.h"

namespace microemo::formats {
namespace {

constexpr uint16_t utf8_names = 1 << 11;
constexpr uint32_t time_of_1980 = 1 << 21 | 1 << 16;  // MS-DOS: 1980-01-01 00:00
constexpr size_t largest = 0xfffffffe;                // 0xffffffff means "see the zip64 field"

void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

std::string deflate_raw(std::string_view bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw EnvironmentError("zlib could not be started: out of memory");
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(std::min<size_t>(packed.size(), 0xffffffff));
  const int state = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  MICROEMO_CHECK(state == Z_STREAM_END, "zlib did not finish: {}", state);
  return packed;
}

/// The fields that the local header and the table have in common, from "version needed" to "extra length".
std::string common_fields(const ZipContent& content, size_t packed_size) {
  std::string fields;
  put(fields, 20, 2);
  put(fields, utf8_names, 2);
  put(fields, content.deflate ? 8 : 0, 2);
  put(fields, time_of_1980, 4);
  put(fields, crc32_z(0, reinterpret_cast<const Bytef*>(content.bytes.data()), content.bytes.size()), 4);
  put(fields, packed_size, 4);
  put(fields, content.bytes.size(), 4);
  put(fields, content.name.size(), 2);
  put(fields, 0, 2);
  return fields;
}

std::string table_record(const ZipContent& content, const std::string& fields, size_t header_offset) {
  std::string record;
  put(record, 0x02014b50, 4);
  put(record, 20, 2);
  record += fields;
  record.append(10, '\0');  // comment, disk, internal and external attributes
  put(record, header_offset, 4);
  return record + content.name;
}

std::string end_record(size_t entries, size_t table_size, size_t table_offset) {
  std::string record;
  put(record, 0x06054b50, 4);
  put(record, 0, 4);
  put(record, entries, 2);
  put(record, entries, 2);
  put(record, table_size, 4);
  put(record, table_offset, 4);
  put(record, 0, 2);
  return record;
}

void check_contents(const std::vector<ZipContent>& contents) {
  std::set<std::string_view> names;
  if (contents.size() >= 0xffff) throw InternalError("{} entries are too many for a zip archive without zip64", contents.size());
  for (const ZipContent& content : contents) {
    if (content.name.empty() || content.name.size() > 0xffff || !names.insert(content.name).second)
      throw InternalError("'{}' cannot name a zip entry: it is empty, too long or taken", content.name);
    if (content.bytes.size() > largest)
      throw InternalError("entry '{}' is too large for a zip archive without zip64", content.name);
  }
}

}  // namespace

void write_zip(const std::filesystem::path& path, const std::vector<ZipContent>& contents) {
  check_contents(contents);
  std::string archive, table;
  for (const ZipContent& content : contents) {
    const std::string deflated = content.deflate ? deflate_raw(content.bytes) : std::string();
    const std::string_view packed = content.deflate ? std::string_view(deflated) : content.bytes;
    const std::string fields = common_fields(content, packed.size());
    table += table_record(content, fields, archive.size());
    put(archive, 0x04034b50, 4);
    archive.append(fields).append(content.name).append(packed);
    if (archive.size() > largest)
      throw InternalError("the archive is too large for a zip archive without zip64").at(path.string());
  }
  const size_t table_offset = archive.size();
  archive += table;
  archive += end_record(contents.size(), table.size(), table_offset);
  write_file_atomic(path, archive);
}

}  // namespace microemo::formats
