#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace microemo::cli {

/// Calls `answer` for every line of standard input and writes what it gives as a line of standard output. Answers are out before
/// the next input is waited for, so that another program can talk through a pipe.
void answer_lines(const std::function<std::string(std::string_view line, int64_t number)>& answer);

/// One JSON string. Bytes that are no UTF-8 are kept, half of a surrogate pair becomes U+FFFD. Error(data) with the line.
std::string read_text_line(std::string_view line, int64_t number);
/// One JSON array of whole numbers. Error(data) with the line.
std::vector<int64_t> read_ids_line(std::string_view line, int64_t number);

std::string write_text_line(const std::string& text);  ///< text that is UTF-8
std::string write_ids_line(const std::vector<int64_t>& ids);

}  // namespace microemo::cli
