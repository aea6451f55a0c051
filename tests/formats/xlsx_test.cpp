#include "microemo/formats/xlsx.h"

#include "formats/support.h"
#include "microemo/base/json.h"
#include "microemo/formats/zip.h"

namespace microemo::formats {
namespace {

using test::expect_error;

class Xlsx : public testing::Test {
 protected:
  /// A workbook of one sheet with these rows and these shared texts ("si" elements).
  std::filesystem::path workbook(const std::string& rows, const std::string& texts = "") const {
    const std::string sheet = "<worksheet><sheetData>" + rows + "</sheetData></worksheet>", shared = "<sst>" + texts + "</sst>";
    write_zip(path_, {{"xl/workbook.xml", book_, true},
                      {"xl/_rels/workbook.xml.rels", relations_, true},
                      {"xl/worksheets/sheet1.xml", sheet, true},
                      {"xl/sharedStrings.xml", shared, true}});
    return path_;
  }
  void expect_refused(const std::string& rows, const std::string& reason) {
    const auto path = workbook(rows);
    expect_error(
        ErrorKind::data, [&] { read_xlsx(path); }, reason, path.string());
  }

  const std::string book_ = R"(<workbook><sheets><sheet name="s" r:id="rId1"/></sheets></workbook>)";
  const std::string relations_ = R"(<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>)";
  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "x.xlsx";
};

TEST_F(Xlsx, ReadsTheFirstSheetAsOpenpyxlWroteIt) {
  const auto folder = test::data_folder() / "formats";
  const auto expected = read_json(folder / "expected.json").at("xlsx").get<std::vector<std::vector<std::string>>>();
  const Table table = read_xlsx(folder / "sheet.xlsx");
  EXPECT_EQ(table.header, expected.at(0));
  ASSERT_EQ(table.rows.size(), expected.size() - 1);
  for (size_t i = 0; i < table.rows.size(); ++i) {
    EXPECT_EQ(table.rows[i].fields, expected[i + 1]);
    EXPECT_EQ(table.rows[i].line, static_cast<int64_t>(i) + 2);
  }
}

TEST_F(Xlsx, JoinsTheRunsOfASharedTextWithoutItsPhonetics) {
  const Table table = read_xlsx(workbook(R"(<row r="1"><c r="A1" t="s"><v>1</v></c><c r="B1" t="s"><v>0</v></c></row>)",
                                         "<si><t xml:space=\"preserve\"> plain </t></si>"
                                         "<si><r><t>two </t></r><r><t>runs</t></r><rPh><t>spoken</t></rPh></si>"));
  EXPECT_EQ(table.header, (std::vector<std::string>{"two runs", " plain "}));
}

TEST_F(Xlsx, RowsAndCellsWithoutReferencesFollowEachOther) {
  const Table table = read_xlsx(workbook("<row><c t=\"str\"><v>a</v></c><c><v>1</v></c></row><row><c><v>2</v></c></row>"));
  EXPECT_EQ(table.header, (std::vector<std::string>{"a", "1"}));
  EXPECT_EQ(table.rows.at(0).fields, (std::vector<std::string>{"2", ""}));
}

TEST_F(Xlsx, ReadsColumnsBehindZ) {
  EXPECT_EQ(read_xlsx(workbook(R"(<row r="1"><c r="AB1"><v>1</v></c></row>)")).header.size(), 28u);
}

TEST_F(Xlsx, ReadsThePublicWheels) {
  MICROEMO_SKIP_WITHOUT_EMER();
  const auto folder = test::emer_folder() / "wheel2025";
  EXPECT_EQ(read_xlsx(folder / "synonym.xlsx").rows.size(), 253u);
  EXPECT_EQ(read_xlsx(folder / "synonym.xlsx").header.size(), 16u);
  const std::vector<size_t> rows{72, 82, 36, 48, 36};
  for (size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(read_xlsx(folder / ("wheel" + std::to_string(i + 1) + ".xlsx")).rows.size(), rows[i]) << i + 1;
}

TEST_F(Xlsx, RefusesAFileThatIsNoZip) {
  test::write(path_, "level1,level2\n");
  expect_error(
      ErrorKind::data, [&] { read_xlsx(path_); }, "no zip archive", "x.xlsx");
}

TEST_F(Xlsx, RefusesAZipThatIsNoWorkbook) {
  write_zip(path_, {{"readme", "", false}});
  expect_error(
      ErrorKind::data, [&] { read_xlsx(path_); }, "no Excel workbook: it has no part xl/workbook.xml", "x.xlsx");
}

TEST_F(Xlsx, RefusesAPartThatIsNoXml) {
  write_zip(path_, {{"xl/workbook.xml", "<workbook>", false}, {"xl/_rels/workbook.xml.rels", relations_, false}});
  expect_error(
      ErrorKind::data, [&] { read_xlsx(path_); }, "part xl/workbook.xml is no XML");
}

TEST_F(Xlsx, RefusesAWorkbookWithoutSheets) {
  write_zip(path_, {{"xl/workbook.xml", "<workbook/>", false}, {"xl/_rels/workbook.xml.rels", relations_, false}});
  expect_error(
      ErrorKind::data, [&] { read_xlsx(path_); }, "the workbook has no sheet");
}

TEST_F(Xlsx, RefusesAnEmptySheet) { expect_refused("<row r=\"1\"><c r=\"A1\"/></row>", "the first sheet is empty"); }

TEST_F(Xlsx, RefusesATextThatIsNotThere) {
  expect_refused(R"(<row r="1"><c r="A1" t="s"><v>7</v></c></row>)", "cell A1 points to text 7 of 0");
}

TEST_F(Xlsx, RefusesATextNumberThatIsNone) {
  expect_refused(R"(<row r="1"><c r="A1" t="s"><v>x</v></c></row>)", "points to text x");
}

TEST_F(Xlsx, RefusesACellReferenceThatIsNone) {
  expect_refused(R"(<row r="1"><c r="11"><v>1</v></c></row>)", "cell reference '11' is none");
}

TEST_F(Xlsx, RefusesAColumnBeyondExcels) {
  expect_refused(R"(<row r="1"><c r="XFE1"><v>1</v></c></row>)", "cell reference 'XFE1'");
}

TEST_F(Xlsx, RefusesCellsOutOfOrder) {
  expect_refused(R"(<row r="1"><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>)", "the cells of row 1 are out of order");
}

TEST_F(Xlsx, RefusesRowsOutOfOrder) { expect_refused(R"(<row r="2"/><row r="2"/>)", "row number 2 is out of order"); }

TEST_F(Xlsx, RefusesASheetThatSpansTooManyCells) {
  expect_refused(R"(<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>)", "spans over 20000000 cells");
}

TEST_F(Xlsx, EntitiesAreNotExpanded) {
  const Table table = read_xlsx(workbook("<row r=\"1\"><c r=\"A1\" t=\"str\"><v>&lol;</v></c></row>"));
  EXPECT_EQ(table.header.at(0), "&lol;");
}

}  // namespace
}  // namespace microemo::formats
