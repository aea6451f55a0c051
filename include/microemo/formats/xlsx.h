#pragma once
#include <filesystem>

#include "microemo/formats/table.h"

namespace microemo::formats {

/// The first sheet of an Excel workbook (Office Open XML) as a table of texts, its first row naming the columns. Shared and
/// inline texts come as they stand (blanks kept), numbers as the file spells them, truth values as "TRUE" and "FALSE", formulas
/// as their stored result; empty and missing cells as "". Rows are as wide as the widest; empty rows behind the last value are
/// not returned. Throws Error(data), naming the file, when it is missing, no workbook or damaged, when the sheet is empty, or
/// when it spans over 20 million cells.
Table read_xlsx(const std::filesystem::path& path);

}  // namespace microemo::formats
