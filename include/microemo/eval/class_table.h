#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace microemo::eval {

/// A wheel's classes as numbers, for many labels: every form is known by one number under all groupings.
struct ClassTable {
  struct Column {
    std::string grouping;
    std::vector<std::string> names;  ///< of the classes
    std::vector<int32_t> class_of;   ///< of every form: a position in `names`, or -1 where it has no class
  };
  std::unordered_map<std::string, uint32_t> form_numbers;
  std::vector<Column> columns;

  /// Throws Error(config) that lists the groupings.
  const Column& column(std::string_view grouping) const;
};

}  // namespace microemo::eval
