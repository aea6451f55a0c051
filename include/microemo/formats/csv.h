#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/formats/table.h"

namespace microemo::formats {

/// Comma-separated values (RFC 4180) in UTF-8, the first record naming the columns. A byte-order mark, LF and CRLF are accepted;
/// lines without any character are no records. Throws Error(data) with file and line when the file is missing or empty, is not
/// UTF-8 (UTF-16 is named as such), a quoted field does not end or goes on behind its quote, a quote stands within an unquoted
/// field, or a record has another number of fields than the header.
Table read_csv(const std::filesystem::path& path);
Table parse_csv(std::string_view text, const std::filesystem::path& name_in_errors);

/// One record without the line's end. Fields are quoted where it is necessary.
std::string format_csv_record(const std::vector<std::string>& fields);

/// Atomic; lines end with LF. Throws Error(internal) when a row has another number of fields than the header.
void write_csv(const std::filesystem::path& path, const std::vector<std::string>& header,
               const std::vector<std::vector<std::string>>& rows);

}  // namespace microemo::formats
