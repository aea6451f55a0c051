#include "microemo/eval/label_report.h"

#include "formats/support.h"
#include "microemo/formats/csv.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;

class LabelReports : public testing::Test {
 protected:
  LabelReports() {
    test::write(folder_.path() / "t.csv", "name,openset\na,\"glad, gloomy\"\nb,gloomy\nc,neutral\nd,glad\ne,fierce\n");
    test::write(folder_.path() / "p.csv",
                "name,openset\na,\"Jolly, sour, xyzzy\"\nb,\nc,glad\nd,\"glad, sore\"\ne,\"glad, gloomy\"\n");
    files_ = read_label_files(folder_.path() / "p.csv", folder_.path() / "t.csv", LabelContent::labels);
    wheels_ = load_release_wheels(test::data_folder() / "eval" / "wheels", "2026");
  }
  TemporaryFolder folder_;
  LabelFiles files_;
  ReleaseWheels wheels_;
  const Provenance made_from_{"2026", "rules-1", "0123", "test"};
};

// Under W1-L1 of the miniature release "gloomy", "fierce" and "sour" are cross, "jolly" is glad; "sore" is a synonym of "hurt"
// and with it blue.

TEST_F(LabelReports, CountEveryClass) {
  const auto rows = class_rows(files_, wheels_, {"W1-L1"});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].name, "blue");
  EXPECT_EQ(rows[0].score.support, 0);
  EXPECT_EQ(rows[0].score.predicted, 1);
  EXPECT_EQ(rows[0].score.f, 0);
  EXPECT_EQ(rows[1].name, "cross");
  EXPECT_EQ(rows[1].score.support, 3);
  EXPECT_EQ(rows[1].score.predicted, 2);
  EXPECT_EQ(rows[1].score.right, 2);
  EXPECT_EQ(rows[2].score.support, 2);
  EXPECT_DOUBLE_EQ(rows[2].score.precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(rows[2].score.f, 0.8);
}

TEST_F(LabelReports, ConfusionOfAClassSumsToItsSupport) {
  std::map<std::string, double> sums;
  for (const ConfusionCell& cell : confusion_cells(files_, wheels_, {"W1-L2"})) sums[cell.truth] += cell.items;
  for (const ClassRow& row : class_rows(files_, wheels_, {"W1-L2"}))
    EXPECT_DOUBLE_EQ(sums[row.name], static_cast<double>(row.score.support)) << row.name;
}

TEST_F(LabelReports, ConfusionTellsWhatWasMissedAndWhatWasTooMuch) {
  std::vector<std::tuple<std::string, std::string, double>> cells;
  for (const ConfusionCell& cell : confusion_cells(files_, wheels_, {"W1-L1"}))
    cells.emplace_back(cell.truth, cell.predicted, cell.items);
  using Cell = std::tuple<std::string, std::string, double>;
  EXPECT_THAT(cells, ElementsAre(Cell("", "blue", 1), Cell("", "glad", 1), Cell("cross", "", 1), Cell("cross", "cross", 2),
                                 Cell("glad", "glad", 2)));
}

TEST_F(LabelReports, TheTableOfItemsShowsWhatEveryLabelBecame) {
  write_item_table(folder_.path() / "items.csv", files_, wheels_, {"W1-L1"}, made_from_);
  const formats::Table table = formats::read_csv(folder_.path() / "items.csv");
  EXPECT_THAT(table.rows[0].fields, ElementsAre("a", "glad; gloomy", "Jolly; sour; xyzzy", "glad=glad; gloomy=cross",
                                                "jolly=glad; sour=cross; xyzzy=", "1", "1", "2026", "rules-1", "0123", "test"));
  EXPECT_THAT(table.rows[2].fields,
              ElementsAre("c", "neutral", "glad", "neutral=", "glad=glad", "", "", "2026", "rules-1", "0123", "test"));
}

TEST_F(LabelReports, TablesAreWrittenAsCsv) {
  write_class_table(folder_.path() / "classes.csv", class_rows(files_, wheels_, {"W1-L1", "M1"}), made_from_);
  write_confusion_table(folder_.path() / "confusion.csv", confusion_cells(files_, wheels_, {"W1-L1"}), made_from_);
  EXPECT_EQ(formats::read_csv(folder_.path() / "classes.csv").rows[1].fields[1], "cross");
  EXPECT_EQ(formats::read_csv(folder_.path() / "confusion.csv").rows.size(), 5u);
  for (const char* name : {"classes.csv", "confusion.csv"})
    EXPECT_EQ(formats::read_csv(folder_.path() / name).header.back(), "split") << name;
}

TEST_F(LabelReports, RefuseAGroupingThatThereIsNot) {
  expect_error(
      ErrorKind::config, [&] { class_rows(files_, wheels_, {"W9-L1"}); }, "no grouping 'W9-L1'", "W5-L2");
}

}  // namespace
}  // namespace microemo::eval
