#include "manifest_keys.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "microemo/base/error.h"

namespace microemo::data {
namespace {

/// Levenshtein distance, one row at a time.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string_view nearest(std::string_view key, std::span<const std::string_view> known) {
  return *std::min_element(known.begin(), known.end(),
                           [&](auto a, auto b) { return edit_distance(key, a) < edit_distance(key, b); });
}

}  // namespace

void refuse_unknown_keys(const Json& object, std::span<const std::string_view> known, std::string_view what,
                         const std::filesystem::path& file, int64_t line) {
  if (!object.is_object())
    throw DataError("{} must be a JSON object", what).where(file, line).hint("write it as {\"key\": value, …}");
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw DataError("{} has no key \"{}\"", what, key)
          .where(file, line)
          .hint(fmt::format("did you mean \"{}\"?", nearest(key, known)));
}

}  // namespace microemo::data
