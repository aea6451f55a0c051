#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/formats/npy.h"

namespace microemo::formats {

struct NpyHeader {
  std::string descr;  ///< "<f4"
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// The dictionary of an .npy file, and where its items begin. Throws Error(data) without a place.
std::string_view npy_header_text(std::string_view bytes, size_t& data_start);

/// Reads the Python dictionary of an .npy header, e.g. {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
/// Throws Error(data) without a place.
NpyHeader parse_npy_header(std::string_view text);

/// The array of a header and its items. Throws Error(data) without a place, for a type that is not read and for data of another
/// size.
NpyArray decode_npy_items(const NpyHeader& header, std::string_view data);

/// Magic, version 1.0, length and dictionary, padded to 64 bytes as NumPy does.
std::string format_npy_header(const NpyHeader& header);

}  // namespace microemo::formats
