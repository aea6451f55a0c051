#include "microemo/formats/table.h"

#include <algorithm>

#include "microemo/base/error.h"

namespace microemo::formats {

bool Table::has_column(std::string_view name) const { return std::find(header.begin(), header.end(), name) != header.end(); }

size_t Table::column(std::string_view name) const {
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end())
    throw DataError("there is no column '{}'", name)
        .where(file, 1)
        .hint(fmt::format("the columns are: {}", fmt::join(header, ", ")));
  if (std::find(found + 1, header.end(), name) != header.end())
    throw DataError("two columns are called '{}'", name).where(file, 1).hint("rename one of them");
  return static_cast<size_t>(found - header.begin());
}

}  // namespace microemo::formats
