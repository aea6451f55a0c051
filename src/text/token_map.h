#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace microemo::text {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

/// Token to id; a view can be looked up without a copy.
class TokenMap : public std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>> {
 public:
  /// The id, or -1.
  int64_t id(std::string_view token) const {
    const auto found = find(token);
    return found == end() ? -1 : int64_t(found->second);
  }
};

}  // namespace microemo::text
