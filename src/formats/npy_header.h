#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace microemo::formats {

struct NpyHeader {
  std::string descr;  ///< "<f4"
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// Reads the Python dictionary of an .npy header, e.g. {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
/// Throws Error(data) without a place.
NpyHeader parse_npy_header(std::string_view text);

/// Magic, version 1.0, length and dictionary, padded to 64 bytes as NumPy does.
std::string format_npy_header(const NpyHeader& header);

}  // namespace microemo::formats
