#include "near_names.h"

#include <algorithm>
#include <numeric>

namespace microemo::formats {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string near_names(std::string_view wanted, const std::vector<std::string_view>& names, size_t count) {
  std::vector<std::pair<size_t, std::string_view>> ranked;
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
