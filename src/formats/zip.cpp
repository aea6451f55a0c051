#include "microemo/formats/zip.h"

#include <zlib.h>

#include <algorithm>
#include <unordered_map>

#include "microemo/base/nearest.h"
#include "microemo/formats/mapped_file.h"
#include "zip_records.h"

namespace microemo::formats {

struct ZipFile::State {
  explicit State(const std::filesystem::path& path) : file(path, ErrorKind::data) {}
  ZipBytes bytes() const { return {file.text(), file.path()}; }

  MappedFile file;
  std::vector<ZipEntry> entries;
  std::unordered_map<std::string_view, size_t> index;  ///< views of the entries' names
};

namespace {

/// zlib counts in 32 bits, so both sides are handed over in pieces.
class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw EnvironmentError("zlib could not be started: out of memory");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// True when the packed bytes unpack to exactly the bytes of `out`.
  bool run(std::string_view packed, std::string& out) {
    constexpr size_t piece = size_t{1} << 30;
    size_t taken = 0, made = 0;
    int state = Z_OK;
    while (state == Z_OK) {
      const auto room_in = static_cast<uInt>(std::min(piece, packed.size() - taken));
      const auto room_out = static_cast<uInt>(std::min(piece, out.size() - made));
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + taken));
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + made);
      stream_.avail_in = room_in;
      stream_.avail_out = room_out;
      state = inflate(&stream_, Z_NO_FLUSH);
      taken += room_in - stream_.avail_in;
      made += room_out - stream_.avail_out;
    }
    return state == Z_STREAM_END && taken == packed.size() && made == out.size();
  }

 private:
  z_stream stream_{};
};

}  // namespace

ZipFile::ZipFile(const std::filesystem::path& path, const ZipLimits& limits) {
  auto state = std::make_shared<State>(path);
  state->entries = read_zip_table(state->bytes(), limits);
  for (size_t i = 0; i < state->entries.size(); ++i)
    if (!state->index.emplace(state->entries[i].name, i).second)
      throw state->bytes().damaged("entry '" + state->entries[i].name + "' stands twice");
  state_ = std::move(state);
}

const std::vector<ZipEntry>& ZipFile::entries() const { return state_->entries; }
const std::filesystem::path& ZipFile::path() const { return state_->file.path(); }
bool ZipFile::contains(std::string_view name) const { return state_->index.count(name) > 0; }

const ZipEntry& ZipFile::find(std::string_view name) const {
  const auto found = state_->index.find(name);
  if (found != state_->index.end()) return state_->entries[found->second];
  std::vector<std::string_view> names;
  for (const ZipEntry& entry : state_->entries) names.push_back(entry.name);
  Error error = DataError("there is no entry '{}' among the {} of this archive", name, names.size()).where(path());
  if (!names.empty()) error.hint("the nearest names are " + near_names(name, names));
  throw error;
}

std::string ZipFile::read(const ZipEntry& entry) const {
  const ZipBytes file = state_->bytes();
  const std::string_view packed = zip_packed_bytes(file, entry);
  std::string content(packed);
  if (entry.deflated) {
    content.assign(entry.size, '\0');
    if (!Inflater().run(packed, content))
      throw file.damaged(fmt::format("entry '{}' does not unpack to its {} bytes", entry.name, entry.size));
  }
  if (crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()) != entry.crc32)
    throw file.damaged("entry '" + entry.name + "' has another checksum (CRC-32) than the archive says");
  return content;
}

std::span<const std::byte> ZipFile::view(const ZipEntry& entry) const {
  if (entry.deflated)
    throw DataError("entry '{}' is deflated; only stored entries can be viewed in place", entry.name)
        .where(path())
        .hint("write the archive without compression");
  const std::string_view packed = zip_packed_bytes(state_->bytes(), entry);
  return {reinterpret_cast<const std::byte*>(packed.data()), packed.size()};
}

std::span<const std::byte> ZipFile::file_bytes() const { return state_->file.bytes(); }

}  // namespace microemo::formats
