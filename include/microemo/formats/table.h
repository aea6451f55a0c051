#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace microemo::formats {

/// One record of a CSV file or one row of a sheet. `line` is 1-based: of a file, the line on which the record begins; of a sheet,
/// the row.
struct TableRow {
  std::vector<std::string> fields;
  int64_t line = 0;
};

/// A table of texts with named columns; every row has as many fields as the header.
struct Table {
  std::filesystem::path file;  ///< for messages
  std::vector<std::string> header;
  std::vector<TableRow> rows;

  bool has_column(std::string_view name) const;
  /// Throws Error(data) that lists the columns there are when there is none of this name, or two.
  size_t column(std::string_view name) const;
};

}  // namespace microemo::formats
