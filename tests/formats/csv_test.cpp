#include "microemo/formats/csv.h"

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::formats {
namespace {

using test::expect_error;

std::filesystem::path golden(const std::string& name) { return test::data_folder() / "formats" / name; }

void expect_golden_rows(const Table& table) {
  const Json expected = read_json(golden("expected.json")).at("csv");
  EXPECT_EQ(table.header, expected.at("rows")[0].get<std::vector<std::string>>());
  ASSERT_EQ(table.rows.size(), expected.at("rows").size() - 1);
  for (size_t i = 0; i < table.rows.size(); ++i) {
    EXPECT_EQ(table.rows[i].fields, expected.at("rows")[i + 1].get<std::vector<std::string>>());
    EXPECT_EQ(table.rows[i].line, expected.at("lines")[i + 1].get<int64_t>());
  }
}

void expect_refused(std::string_view text, const std::string& reason, const std::string& place) {
  expect_error(
      ErrorKind::data, [&] { parse_csv(text, "x.csv"); }, reason, "x.csv" + place);
}

TEST(Csv, ReadsWhatPythonWrote) { expect_golden_rows(read_csv(golden("lf.csv"))); }

TEST(Csv, ReadsAByteOrderMarkCarriageReturnsAndQuotesEverywhere) { expect_golden_rows(read_csv(golden("crlf.csv"))); }

TEST(Csv, WritesTheBytesOfPython) {
  const TemporaryFolder folder;
  const Table table = read_csv(golden("lf.csv"));
  std::vector<std::vector<std::string>> rows;
  for (const TableRow& row : table.rows) rows.push_back(row.fields);
  write_csv(folder.path() / "x.csv", table.header, rows);
  EXPECT_EQ(read_file(folder.path() / "x.csv"), read_file(golden("lf.csv")));
}

TEST(Csv, TheLastLineNeedsNoEnd) {
  EXPECT_EQ(parse_csv("a,b\n1,2", "x").rows.at(0).fields, (std::vector<std::string>{"1", "2"}));
}

TEST(Csv, LinesWithoutAnyCharacterAreNoRecords) {
  const Table table = parse_csv("a,b\n\n\r\n1,2\n\n", "x");
  ASSERT_EQ(table.rows.size(), 1u);
  EXPECT_EQ(table.rows[0].line, 4);
}

TEST(Csv, ASingleEmptyFieldIsKeptByWriting) {
  EXPECT_EQ(parse_csv("a\n" + format_csv_record({""}) + "\n", "x").rows.at(0).fields, std::vector<std::string>{""});
}

TEST(Csv, ACarriageReturnWithinALineIsText) { EXPECT_EQ(parse_csv("a\nx\ry\n", "x").rows.at(0).fields.at(0), "x\ry"); }

TEST(Csv, FindsAColumn) { EXPECT_EQ(parse_csv("a,b\n", "x").column("b"), 1u); }

TEST(Csv, AnUnknownColumnListsThoseThereAre) {
  expect_error(
      ErrorKind::data, [] { parse_csv("name,openset\n", "x.csv").column("labels"); }, "no column 'labels'", "name, openset",
      "x.csv");
}

TEST(Csv, RefusesAColumnThatStandsTwice) {
  expect_error(
      ErrorKind::data, [] { parse_csv("a,a\n", "x.csv").column("a"); }, "two columns are called 'a'");
}

TEST(Csv, ReadsThePublicFiles) {
  MICROEMO_SKIP_WITHOUT_EMER();
  EXPECT_EQ(read_csv(test::emer_folder() / "check-openset.csv").rows.size(), 332u);
  EXPECT_EQ(read_csv(test::emer_folder() / "final-EMER-reason.csv").rows.size(), 332u);
  EXPECT_EQ(read_csv(test::emer_folder() / "wheel2025" / "format.csv").rows.size(), 1255u);
}

TEST(Csv, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [] { read_csv("/nonexistent/x.csv"); }, "x.csv");
}

TEST(Csv, RefusesAnEmptyFile) { expect_refused("", "the table is empty", ""); }

TEST(Csv, RefusesARecordWithTooFewFields) { expect_refused("a,b\n1,2\n3\n", "1 fields, the header has 2", ", line 3"); }

TEST(Csv, RefusesARecordWithTooManyFields) {
  expect_refused("a,b\n\"1\n\",2\n1,2,3\n", "3 fields, the header has 2", ", line 4");
}

TEST(Csv, RefusesAQuotedFieldThatDoesNotEnd) { expect_refused("a\n1\n\"2\n3\n", "begins here and does not end", ", line 3"); }

TEST(Csv, RefusesTextBehindAClosingQuote) { expect_refused("a,b\n\"1\"x,2\n", "goes on behind its closing quote", ", line 2"); }

TEST(Csv, RefusesAQuoteWithinAFieldThatIsNotQuoted) { expect_refused("a\nsay \"hi\"\n", "a quote stands within", ", line 2"); }

TEST(Csv, RefusesOtherEncodings) {
  expect_refused("a\nb\n\xd6\xd0\n", "not UTF-8", ", line 3");
  expect_refused(std::string_view("\xff\xfe"
                                  "a\0",
                                  4),
                 "UTF-16", "");
}

TEST(Csv, RefusesToWriteARaggedRow) {
  const TemporaryFolder folder;
  expect_error(
      ErrorKind::internal,
      [&] {
        write_csv(folder.path() / "x", {"a", "b"}, {{"1"}});
      },
      "a row of 1 fields under 2 columns");
}

}  // namespace
}  // namespace microemo::formats
