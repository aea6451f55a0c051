#include "microemo/formats/csv.h"

#include <algorithm>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/formats/utf8.h"

namespace microemo::formats {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::filesystem::path& name) : text_(text), name_(name) {}

  std::optional<TableRow> record() {
    while (take_line_end()) continue;
    if (at_ == text_.size()) return std::nullopt;
    TableRow row{{}, line_};
    do {
      row.fields.push_back(peek() == '"' ? quoted() : unquoted());
    } while (take(','));
    if (at_ < text_.size() && !take_line_end()) throw mistake("a quoted field goes on behind its closing quote", line_);
    return row;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_line_end() {
    const size_t length = text_.substr(at_).starts_with("\r\n") ? 2 : 1;
    if (length == 1 && peek() != '\n') return false;
    at_ += length;
    ++line_;
    return true;
  }
  Error mistake(const char* what, int64_t line) const {
    return DataError("{}", what).where(name_, line).hint("quote the whole field and double every quote within it (\"\")");
  }

  std::string unquoted() {
    const size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
    std::string_view field = text_.substr(at_, end - at_);
    if (field.ends_with('\r') && end < text_.size() && text_[end] == '\n') field.remove_suffix(1);
    if (field.find('"') != std::string_view::npos) throw mistake("a quote stands within a field that is not quoted", line_);
    at_ += field.size();
    return std::string(field);
  }

  std::string quoted() {
    std::string field;
    const int64_t start = line_;
    for (++at_;;) {
      const size_t quote = text_.find('"', at_);
      if (quote == std::string_view::npos) throw mistake("a quoted field begins here and does not end", start);
      const std::string_view part = text_.substr(at_, quote - at_);
      line_ += std::count(part.begin(), part.end(), '\n');
      field += part;
      at_ = quote + 1;
      if (!take('"')) return field;
      field += '"';
    }
  }

  std::string_view text_;
  const std::filesystem::path& name_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

std::string_view without_mark(std::string_view text, const std::filesystem::path& name) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    throw DataError("the file is UTF-16").where(name).hint("save it as \"CSV UTF-8\", or convert it: iconv -f UTF-16 -t UTF-8");
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (is_utf8(text)) return text;
  int64_t line = 1;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos && is_utf8(text.substr(0, end)); ++line)
    text.remove_prefix(end + 1);
  throw DataError("the file is not UTF-8").where(name, line).hint("convert it, for instance: iconv -f GB18030 -t UTF-8");
}

}  // namespace

Table parse_csv(std::string_view text, const std::filesystem::path& name_in_errors) {
  Reader reader(without_mark(text, name_in_errors), name_in_errors);
  auto header = reader.record();
  if (!header)
    throw DataError("the table is empty: its first line names the columns")
        .where(name_in_errors)
        .hint("write the names of the columns, then a line for every record");
  Table table{name_in_errors, std::move(header->fields), {}};
  while (auto row = reader.record()) {
    if (row->fields.size() != table.header.size())
      throw DataError("the record has {} fields, the header has {}", row->fields.size(), table.header.size())
          .where(name_in_errors, row->line)
          .hint("a field that holds a comma must be quoted");
    table.rows.push_back(std::move(*row));
  }
  return table;
}

Table read_csv(const std::filesystem::path& path) { return parse_csv(read_file(path), path); }

std::string format_csv_record(const std::vector<std::string>& fields) {
  // A single empty field would be a line without any character, which is no record.
  if (fields.size() == 1 && fields[0].empty()) return "\"\"";
  std::string record;
  for (const std::string& field : fields) {
    if (&field != &fields.front()) record += ',';
    if (field.find_first_of(",\"\r\n") == std::string::npos) {
      record += field;
      continue;
    }
    record += '"';
    for (const char c : field) record.append(c == '"' ? 2 : 1, c);
    record += '"';
  }
  return record;
}

void write_csv(const std::filesystem::path& path, const std::vector<std::string>& header,
               const std::vector<std::vector<std::string>>& rows) {
  std::string text = format_csv_record(header) + '\n';
  for (const auto& row : rows) {
    MICROEMO_CHECK(row.size() == header.size(), "a row of {} fields under {} columns", row.size(), header.size());
    text += format_csv_record(row) + '\n';
  }
  write_file_atomic(path, text);
}

}  // namespace microemo::formats
