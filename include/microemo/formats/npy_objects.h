#pragma once
#include <filesystem>
#include <string_view>

#include "microemo/base/json.h"

namespace microemo::formats {

/// One array of an .npz, or an .npy's bytes, as JSON: a list for every dimension, a bare value for none. Other than npy.h, arrays
/// of Python objects are read too, whose items NumPy pickles: None, truth values, numbers, texts, lists, tuples, sets,
/// dictionaries with keys of text or whole numbers, NumPy's own scalars and arrays. The pickle is a table of data for this
/// (pickle.h): nothing is imported or called. Numbers that are not finite become null.
///
/// Throws Error(data), naming file and array, when it is damaged, holds another object, whose class it names, or is nested more
/// than 64 levels deep, or takes more than 32 times its bytes and 16 MB as values.
Json parse_npy_objects(std::string_view npy_bytes, const std::filesystem::path& name_in_errors);
Json read_npz_objects(const std::filesystem::path& npz_file, std::string_view array);

}  // namespace microemo::formats
