#include "microemo/eval/metric_name.h"

#include <set>

#include "formats/support.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(MetricNames, SayFamilyReleaseAndGroupings) {
  const Metric metric = parse_metric("ew2025-w3-l2");
  EXPECT_EQ(metric.family, MetricFamily::wheel_sets);
  EXPECT_EQ(metric.release, "2025");
  EXPECT_THAT(metric.groupings, ElementsAre("W3-L2"));
}

TEST(MetricNames, WithoutAWheelStandForAllFive) {
  EXPECT_THAT(parse_metric("hit2026-l2").groupings, ElementsAre("W1-L2", "W2-L2", "W3-L2", "W4-L2", "W5-L2"));
}

TEST(MetricNames, TheAverageOfOvMerHasTwelveGroupings) { EXPECT_EQ(parse_metric("ew2025-m-avg").groupings.size(), 12u); }

TEST(MetricNames, OthersHaveNoWheel) {
  for (const char* name : {"mer2024-gpt", "sentiment-acc", "sentiment-waf", "war", "uar", "waf"}) {
    EXPECT_FALSE(needs_wheel(parse_metric(name))) << name;
    EXPECT_THAT(parse_metric(name).release, IsEmpty());
  }
}

TEST(MetricNames, AreAllParsedAndDiffer) {
  std::set<std::string> names;
  for (const std::string& name : metric_names()) {
    EXPECT_EQ(parse_metric(name).name, name);
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

TEST(MetricNames, RefuseWhatThereIsNot) {
  for (const char* name : {"", "ew2024-l1", "ew2025-l3", "ew2025-w6-l1", "hit2025-m1", "mscore2025-m-avg", "EW2025-L1", "f1"})
    expect_error(
        ErrorKind::config, [&] { parse_metric(name); }, std::string("there is no metric '") + name + "'", "sentiment-waf, war");
}

TEST(MetricNames, NameTheNearest) {
  expect_error(
      ErrorKind::config, [] { parse_metric("ew2025-l11"); }, "did you mean ew2025-l1?");
}

}  // namespace
}  // namespace microemo::eval
