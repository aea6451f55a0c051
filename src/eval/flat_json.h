#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace microemo::eval {

/// One member of a flat object: views into the line.
struct FlatMember {
  enum Kind : uint8_t { text, list, other };  ///< `other`: a number, true, false or null
  std::string_view key;
  Kind kind = other;
  std::string_view value;      ///< of a text, without its quotes
  size_t first = 0, last = 0;  ///< of a list, its part of FlatObject::elements
};
struct FlatObject {
  std::vector<FlatMember> members;
  std::vector<std::string_view> elements;

  const FlatMember* find(std::string_view key) const;
};

/// Reads a line that is one JSON object of texts without escapes, lists of such texts, numbers, true, false and null: what
/// millions of lines of labels are. False for everything else, broken JSON and keys that stand twice included: then the line is
/// for parse_json, which is slower and explains mistakes.
bool scan_flat_object(std::string_view line, FlatObject& object);

}  // namespace microemo::eval
