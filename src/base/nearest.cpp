#include "microemo/base/nearest.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace microemo {
namespace {

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

/// A third of the letters may be wrong, two in short words; a word of which nothing is left is not near.
int tolerance(std::string_view word) {
  return std::min(std::max(2, static_cast<int>(word.size()) / 3), static_cast<int>(word.size()) - 1);
}

}  // namespace

int edit_distance(std::string_view from, std::string_view to) {
  std::vector<int> before_last(to.size() + 1), last(to.size() + 1), row(to.size() + 1);
  for (size_t j = 0; j <= to.size(); ++j) last[j] = static_cast<int>(j);
  for (size_t i = 1; i <= from.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= to.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (from[i - 1] != to[j - 1])});
      const bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[to.size()];
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& names) {
  std::string nearest;
  int least = std::numeric_limits<int>::max();
  const auto offer = [&](const std::string& name, int distance, int allowed) {
    if (distance > allowed || distance >= least) return;
    least = distance;
    nearest = name;
  };
  for (const std::string& name : names) {
    offer(name, edit_distance(word, name), tolerance(word));
    // One more than the letters: a name in the same section wins when both are as near.
    if (name.find('.') != std::string::npos || word.find('.') != std::string_view::npos)
      offer(name, edit_distance(last_part(word), last_part(name)) + 1, tolerance(last_part(word)));
  }
  return nearest;
}

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

}  // namespace microemo
