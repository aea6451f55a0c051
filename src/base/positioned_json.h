#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "microemo/base/json.h"

namespace microemo {

/// Lines and columns from 1; a column counts bytes.
struct TextPlace {
  int64_t line = 0, column = 0;
};

TextPlace place_in(std::string_view text, size_t offset);

/// parse_json that also tells where each key stands: `pointer` is the key's JSON pointer ("/model/layers"). Not called for array
/// elements.
Json parse_json_with_places(std::string_view text, const std::filesystem::path& name_in_errors,
                            const std::function<void(const std::string& pointer, TextPlace place)>& on_key);

}  // namespace microemo
