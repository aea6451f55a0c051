#include "microemo/report/table.h"

#include "support/errors.h"

namespace microemo::report {
namespace {

TEST(Table, AlignsWordsLeftAndNumbersRight) {
  EXPECT_EQ(format_table({{"run", "F"}, {{"full", "0.912"}, {"no face", "12.5"}}}),
            "run          F\n"
            "-------  -----\n"
            "full     0.912\n"
            "no face   12.5\n");
}

TEST(Table, CountsCharactersAndNotBytes) {
  EXPECT_EQ(format_table({{"word", "n"}, {{"\xC3\xA9t\xC3\xA9", "1"}, {"hiver", "2"}}}),
            "word   n\n"
            "-----  -\n"
            "\xC3\xA9t\xC3\xA9    1\n"
            "hiver  2\n");
}

TEST(Table, TreatsIntervalsAndMissingValuesAsNumbers) {
  EXPECT_EQ(format_table({{"F"}, {{"[0.1, 0.2]"}, {"-"}, {""}}}),
            "         F\n"
            "----------\n"
            "[0.1, 0.2]\n"
            "         -\n"
            "\n");
}

TEST(Table, PutsAColumnWithOneWordToTheLeft) {
  EXPECT_EQ(format_table({{"value"}, {{"1"}, {"none"}}}), "value\n-----\n1\nnone\n");
}

TEST(Table, WritesTheHeadOfAnEmptyTable) { EXPECT_EQ(format_table({{"a", "b"}, {}}), "a  b\n-  -\n"); }

TEST(Table, RefusesARowOfAnotherLength) {
  test::expect_error(
      ErrorKind::internal,
      [] {
        format_table({{"a", "b"}, {{"1"}}});
      },
      "a row of 1 cells in a table of 2 columns");
}

}  // namespace
}  // namespace microemo::report
