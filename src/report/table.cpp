#include "microemo/report/table.h"

#include <algorithm>

#include "microemo/base/error.h"

namespace microemo::report {
namespace {

/// Characters of UTF-8 text: every byte that does not continue another.
size_t width(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

bool is_number(const std::string& text) {
  const bool digits = text.find_first_of("0123456789") != std::string::npos;
  return text.empty() || text == "-" || (digits && text.find_first_not_of("0123456789+-.,%e []") == std::string::npos);
}

struct Column {
  size_t width = 0;
  bool numbers = true;
};

std::vector<Column> measure(const Table& table) {
  std::vector<Column> columns;
  for (const std::string& name : table.head) columns.push_back({width(name), true});
  for (const auto& row : table.rows) {
    MICROEMO_CHECK(row.size() == columns.size(), "a row of {} cells in a table of {} columns", row.size(), columns.size());
    for (size_t i = 0; i < row.size(); ++i) {
      columns[i].width = std::max(columns[i].width, width(row[i]));
      columns[i].numbers = columns[i].numbers && is_number(row[i]);
    }
  }
  return columns;
}

std::string format_row(const std::vector<std::string>& cells, const std::vector<Column>& columns) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string blanks(columns[i].width - width(cells[i]), ' ');
    if (i > 0) line += "  ";
    line += columns[i].numbers ? blanks + cells[i] : cells[i] + blanks;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string format_table(const Table& table) {
  const std::vector<Column> columns = measure(table);
  std::vector<std::string> dashes;
  for (const Column& column : columns) dashes.emplace_back(column.width, '-');
  std::string text = format_row(table.head, columns) + format_row(dashes, columns);
  for (const auto& row : table.rows) text += format_row(row, columns);
  return text;
}

}  // namespace microemo::report
