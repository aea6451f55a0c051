#include "microemo/formats/xlsx.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <pugixml.hpp>

#include "microemo/base/error.h"
#include "microemo/formats/zip.h"

namespace microemo::formats {
namespace {

constexpr size_t most_cells = 20'000'000, most_columns = 16'384, most_rows = 1'048'576;  // the last two are Excel's own

/// The parts of one workbook.
class Workbook {
 public:
  explicit Workbook(const std::filesystem::path& path) : zip_(path) {}

  Error damaged(const std::string& how) const {
    return DataError("{}", how).where(zip_.path()).hint("open the workbook in a spreadsheet program and save it as .xlsx again");
  }
  bool contains(const std::string& part) const { return zip_.contains(part); }
  pugi::xml_document part(const std::string& name) const {
    if (!zip_.contains(name)) throw damaged("this is no Excel workbook: it has no part " + name);
    const std::string text = zip_.read(name);
    pugi::xml_document document;
    const auto result = document.load_buffer(text.data(), text.size(), pugi::parse_default | pugi::parse_ws_pcdata);
    if (!result) throw damaged(fmt::format("part {} is no XML: {}", name, result.description()));
    return document;
  }

 private:
  ZipFile zip_;
};

/// "si" and "is" elements: one "t", or several runs with a "t" each. Phonetic runs ("rPh") are no part of the text.
std::string text_of(const pugi::xml_node& item) {
  std::string text = item.child("t").text().get();
  for (const auto& run : item.children("r")) text += run.child("t").text().get();
  return text;
}

std::vector<std::string> read_shared_texts(const Workbook& workbook) {
  std::vector<std::string> texts;
  if (!workbook.contains("xl/sharedStrings.xml")) return texts;
  const auto document = workbook.part("xl/sharedStrings.xml");
  for (const auto& item : document.child("sst").children("si")) texts.push_back(text_of(item));
  return texts;
}

std::string first_sheet_part(const Workbook& workbook) {
  const auto book = workbook.part("xl/workbook.xml");
  const auto relations = workbook.part("xl/_rels/workbook.xml.rels");
  const std::string id = book.child("workbook").child("sheets").child("sheet").attribute("r:id").value();
  const auto relation = relations.child("Relationships").find_child_by_attribute("Relationship", "Id", id.c_str());
  const std::string target = relation.attribute("Target").value();
  if (id.empty() || target.empty()) throw workbook.damaged("the workbook has no sheet");
  return target.front() == '/' ? target.substr(1) : "xl/" + target;
}

/// "AB12" is column 27 (from 0).
size_t column_of(const std::string& reference, const Workbook& workbook) {
  size_t column = 0, letters = 0;
  while (letters < reference.size() && reference[letters] >= 'A' && reference[letters] <= 'Z' && column <= most_columns)
    column = 26 * column + static_cast<size_t>(reference[letters++] - 'A' + 1);
  if (column == 0 || column > most_columns) throw workbook.damaged("cell reference '" + reference + "' is none");
  return column - 1;
}

class SheetReader {
 public:
  explicit SheetReader(const Workbook& workbook) : workbook_(workbook), shared_(read_shared_texts(workbook)) {}

  std::vector<std::vector<std::string>> rows() {
    const auto document = workbook_.part(first_sheet_part(workbook_));
    for (const auto& row : document.child("worksheet").child("sheetData").children("row")) read_row(row);
    while (!rows_.empty() && std::all_of(rows_.back().begin(), rows_.back().end(), [](const auto& text) { return text.empty(); }))
      rows_.pop_back();
    for (auto& row : rows_) row.resize(width_);
    return std::move(rows_);
  }

 private:
  void read_row(const pugi::xml_node& row) {
    const auto number = row.attribute("r") ? row.attribute("r").as_ullong() : rows_.size() + 1;
    if (number <= rows_.size() || number > most_rows)
      throw workbook_.damaged(fmt::format("row number {} is out of order", number));
    rows_.resize(number);
    std::vector<std::string>& fields = rows_.back();
    for (const auto& cell : row.children("c")) {
      const size_t column = cell.attribute("r") ? column_of(cell.attribute("r").value(), workbook_) : fields.size();
      if (column < fields.size()) throw workbook_.damaged(fmt::format("the cells of row {} are out of order", number));
      width_ = std::max(width_, column + 1);
      if (width_ * number > most_cells) throw workbook_.damaged(fmt::format("the sheet spans over {} cells", most_cells));
      fields.resize(column + 1);
      fields.back() = value(cell);
    }
  }

  std::string value(const pugi::xml_node& cell) const {
    const std::string type = cell.attribute("t").value(), stored = cell.child("v").text().get();
    if (type == "inlineStr") return text_of(cell.child("is"));
    if (type == "b") return stored == "1" ? "TRUE" : "FALSE";
    if (type != "s") return stored;
    char* end = nullptr;
    const auto index = std::strtoull(stored.c_str(), &end, 10);
    if (stored.empty() || *end != '\0' || index >= shared_.size())
      throw workbook_.damaged(
          fmt::format("cell {} points to text {} of {}", cell.attribute("r").value(), stored, shared_.size()));
    return shared_[index];
  }

  const Workbook& workbook_;
  std::vector<std::string> shared_;
  std::vector<std::vector<std::string>> rows_;
  size_t width_ = 0;
};

}  // namespace

Table read_xlsx(const std::filesystem::path& path) {
  const Workbook workbook(path);
  auto rows = SheetReader(workbook).rows();
  if (rows.empty()) throw DataError("the first sheet is empty").where(path);
  Table table{path, std::move(rows.front()), {}};
  for (size_t i = 1; i < rows.size(); ++i) table.rows.push_back({std::move(rows[i]), static_cast<int64_t>(i) + 1});
  return table;
}

}  // namespace microemo::formats
