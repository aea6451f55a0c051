#include "microemo/report/plot.h"

#include <cmath>
#include <limits>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

struct MetricsFile : ::testing::Test {
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "metrics.jsonl";
  std::vector<Curve> read(const std::string& content, const std::vector<std::string>& keys) {
    write_file_atomic(path, content);
    return read_curves(path, "step", keys);
  }
};

TEST_F(MetricsFile, GivesEachCurveTheLinesThatHoldItsKey) {
  const auto curves = read("{\"step\":1,\"loss\":3.5}\n{\"step\":2,\"loss\":2.5,\"f\":0.25}\n", {"loss", "f"});
  EXPECT_EQ(curves[0].x, (std::vector<double>{1, 2}));
  EXPECT_EQ(curves[0].y, (std::vector<double>{3.5, 2.5}));
  EXPECT_EQ(curves[1].x, (std::vector<double>{2}));
  EXPECT_EQ(curves[1].y, (std::vector<double>{0.25}));
}

TEST_F(MetricsFile, ReadsNullAsAGap) { EXPECT_TRUE(std::isnan(read("{\"step\":1,\"loss\":null}\n", {"loss"})[0].y[0])); }

TEST_F(MetricsFile, RefusesAKeyThatIsOnNoLine) {
  test::expect_error(
      ErrorKind::data, [&] { read("{\"step\":1,\"loss\":1}\n", {"los"}); }, "no line has both \"step\" and \"los\"");
}

TEST_F(MetricsFile, RefusesAValueThatIsNoNumber) {
  test::expect_error(
      ErrorKind::data, [&] { read("{\"step\":1,\"loss\":1}\n{\"step\":2,\"loss\":\"low\"}\n", {"loss"}); },
      "metrics.jsonl, line 2");
}

TEST_F(MetricsFile, RefusesAMissingFile) {
  test::expect_error(
      ErrorKind::data, [&] { read_curves(folder.path() / "none.jsonl", "step", {"loss"}); }, "none.jsonl");
}

bool is(const media::Image& image, int x, int y, int red, int green, int blue) {
  const uint8_t* pixel = image.row(y) + 3 * x;
  return pixel[0] == red && pixel[1] == green && pixel[2] == blue;
}

int64_t pixels_of_first_curve(const media::Image& image) {
  int64_t count = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) count += is(image, x, y, 0, 114, 178);
  return count;
}

TEST(Plot, DrawsALineOnWhitePaper) {
  const media::Image image = draw_plot({"loss", "step", {{"loss", {0, 1, 2}, {4, 2, 1}}}});
  EXPECT_EQ(image.width, 1200);
  EXPECT_EQ(image.height, 600);
  EXPECT_TRUE(is(image, 2, 2, 255, 255, 255));
  EXPECT_GT(pixels_of_first_curve(image), 1000);
}

TEST(Plot, LeavesAGapWhereAValueIsNotFinite) {
  const auto whole = draw_plot({"loss", "step", {{"loss", {0, 1, 2, 3}, {1, 1, 1, 1}}}});
  const auto gap = draw_plot({"loss", "step", {{"loss", {0, 1, 2, 3}, {1, nan, 1, 1}}}});
  EXPECT_LT(pixels_of_first_curve(gap), pixels_of_first_curve(whole) / 2);
  EXPECT_GT(pixels_of_first_curve(gap), 0);
}

TEST(Plot, DrawsASinglePoint) { EXPECT_GT(pixels_of_first_curve(draw_plot({"f", "step", {{"f", {10}, {0.5}}}})), 10); }

TEST(Plot, RefusesCurvesWithoutAFiniteValue) {
  test::expect_error(
      ErrorKind::data,
      [] {
        draw_plot({"loss", "step", {{"loss", {1}, {nan}}}});
      },
      "nothing to plot in \"loss\"");
}

TEST(Plot, RefusesNoCurve) {
  test::expect_error(
      ErrorKind::data,
      [] {
        draw_plot({"loss", "step", {}});
      },
      "nothing to plot");
}

TEST(Plot, RefusesACurveWithMoreTimesThanValues) {
  test::expect_error(
      ErrorKind::internal,
      [] {
        draw_plot({"loss", "step", {{"loss", {1, 2}, {1}}}});
      },
      "2 x and 1 y");
}

}  // namespace
}  // namespace microemo::report
