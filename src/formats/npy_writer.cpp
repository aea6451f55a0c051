#include <algorithm>
#include <cstring>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/formats/npy.h"
#include "microemo/formats/utf8.h"
#include "npy_header.h"

namespace microemo::formats {
namespace {

template <class T>
NpyArray make_numbers(NpyKind kind, const std::vector<T>& values, std::vector<int64_t> shape) {
  NpyArray array{kind, sizeof(T), std::move(shape), std::string(values.size() * sizeof(T), '\0'), {}};
  MICROEMO_CHECK(array.size() == static_cast<int64_t>(values.size()), "{} values for {}", values.size(), array.describe());
  if (!values.empty()) std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
  return array;
}

std::vector<std::u32string> decode_all(const std::vector<std::string>& texts) {
  std::vector<std::u32string> decoded;
  for (const std::string& text : texts) {
    const auto code_points = decode_utf8(text);
    if (!code_points) throw DataError("text for an .npy array is not UTF-8: \"{}\"", text);
    if (!code_points->empty() && code_points->back() == 0)
      throw DataError("text for an .npy array ends with a zero character, which NumPy drops");
    decoded.push_back(*code_points);
  }
  return decoded;
}

std::string format_texts(const NpyArray& array) {
  const std::vector<std::u32string> decoded = decode_all(array.texts);
  size_t width = 1;
  for (const auto& text : decoded) width = std::max(width, text.size());
  std::string bytes = format_npy_header({fmt::format("<U{}", width), false, array.shape});
  for (auto text : decoded) {
    text.resize(width, 0);
    for (const char32_t c : text)
      for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(c >> shift & 0xff);
  }
  return bytes;
}

std::string format_npy(const NpyArray& array) {
  if (array.kind == NpyKind::text) return format_texts(array);
  constexpr char letters[] = {'b', 'i', 'u', 'f'};
  const char order = array.item_bytes == 1 ? '|' : '<';
  const std::string descr = fmt::format("{}{}{}", order, letters[static_cast<size_t>(array.kind)], array.item_bytes);
  return format_npy_header({descr, false, array.shape}) + array.bytes;
}

}  // namespace

NpyArray make_npy(const std::vector<float>& values, std::vector<int64_t> shape) {
  return make_numbers(NpyKind::floating, values, std::move(shape));
}

NpyArray make_npy(const std::vector<double>& values, std::vector<int64_t> shape) {
  return make_numbers(NpyKind::floating, values, std::move(shape));
}

NpyArray make_npy(const std::vector<int64_t>& values, std::vector<int64_t> shape) {
  return make_numbers(NpyKind::signed_integer, values, std::move(shape));
}

NpyArray make_npy(std::vector<std::string> texts, std::vector<int64_t> shape) {
  NpyArray array{NpyKind::text, 0, std::move(shape), {}, std::move(texts)};
  MICROEMO_CHECK(array.size() == static_cast<int64_t>(array.texts.size()), "{} texts for {}", array.texts.size(),
                 array.describe());
  decode_all(array.texts);
  return array;
}

void write_npy(const std::filesystem::path& path, const NpyArray& array) { write_file_atomic(path, format_npy(array)); }

void write_npz(const std::filesystem::path& path, const std::vector<std::pair<std::string, NpyArray>>& arrays, bool deflate) {
  std::vector<std::string> files;
  for (const auto& [name, array] : arrays) files.push_back(format_npy(array));
  std::vector<ZipContent> contents;
  for (size_t i = 0; i < arrays.size(); ++i) contents.push_back({arrays[i].first + ".npy", files[i], deflate});
  write_zip(path, contents);
}

}  // namespace microemo::formats
