#include "manifest_keys.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"

namespace microemo::data {

void refuse_unknown_keys(const Json& object, const std::vector<std::string>& known, std::string_view what,
                         const std::filesystem::path& file, int64_t line) {
  if (!object.is_object())
    throw DataError("{} must be a JSON object", what).where(file, line).hint("write it as {\"key\": value, …}");
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    throw DataError("{} has no key \"{}\"", what, key)
        .where(file, line)
        .hint(near.empty() ? fmt::format("the keys are {}", fmt::join(known, ", ")) : fmt::format("did you mean \"{}\"?", near));
  }
}

}  // namespace microemo::data
