#pragma once
#include <string>
#include <vector>

namespace microemo::report {

/// A table for people: a head and rows of as many cells, UTF-8.
struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
};

/// Columns aligned by blanks, two between them, a line of dashes under the head; columns that hold nothing but numbers (or
/// nothing) stand to the right. Every line ends with a newline and has no blank before it. Throws Error(internal) when a row has
/// another number of cells than the head.
std::string format_table(const Table& table);

}  // namespace microemo::report
