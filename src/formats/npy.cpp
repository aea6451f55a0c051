#include "microemo/formats/npy.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/formats/utf8.h"
#include "npy_header.h"

namespace microemo::formats {
namespace {

struct ItemType {
  NpyKind kind;
  bool big_endian;
  int64_t item_bytes;  ///< of text: of one item, 4 a character
};

ItemType parse_descr(const std::string& descr) {
  const char order = descr.empty() ? '\0' : descr[0], letter = descr.size() < 2 ? '\0' : descr[1];
  int64_t width = 0;
  const auto [end, problem] =
      std::from_chars(descr.data() + std::min<size_t>(2, descr.size()), descr.data() + descr.size(), width);
  if (letter == 'O')
    throw DataError("an array of Python objects holds pickled code, which is not read")
        .hint("save it as numbers or as text ('<U') with numpy.save");
  const bool known_order = order == '<' || order == '>' || order == '|';
  const bool whole = problem == std::errc() && end == descr.data() + descr.size();
  const auto one_of = [&](std::initializer_list<int64_t> widths) {
    return std::find(widths.begin(), widths.end(), width) != widths.end();
  };
  if (known_order && whole) {
    const bool big = order == '>';
    if (letter == 'b' && width == 1) return {NpyKind::boolean, big, 1};
    if (letter == 'i' && one_of({1, 2, 4, 8})) return {NpyKind::signed_integer, big, width};
    if (letter == 'u' && one_of({1, 2, 4, 8})) return {NpyKind::unsigned_integer, big, width};
    if (letter == 'f' && one_of({2, 4, 8})) return {NpyKind::floating, big, width};
    if (letter == 'U' && width > 0 && width < INT32_MAX) return {NpyKind::text, big, 4 * width};
  }
  throw DataError("arrays of type '{}' are not read: bool, integers, floats of 16 to 64 bits and text ('<U') are", descr);
}

int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t length : shape)
    if (__builtin_mul_overflow(count, length, &count)) throw DataError("the shape is too large for any file");
  return count;
}

/// Items from Fortran order to C order.
std::string to_c_order(std::string_view items, const std::vector<int64_t>& shape, size_t item_bytes) {
  std::string out;
  out.reserve(items.size());
  std::vector<size_t> stride(shape.size(), item_bytes);
  for (size_t d = 1; d < shape.size(); ++d) stride[d] = stride[d - 1] * static_cast<size_t>(shape[d - 1]);
  std::vector<int64_t> index(shape.size(), 0);
  size_t at = 0;
  while (out.size() < items.size()) {
    out.append(items.substr(at, item_bytes));
    for (size_t d = shape.size(); d-- > 0;) {
      at += stride[d];
      if (++index[d] < shape[d]) break;
      at -= stride[d] * static_cast<size_t>(shape[d]);
      index[d] = 0;
    }
  }
  return out;
}

void swap_byte_order(std::string& bytes, size_t unit) {
  for (size_t at = 0; at < bytes.size(); at += unit)
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + unit));
}

std::string decode_text(std::string_view item) {
  std::u32string code_points;
  for (size_t at = 0; at < item.size(); at += 4) {
    char32_t c = 0;
    for (size_t i = 4; i-- > 0;) c = c << 8 | static_cast<unsigned char>(item[at + i]);
    code_points += c;
  }
  while (!code_points.empty() && code_points.back() == 0) code_points.pop_back();
  const auto text = encode_utf8(code_points);
  if (!text) throw DataError("the array holds text that is not Unicode");
  return *text;
}

NpyArray parse(std::string_view bytes) {
  size_t data_start = 0;
  const NpyHeader header = parse_npy_header(npy_header_text(bytes, data_start));
  return decode_npy_items(header, bytes.substr(data_start));
}

}  // namespace

NpyArray decode_npy_items(const NpyHeader& header, std::string_view data) {
  const ItemType type = parse_descr(header.descr);
  const int64_t count = count_of(header.shape);
  int64_t needed = 0;
  if (__builtin_mul_overflow(count, type.item_bytes, &needed)) throw DataError("the shape is too large for any file");
  if (static_cast<uint64_t>(needed) != data.size())
    throw DataError("the array needs {} bytes behind its header, {} are present", needed, data.size())
        .hint("fetch or write the file again, it is truncated or damaged");

  const auto item_bytes = static_cast<size_t>(type.item_bytes);
  std::string items = header.fortran_order ? to_c_order(data, header.shape, item_bytes) : std::string(data);
  const bool text = type.kind == NpyKind::text;
  if (type.big_endian) swap_byte_order(items, text ? 4 : item_bytes);
  NpyArray array{type.kind, text ? 0 : static_cast<int>(type.item_bytes), header.shape, {}, {}};
  if (!text) {
    array.bytes = std::move(items);
    return array;
  }
  for (size_t at = 0; at < items.size(); at += item_bytes)
    array.texts.push_back(decode_text(std::string_view(items).substr(at, item_bytes)));
  return array;
}

int64_t NpyArray::size() const { return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()); }

std::string NpyArray::describe() const {
  constexpr const char* words[] = {"bool", "int", "uint", "float", "text"};
  const bool bits = kind != NpyKind::boolean && kind != NpyKind::text;
  return fmt::format("{}{} [{}]", words[static_cast<size_t>(kind)], bits ? std::to_string(8 * item_bytes) : "",
                     fmt::join(shape, ", "));
}

NpyArray parse_npy(std::string_view bytes, const std::filesystem::path& name_in_errors) {
  try {
    return parse(bytes);
  } catch (Error& mistake) {
    throw mistake.where(name_in_errors);
  }
}

NpyArray read_npy(const std::filesystem::path& path) { return parse_npy(read_file(path), path); }

NpzFile::NpzFile(const std::filesystem::path& path) : zip_(path) {}

std::vector<std::string> NpzFile::names() const {
  std::vector<std::string> names;
  for (const ZipEntry& entry : zip_.entries())
    names.push_back(entry.name.ends_with(".npy") ? entry.name.substr(0, entry.name.size() - 4) : entry.name);
  return names;
}

NpyArray NpzFile::read(std::string_view name) const {
  const std::string entry = std::string(name) + ".npy";
  return parse_npy(zip_.read(entry), zip_.path() / entry);
}

}  // namespace microemo::formats
