#include "microemo/eval/metrics.h"

#include <cmath>

#include "formats/support.h"
#include "microemo/eval/wheel_release.h"
#include "microemo/formats/npy.h"
#include "microemo/formats/zip.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const std::filesystem::path golden = test::data_folder() / "eval";

/// The random sets of tests/reference/score_golden.py.
class Metrics : public testing::Test {
 protected:
  Metrics() {
    std::vector<Json> truths, predictions;
    read_jsonl(golden / "labels.jsonl", [&](const Json& line, int64_t) {
      truths.push_back({{"id", line.at("id")}, {"labels", line.at("truth")}});
      predictions.push_back({{"id", line.at("id")}, {"labels", line.at("predicted")}});
    });
    write_jsonl(folder_.path() / "t.jsonl", truths);
    write_jsonl(folder_.path() / "p.jsonl", predictions);
  }
  void file(const std::string& name, const std::string& text) const { test::write(folder_.path() / name, text); }

  /// Of p.jsonl against t.jsonl, or of other files.
  std::vector<MetricResult> score(const std::vector<std::string>& names, int64_t resamples = 0,
                                  const char* predictions = "p.jsonl", const char* truths = "t.jsonl") {
    sources_.wheels.emplace("2025", load_release_wheels(golden / "wheels", "2025"));
    sources_.wheels.emplace("2026", load_release_wheels(golden / "wheels", "2026"));
    labels_ = read_label_files(folder_.path() / predictions, folder_.path() / truths, LabelContent::labels);
    sources_.labels = &labels_;
    std::vector<Metric> metrics;
    for (const std::string& name : names) metrics.push_back(parse_metric(name));
    return score_metrics(metrics, sources_, ClusterKind::best, {.resamples = resamples});
  }
  static double value(const MetricResult& result) { return result.numbers.back().second; }

  TemporaryFolder folder_;
  MetricSources sources_;
  LabelFiles labels_;
};

TEST_F(Metrics, AgreeWithPlainPythonOnRandomLabels) {
  const Json expected = read_json(golden / "scores.json").at("scores");
  std::vector<std::string> names;
  for (const auto& [name, numbers] : expected.items()) names.push_back(name);
  ASSERT_THAT(names, SizeIs(78));
  for (const MetricResult& result : score(names)) {
    const Json& numbers = expected.at(result.metric.name);
    const auto per_wheel = result.n_per_wheel.empty() ? std::vector<int64_t>{result.n} : result.n_per_wheel;
    EXPECT_EQ(per_wheel, numbers.at("n").get<std::vector<int64_t>>()) << result.metric.name;
    for (const auto& [key, number] : result.numbers)
      EXPECT_NEAR(number, numbers.at(key).get<double>(), 1e-14) << result.metric.name << " " << key;
  }
}

TEST_F(Metrics, CountItemsThatAnyWheelScores) {
  file("t.csv", "name,openset\na,gloomy\nb,mild\nc,neutral\n");
  file("p.csv", "name,openset\na,gloomy\nb,x\nc,glad\n");
  const auto results = score({"ew2026-l1", "ew2026-w1-l1"}, 0, "p.csv", "t.csv");
  EXPECT_EQ(results[0].n, 2);
  EXPECT_THAT(results[0].n_per_wheel, ElementsAre(1, 0, 1, 0, 1));
  EXPECT_EQ(results[1].n, 1);
  EXPECT_THAT(results[1].n_per_wheel, IsEmpty());
}

TEST_F(Metrics, NothingRightIsNoNumberIn2025AndZeroIn2026) {
  file("t.csv", "name,openset\na,glad\n");
  file("p.csv", "name,openset\na,blue\n");
  const auto results = score({"ew2025-w1-l1", "ew2026-w1-l1"}, 0, "p.csv", "t.csv");
  EXPECT_TRUE(std::isnan(value(results[0])));
  EXPECT_EQ(results[0].numbers[0].second, 0);
  EXPECT_EQ(value(results[1]), 0);
}

