#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "microemo/formats/zip.h"

namespace microemo::formats {

// NumPy's own files (numpy.lib.format, versions 1.0 to 3.0): one array (.npy) or a zip archive of them (.npz).
// Read: bool, integers of 8 to 64 bits, floats of 16 to 64 bits, text ('<U'), either byte order, C or Fortran order.
// Arrays of Python objects hold pickled code and are refused, as are complex numbers, dates and records.

enum class NpyKind { boolean, signed_integer, unsigned_integer, floating, text };

struct NpyArray {
  NpyKind kind = NpyKind::floating;
  int item_bytes = 8;              ///< of one number; 0 for text
  std::vector<int64_t> shape;      ///< empty for a single value
  std::string bytes;               ///< of numbers: little-endian, C order
  std::vector<std::string> texts;  ///< of text: UTF-8, C order; without the zeros at the end that NumPy pads with

  int64_t size() const;
  /// For messages: "float32 [3, 4]".
  std::string describe() const;
};

/// Throws Error(data), naming the file, when it is missing, truncated, or holds what is not read (see above).
NpyArray read_npy(const std::filesystem::path& path);
NpyArray parse_npy(std::string_view bytes, const std::filesystem::path& name_in_errors);

/// The arrays of an .npz, each read when it is asked for. Thread-safe.
class NpzFile {
 public:
  explicit NpzFile(const std::filesystem::path& path);
  /// Names without ".npy", in the order of the archive.
  std::vector<std::string> names() const;
  /// Throws Error(data) that lists the nearest names.
  NpyArray read(std::string_view name) const;

 private:
  ZipFile zip_;
};

/// All values as `T` (bool, int64_t, double, float), row-major. Throws Error(data) when the array is text or a value does not fit
/// into `T` exactly, except that floats are rounded to the nearest float.
template <class T>
std::vector<T> npy_values(const NpyArray& array);

NpyArray make_npy(const std::vector<float>& values, std::vector<int64_t> shape);
NpyArray make_npy(const std::vector<double>& values, std::vector<int64_t> shape);
NpyArray make_npy(const std::vector<int64_t>& values, std::vector<int64_t> shape);
/// Text that ends with a zero character cannot be kept by NumPy: Error(data). Text must be UTF-8.
NpyArray make_npy(std::vector<std::string> texts, std::vector<int64_t> shape);

/// Atomic; an array has the same bytes as from numpy.save (format version 1.0). `deflate` is savez_compressed, without it savez.
void write_npy(const std::filesystem::path& path, const NpyArray& array);
void write_npz(const std::filesystem::path& path, const std::vector<std::pair<std::string, NpyArray>>& arrays,
               bool deflate = true);

}  // namespace microemo::formats
