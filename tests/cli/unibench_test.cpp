#include <gmock/gmock.h>

#include "formats/support.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/eval/metric_name.h"
#include "microemo/eval/unibench.h"
#include "support/command.h"

namespace microemo {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string wheels = test::data_folder() / "eval" / "wheels";

/// Files of whole splits, in which every second item is right.
struct UniBenchCommand : ::testing::Test {
  TemporaryFolder place;

  static std::string right(const eval::UniBenchSet& set) {
    return set.metric == "sentiment-waf" ? "positive" : set.labels.empty() ? "happy" : set.labels[0];
  }
  void make(const std::string& name, int64_t missing = 0) const {
    const eval::UniBenchSet& set = eval::unibench_set(name);
    const bool valences = set.metric == "sentiment-waf";
    std::string truths = "name,openset\n", predictions = truths;
    for (int64_t i = 0; i < set.items - missing; ++i) {
      truths += fmt::format("clip{},{}\n", i, valences ? (i % 2 == 0 ? "1.5" : "-1") : right(set));
      predictions += fmt::format("clip{},{}\n", i, valences || i % 2 == 0 ? right(set) : "xyzzy");
    }
    std::filesystem::create_directories(place.path() / "sets" / name);
    test::write(place.path() / "sets" / name / "truths.csv", truths);
    test::write(place.path() / "sets" / name / "predictions.csv", predictions);
  }
  test::CommandResult unibench(std::vector<std::string> words) const {
    words.insert(words.begin(), {MICROEMO_BINARY, "--quiet", "unibench"});
    words.insert(words.end(), {"--bootstrap", "10"});
    return test::run_command(words, {.folder = place.path()});
  }
  void expect_refused(const std::vector<std::string>& words, ErrorKind kind, const std::string& reason) const {
    const test::CommandResult result = unibench(words);
    EXPECT_EQ(result.exit_code, exit_code(kind)) << result.standard_error;
    EXPECT_THAT(result.standard_error, AllOf(HasSubstr(reason), HasSubstr("  next  ")));
    EXPECT_EQ(result.standard_output, "");
  }
};

TEST_F(UniBenchCommand, NamesWhatIsMissingAndGivesNoMeanOfFewer) {
  make("cmumosi");
  make("sims");
  const test::CommandResult result = unibench({"sets"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(
      result.standard_output,
      HasSubstr("2 of 9 sets; no mean of the nine without mer2023, mer2024, meld, iemocapfour, cmumosei, simsv2, ovmerdplus"));
  const Json json = Json::parse(unibench({"sets", "--json"}).standard_output);
  EXPECT_EQ(json["mean"], Json());
  EXPECT_EQ(json["missing"].size(), 7u);
  EXPECT_EQ(json["sets"].size(), 2u);
}

TEST_F(UniBenchCommand, AScoreThatIsNoneLeavesNoMean) {
  for (const eval::UniBenchSet& set : eval::unibench_sets()) make(set.name);
  const test::CommandResult result = unibench({"sets", "--wheels", wheels, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json json = Json::parse(result.standard_output);
  EXPECT_EQ(json["missing"], Json::array());
  EXPECT_EQ(json["sets"]["mer2023"]["score"], Json()) << "the miniature wheels know no 'worried'";
  EXPECT_EQ(json["mean"], Json());
}

TEST_F(UniBenchCommand, TheMeanIsThatOfTheNinePrimaryMetrics) {
  MICROEMO_SKIP_WITHOUT_EMER();
  for (const eval::UniBenchSet& set : eval::unibench_sets()) make(set.name);
  const test::CommandResult result = unibench({"sets", "--wheels", test::emer_folder(), "--json", "--csv", "table.csv"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json json = Json::parse(result.standard_output);
  EXPECT_EQ(json["missing"], Json::array());
  double sum = 0;
  for (const eval::UniBenchSet& set : eval::unibench_sets()) {
    const Json& of = json["sets"][set.name];
    EXPECT_EQ(of["metric"], set.metric);
    EXPECT_EQ(of["split"], set.name + " test");
    EXPECT_EQ(of["extractor"], "given labels");
    EXPECT_EQ(of["wheel_release"].is_null(), !eval::needs_wheel(eval::parse_metric(set.metric)));
    EXPECT_EQ(of["beside"].size(), set.others.size());
    ASSERT_TRUE(of["score"].is_number()) << set.name;
    sum += of["score"].get<double>();
  }
  EXPECT_DOUBLE_EQ(json["mean"].get<double>(), sum / 9);
  EXPECT_THAT(read_file(place.path() / "table.csv"),
              AllOf(HasSubstr("set,metric,n,score,low,high,wheel_release,extractor,data_version,split\n"), HasSubstr("\nsims,")));
}

TEST_F(UniBenchCommand, TakesSetsFromAnywhere) {
  make("sims");
  std::filesystem::rename(place.path() / "sets/sims/predictions.csv", place.path() / "p.csv");
  const test::CommandResult result = unibench({"--set", "sims", "p.csv", "sets/sims/truths.csv", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(Json::parse(result.standard_output)["sets"]["sims"]["n"], 457);
}

TEST_F(UniBenchCommand, TellsWhenSetsAreOfSeveralExtractors) {
  make("sims");
  make("cmumosi");
  std::string lines;
  for (int i = 0; i < 457; ++i)
    lines += fmt::format("{{\"id\":\"clip{}\",\"sentiment\":\"positive\",\"extractor\":\"m:1\"}}\n", i);
  std::filesystem::remove(place.path() / "sets/sims/predictions.csv");
  test::write(place.path() / "sets/sims/predictions.jsonl", lines);
  EXPECT_THAT(unibench({"sets"}).standard_output, HasSubstr("the labels are of several extractors: given labels + m:1"));
}

TEST_F(UniBenchCommand, RefusesWhatIsNoSet) {
  make("sims");
  expect_refused({}, ErrorKind::config, "there is no set to score");
  expect_refused({"none"}, ErrorKind::data, "the folder cannot be read");
  expect_refused({"--set", "simms", "p.csv", "t.csv"}, ErrorKind::config, "no set 'simms'");
  expect_refused({"sets", "--set", "sims", "p.csv", "t.csv"}, ErrorKind::config, "'sims' is named twice");
  std::filesystem::rename(place.path() / "sets/sims", place.path() / "sets/SIMS");
  expect_refused({"sets"}, ErrorKind::data, "no set 'SIMS'");
}

TEST_F(UniBenchCommand, RefusesFilesThatAreMissingOrTwice) {
  make("sims");
  test::write(place.path() / "sets/sims/truths.jsonl", "");
  expect_refused({"sets"}, ErrorKind::data, "there are several truths: truths.csv, truths.jsonl");
  std::filesystem::remove(place.path() / "sets/sims/truths.jsonl");
  std::filesystem::remove(place.path() / "sets/sims/predictions.csv");
  expect_refused({"sets"}, ErrorKind::data, "there are no predictions");
}

TEST_F(UniBenchCommand, RefusesAPartOfASplit) {
  make("sims", 1);
  expect_refused({"sets"}, ErrorKind::data, "there are 456 truths, and the test split of sims has 457");
}

TEST_F(UniBenchCommand, RefusesSetsOfWheelsWithoutWheels) {
  make("mer2023");
  expect_refused({"sets"}, ErrorKind::config, "needs the emotion wheels of MERTools");
}

TEST_F(UniBenchCommand, RefusesToOverwriteWhatItReads) {
  make("sims");
  expect_refused({"sets", "--csv", "sets/sims/truths.csv"}, ErrorKind::config, "would overwrite a file that is read");
}

}  // namespace
}  // namespace microemo
