#include "microemo/report/bars.h"

#include <limits>

#include "support/errors.h"

namespace microemo::report {
namespace {

/// Pixels of a row that are neither paper nor a grey of text and rules.
int coloured(const media::Image& image, int y) {
  int count = 0;
  for (int x = 0; x < image.width; ++x) {
    const uint8_t* p = image.row(y) + 3 * x;
    count += std::abs(p[0] - p[2]) > 40;
  }
  return count;
}

int widest(const media::Image& image) {
  int most = 0;
  for (int y = 0; y < image.height; ++y) most = std::max(most, coloured(image, y));
  return most;
}

media::Image one_bar(const Bar& bar) { return draw_bars({"title", "wheel F", {{"", {bar}}}}); }

TEST(Bars, AreAsLongAsTheirValues) {
  const int half = widest(one_bar({"half", 0.5})), whole = widest(one_bar({"whole", 1.0}));
  EXPECT_NEAR(2.0 * half, whole, 4);
  EXPECT_EQ(widest(one_bar({"nothing", 0.0})) < 5, true);
}

TEST(Bars, OutsideOfTheAxisEndAtIt) { EXPECT_EQ(widest(one_bar({"a", 1.0})), widest(one_bar({"a", 7.0}))); }

TEST(Bars, OfAnUnknownValueAreNotDrawn) { EXPECT_LT(widest(one_bar({"unknown", std::numeric_limits<double>::quiet_NaN()})), 5); }

TEST(Bars, MakeThePageHigher) {
  const auto one = one_bar({"a", 0.5});
  const auto two = draw_bars({"title", "", {{"group", {{"a", 0.5}, {"b", 0.4}}}}});
  EXPECT_GT(two.height, one.height);
  EXPECT_EQ(two.width, one.width);
}

TEST(Bars, RefuseAChartOfNothing) {
  test::expect_error(
      ErrorKind::data,
      [] {
        draw_bars({"empty", "", {{"a", {}}}});
      },
      "nothing to draw in \"empty\"");
}

}  // namespace
}  // namespace microemo::report