TEST_F(Metrics, OneWheelWithoutANumberLeavesTheMeanWithoutOne) {
  file("t.csv", "name,openset\na,glad\nb,gloomy\n");
  file("p.csv", "name,openset\na,glad\nb,gloomy\n");
  const auto results = score({"ew2025-l1", "ew2026-l1"}, 0, "p.csv", "t.csv");
  EXPECT_TRUE(std::isnan(value(results[0])));  // wheel 4 knows neither
  EXPECT_EQ(value(results[1]), 0.8);
}

TEST_F(Metrics, TellLabelsThatTheFormsLackFromThoseThatAWheelLacks) {
  file("t.csv", "name,openset\na,\"glad, neutral\"\n");
  file("p.csv", "name,openset\na,\"mild, Neutral, xyzzy, xyzzy\"\nextra,unseen\n");
  const UnknownLabels unknown = score({"ew2026-w1-l1"}, 0, "p.csv", "t.csv")[0].unknown;
  EXPECT_EQ(unknown.truth, (std::map<std::string, int64_t>{{"neutral", 1}}));
  EXPECT_EQ(unknown.predicted, (std::map<std::string, int64_t>{{"neutral", 1}, {"xyzzy", 2}}));
  EXPECT_EQ(unknown.count(), 4);
  EXPECT_EQ(unknown.distinct(), 2);
}

TEST_F(Metrics, IntervalsHoldTheValueAndSumsGiveIt) {
  const std::vector<std::string> names = {"ew2025-l1", "ew2026-m-avg", "hit2025-l1", "mscore2026-w2-l2"};
  const auto results = score(names, 200);
  for (const MetricResult& result : results) {
    EXPECT_LT(result.interval->low, value(result)) << result.metric.name;
    EXPECT_GT(result.interval->high, value(result)) << result.metric.name;
    const MetricParts parts = parts_of(result.metric, sources_);
    EXPECT_NEAR(parts.score(sum_parts(parts.parts)), value(result), 1e-12) << result.metric.name;
  }
}

TEST_F(Metrics, AnIntervalDoesNotDependOnTheOtherMetrics) {
  const auto alone = score({"hit2025-l1"}, 50), both = score({"ew2025-l1", "hit2025-l1"}, 50);
  EXPECT_EQ(alone[0].interval->low, both[1].interval->low);
  EXPECT_EQ(alone[0].interval->high, both[1].interval->high);
}

TEST_F(Metrics, TwoRunsAreComparedOverTheSameDraws) {
  score({"ew2026-l1"});
  const MetricParts run = parts_of(parse_metric("ew2026-l1"), sources_);
  LabelFiles perfect = read_label_files(folder_.path() / "t.jsonl", folder_.path() / "t.jsonl", LabelContent::labels);
  sources_.labels = &perfect;
  const MetricParts best = parts_of(parse_metric("ew2026-l1"), sources_);
  const Clusters clusters = make_clusters(perfect.truths, ClusterKind::best);
  const PairedTest test = compare_runs(run.parts, best.parts, clusters.numbers, run.score, {.resamples = 200});
  EXPECT_DOUBLE_EQ(test.second, 1);
  EXPECT_GT(test.interval.low, 0);
  EXPECT_DOUBLE_EQ(test.p_value, 1.0 / 201);
}

TEST_F(Metrics, WithoutResamplesThereIsNoInterval) { EXPECT_FALSE(score({"ew2025-l1"})[0].interval.has_value()); }

TEST_F(Metrics, ClustersAreDialoguesWhereEveryTruthNamesOne) {
  file(
      "t.jsonl",
      "{\"id\":\"a/0\",\"labels\":[],\"dialogue\":\"x\",\"speaker\":\"s\"}\n{\"id\":\"b/0\",\"labels\":[],\"dialogue\":\"x\"}\n");
  Vocabulary words;
  const LabelTable truths = read_label_table(folder_.path() / "t.jsonl", words);
  const Clusters best = make_clusters(truths, ClusterKind::best);
  EXPECT_EQ(best.kind, "dialogue");
  EXPECT_THAT(best.numbers, ElementsAre(0u, 0u));
  EXPECT_THAT(make_clusters(truths, ClusterKind::clip).numbers, ElementsAre(0u, 1u));
  expect_error(
      ErrorKind::data, [&] { make_clusters(truths, ClusterKind::speaker); }, "1 of 2 truths name no speaker: b/0", "t.jsonl");
}

