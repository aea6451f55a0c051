// Scores of public predictions on the EMER files, against tests/reference/eval_parity.py, which agrees with the benchmark's own
// code.

#include <set>

#include "formats/support.h"
#include "microemo/base/json.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/metrics.h"
#include "microemo/eval/scores.h"
#include "microemo/eval/wheel_release.h"
#include "microemo/formats/csv.h"
#include "microemo/formats/npy.h"
#include "microemo/formats/zip.h"

namespace microemo::eval {
namespace {

constexpr double tolerance = 1e-12;

const Json& parity() {
  static const Json values = read_json(test::data_folder() / "eval" / "parity.json");
  return values;
}

std::vector<LabelPair> pairs_of(const std::string& predictions) {
  return match_labels(read_label_file(test::emer_folder() / predictions),
                      read_label_file(test::emer_folder() / "check-openset.csv"));
}

void expect_scores(const std::vector<LabelPair>& pairs, const EmotionWheel& wheel, const Json& expected) {
  ASSERT_EQ(expected.size(), wheel.groupings.size());
  for (const Grouping& grouping : wheel.groupings) {
    const Json& numbers = expected.at(grouping.name);
    const SetScore score = score_sets(pairs, grouping);
    EXPECT_EQ(score.pairs, numbers.at("pairs").get<int64_t>()) << grouping.name;
    EXPECT_NEAR(score.precision, numbers.at("precision").get<double>(), tolerance) << grouping.name;
    EXPECT_NEAR(score.recall, numbers.at("recall").get<double>(), tolerance) << grouping.name;
    EXPECT_NEAR(score.f, numbers.at("f").get<double>(), tolerance) << grouping.name;
    EXPECT_NEAR(score.pair_f, numbers.at("pair_f").get<double>(), tolerance) << grouping.name;
  }
}

class Parity : public testing::TestWithParam<std::string> {
 protected:
  EmotionWheel wheel() const { return load_wheel(test::emer_folder() / ("wheel" + GetParam())); }
};

TEST_P(Parity, TheReleaseIsTold) {
  MICROEMO_SKIP_WITHOUT_EMER();
  EXPECT_EQ(wheel().name, "MERTools " + GetParam());
}

TEST_P(Parity, ItsContentHasTheHashOfTheReference) {
  MICROEMO_SKIP_WITHOUT_EMER();
  EXPECT_EQ(content_hash(wheel()), parity().at(GetParam()).at("content_hash").get<std::string>());
}

TEST_P(Parity, AsManyFormsHaveAClass) {
  MICROEMO_SKIP_WITHOUT_EMER();
  const Json expected = parity().at(GetParam()).at("forms");
  for (const Grouping& grouping : wheel().groupings)
    EXPECT_EQ(grouping.class_of.size(), expected.at(grouping.name).get<size_t>()) << grouping.name;
}

TEST_P(Parity, ScoresOfAFileOfPredictionsAgree) {
  MICROEMO_SKIP_WITHOUT_EMER();
  expect_scores(pairs_of("predict-openset.csv"), wheel(), parity().at(GetParam()).at("predict"));
}

TEST_P(Parity, ScoresOfAPublicModelAgree) {
  MICROEMO_SKIP_WITHOUT_EMER();
  expect_scores(pairs_of("chat-univi-openset.npz"), wheel(), parity().at(GetParam()).at("chat_univi"));
}

TEST_P(Parity, HitRatesAgree) {
  MICROEMO_SKIP_WITHOUT_EMER();
  std::map<std::string, LabelPair> known;
  for (LabelPair& pair : pairs_of("chat-univi-openset.npz")) known[pair.id] = std::move(pair);
  std::vector<LabelPair> pairs;
  const auto single = formats::read_csv(test::emer_folder() / "emer-v1-gt-eng.csv");
  for (const auto& row : single.rows) {
    const auto found = known.find(row.fields[single.column("names")]);
    if (found == known.end()) continue;
    pairs.push_back(found->second);
    pairs.back().truth = string_to_list(row.fields[single.column("emotions")]);
  }
  const EmotionWheel loaded = wheel();
  for (const auto& [name, numbers] : parity().at(GetParam()).at("hits").items()) {
    const HitScore score = score_hits(pairs, loaded.grouping(name));
    EXPECT_EQ(score.pairs, numbers.at("pairs").get<int64_t>()) << name;
    EXPECT_NEAR(score.hit, numbers.at("hit").get<double>(), tolerance) << name;
    EXPECT_NEAR(score.mscore, numbers.at("mscore").get<double>(), tolerance) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Releases, Parity, testing::Values("2025", "2026"),
                         [](const auto& release) { return "Of" + release.param; });

/// A metric on the public files, as `microemo score` computes it.
std::vector<std::pair<std::string, double>> numbers_of(const std::string& metric, const std::string& predictions,
                                                       const std::filesystem::path& truths) {
  LabelFiles files = read_label_files(test::emer_folder() / predictions, truths, LabelContent::labels);
  MetricSources sources;
  sources.labels = &files;
  const Metric parsed = parse_metric(metric);
  if (needs_wheel(parsed)) sources.wheels.emplace(parsed.release, load_release_wheels(test::emer_folder(), parsed.release));
  if (!needs_wheel(parsed)) sources.groups = read_cached_groups(test::emer_folder() / "openset-synonym.zip");
  return score_metrics({parsed}, sources, ClusterKind::best, {.resamples = 0})[0].numbers;
}

/// Numbers that the benchmarks' own code printed (tests/reference/eval_parity.py holds them, too), in full.
TEST(PublishedNumbers, AreMetToTheLastDigit) {
  MICROEMO_SKIP_WITHOUT_EMER();
  using Numbers = std::vector<std::pair<std::string, double>>;
  const auto truths = test::emer_folder() / "check-openset.csv";
  const Json published = parity().at("published");
  for (const Json& row : published) {
    Numbers expected;
    for (const auto& [name, value] : row.at("numbers").items()) expected.emplace_back(name, value.get<double>());
    const Numbers numbers = numbers_of(row.at("metric"), row.at("predictions"), truths);
    ASSERT_EQ(numbers.size(), expected.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_EQ(numbers[i].first, expected[i].first) << row;
      EXPECT_EQ(numbers[i].second, expected[i].second) << row << " " << numbers[i].first;
    }
  }
}

TEST(PublishedNumbers, OfHitRateAreMet) {
  MICROEMO_SKIP_WITHOUT_EMER();
  const TemporaryFolder folder;
  std::set<std::string> known;
  for (const LabelledItem& item : read_label_file(test::emer_folder() / "check-openset.csv").items) known.insert(item.id);
  std::vector<std::vector<std::string>> rows;
  const auto single = formats::read_csv(test::emer_folder() / "emer-v1-gt-eng.csv");
  for (const auto& row : single.rows)
    if (const std::string& name = row.fields[single.column("names")]; known.contains(name))
      rows.push_back({name, row.fields[single.column("emotions")]});
  formats::write_csv(folder.path() / "t.csv", {"name", "openset"}, rows);
  for (const std::string release : {"2025", "2026"}) {
    EXPECT_NEAR(numbers_of("hit" + release + "-l1", "chat-univi-openset.npz", folder.path() / "t.csv")[0].second,
                parity().at("published_hits").at("hit").get<double>(), 5e-13);
    EXPECT_NEAR(numbers_of("mscore" + release + "-l1", "chat-univi-openset.npz", folder.path() / "t.csv")[0].second,
                parity().at("published_hits").at("mscore").get<double>(), 5e-13);
  }
}

TEST(CachedParity, AccuracyAndRecallOfMer2024Agree) {
  MICROEMO_SKIP_WITHOUT_EMER();
  const auto pairs = pairs_of("predict-openset.csv");
  const formats::ZipFile archive(test::emer_folder() / "openset-synonym.zip");
  std::map<std::string, std::string> groups;
  for (const LabelPair& pair : pairs) {
    const std::string name = "openset-synonym/" + pair.id + ".npy";
    groups[pair.id] = formats::parse_npy(archive.read(name), name).texts.at(0);
  }
  const Json expected = parity().at("cached");
  const CachedScore score = score_cached_groups(pairs, groups);
  EXPECT_EQ(score.pairs, expected.at("pairs").get<int64_t>());
  EXPECT_NEAR(score.accuracy, expected.at("accuracy").get<double>(), tolerance);
  EXPECT_NEAR(score.recall, expected.at("recall").get<double>(), tolerance);
  EXPECT_NEAR(score.average, expected.at("average").get<double>(), tolerance);
}

}  // namespace
}  // namespace microemo::eval
