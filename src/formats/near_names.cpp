#include "near_names.h"

#include <algorithm>
#include <utility>

#include "microemo/base/nearest.h"

namespace microemo::formats {

std::string near_names(std::string_view wanted, const std::vector<std::string_view>& names, size_t count) {
  std::vector<std::pair<int, std::string_view>> ranked;
  for (const std::string_view name : names) ranked.emplace_back(edit_distance(wanted, name), name);
  std::sort(ranked.begin(), ranked.end());
  std::string text;
  for (size_t i = 0; i < std::min(count, ranked.size()); ++i) {
    if (i > 0) text += ", ";
    text += "'" + std::string(ranked[i].second) + "'";
  }
  return text;
}

}  // namespace microemo::formats