TEST_F(Metrics, ClustersAreClipsWhereNothingIsNamed) {
  file("t.jsonl", "{\"id\":\"a/0\",\"labels\":[]}\n{\"id\":\"a/1\",\"labels\":[]}\n{\"id\":\"b\",\"labels\":[]}\n");
  Vocabulary words;
  const Clusters best = make_clusters(read_label_table(folder_.path() / "t.jsonl", words), ClusterKind::best);
  EXPECT_EQ(best.kind, "clip");
  EXPECT_THAT(best.numbers, ElementsAre(0u, 0u, 1u));
}

class CachedMetric : public Metrics {
 protected:
  void write_groups(const std::vector<std::pair<std::string, std::string>>& groups) const {
    std::vector<std::pair<std::string, std::string>> files;
    for (const auto& [name, text] : groups) {
      const auto path = folder_.path() / "one.npy";
      formats::write_npy(path, formats::make_npy(std::vector<std::string>{text}, {}));
      files.emplace_back("cache/" + name + ".npy", read_file(path));
    }
    std::vector<formats::ZipContent> contents;
    for (const auto& [name, bytes] : files) contents.push_back({name, bytes, true});
    formats::write_zip(folder_.path() / "groups.zip", contents);
  }
  MetricResult cached() {
    sources_.groups = read_cached_groups(folder_.path() / "groups.zip");
    return score({"mer2024-gpt"}, 0, "p.csv", "t.csv")[0];
  }
};

TEST_F(CachedMetric, ComparesTheFirstMembersOfGroups) {
  file("t.csv", "name,openset\na,\"happy, sad\"\nb,calm\n");
  file("p.csv", "name,openset\na,Joyful\nb,\n");
  write_groups({{"a", "[['happy', 'joyful'], ['sad']]"}, {"b", "[]"}});
  const MetricResult result = cached();
  EXPECT_EQ(result.n, 2);
  EXPECT_THAT(result.numbers, ElementsAre(std::pair("accuracy", 0.5), std::pair("recall", 0.25), std::pair("average", 0.375)));
  EXPECT_EQ(result.unknown.truth, (std::map<std::string, int64_t>{{"calm", 1}}));
}

TEST_F(CachedMetric, BlanksWithinQuotesBelongToTheMember) {
  file("t.csv", "name,openset\na,happy\n");
  file("p.csv", "name,openset\na,joyful\n");
  write_groups({{"a", "[['happy', 'joyful ']]"}});
  EXPECT_EQ(value(cached()), 0);
}

TEST_F(CachedMetric, TruthsWithoutAGroupingAreLeftOutAndSaid) {
  file("t.csv", "name,openset\na,happy\nb,sad\n");
  file("p.csv", "name,openset\na,happy\nb,sad\n");
  write_groups({{"b", "[]"}});
  const MetricResult result = cached();
  EXPECT_EQ(result.n, 1);
  EXPECT_THAT(result.notes, ElementsAre(testing::HasSubstr("1 truths have no cached grouping")));
}

TEST_F(CachedMetric, RefusesAGroupingWithoutATruth) {
  file("t.csv", "name,openset\na,happy\n");
  file("p.csv", "name,openset\na,happy\n");
  write_groups({{"a", "[]"}, {"z", "[]"}});
  expect_error(
      ErrorKind::data, [&] { cached(); }, "1 of 2 cached groupings have no truth: z", "t.csv");
}

TEST_F(CachedMetric, RefusesAnEmptyTruthWithAPrediction) {
  file("t.csv", "name,openset\na,\n");
  file("p.csv", "name,openset\na,happy\n");
  write_groups({{"a", "[]"}});
  expect_error(
      ErrorKind::data, [&] { cached(); }, "the truth of 'a' is empty", "t.csv, line 2");
}

TEST_F(CachedMetric, RefusesAnArchiveWithoutGroupings) {
  formats::write_zip(folder_.path() / "groups.zip", {{"x.txt", "x", true}});
  expect_error(
      ErrorKind::data, [&] { read_cached_groups(folder_.path() / "groups.zip"); }, "holds no .npy file", "groups.zip");
}

}  // namespace
}  // namespace microemo::eval
