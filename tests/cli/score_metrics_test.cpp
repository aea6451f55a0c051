#include "formats/support.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "support/command.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;

const std::string wheels = test::data_folder() / "eval" / "wheels";

struct ScoreMetrics : ::testing::Test {
  TemporaryFolder place;

  ScoreMetrics() {
    file("truth.csv", "name,openset\na,\"['glad', 'keen']\"\nb,[gloomy]\nc,[neutral]\n");
    file("predictions.jsonl",
         "{\"name\":\"c\",\"openset\":[]}\n{\"name\":\"a\",\"openset\":[\"Jolly\"]}\n{\"name\":\"b\",\"openset\":[\"gloom\","
         "\"xyzzy\"]}\n");
  }
  void file(const std::string& name, const std::string& text) const { test::write(place.path() / name, text); }
  test::CommandResult score(std::vector<std::string> words, const std::string& predictions = "predictions.jsonl",
                            const std::string& truths = "truth.csv") const {
    words.insert(words.begin(), {MICROEMO_BINARY, "score", predictions, truths});
    return test::run_command(words, {.folder = place.path()});
  }
  Json json(std::vector<std::string> words) const {
    words.push_back("--json");
    return parse_json(score(words).standard_output, "standard output");
  }
  void expect_refused(const std::vector<std::string>& words, ErrorKind kind, const std::string& reason) const {
    const test::CommandResult result = score(words);
    EXPECT_EQ(result.exit_code, exit_code(kind)) << result.standard_error;
    EXPECT_THAT(result.standard_error, HasSubstr(reason));
    EXPECT_EQ(result.standard_output, "");
  }
};

TEST_F(ScoreMetrics, PrintAnObjectFromNameToNumbers) {
  const Json scores =
      json({"--metric", "ew2026-w1-l1", "--metric", "hit2025-w1-l1", "--metric", "ew2026-l1", "--wheels", wheels});
  ASSERT_EQ(scores.size(), 3u);
  const Json& one = scores.at("ew2026-w1-l1");
  EXPECT_EQ(one.at("n"), 2);
  EXPECT_EQ(one.at("precision"), 1.0);
  EXPECT_EQ(one.at("recall"), 1.0);
  EXPECT_EQ(one.at("f_score"), 1.0);
  EXPECT_EQ(one.at("interval").at(1), 1.0);
  EXPECT_EQ(one.at("unknown_labels").at("count"), 2);
  EXPECT_EQ(one.at("unknown_labels").at("distinct"), 2);
  EXPECT_EQ(one.at("unknown_labels").at("predicted"), Json({{"xyzzy", 1}}));
  EXPECT_FALSE(one.contains("n_per_wheel"));
  EXPECT_EQ(scores.at("hit2025-w1-l1").at("value"), 1.0);
  EXPECT_EQ(scores.at("ew2026-l1").at("n_per_wheel").size(), 5u);
}

TEST_F(ScoreMetrics, NameWheelExtractorDataAndSplit) {
  file("predictions.jsonl",
       "{\"id\":\"a\",\"labels\":[\"Jolly\"],\"extractor\":\"m:1\"}\n{\"id\":\"b\",\"labels\":[],\"extractor\":\"m:1\"}\n"
       "{\"id\":\"c\",\"labels\":[],\"extractor\":\"m:1\"}\n");
  const std::vector<std::string> words{"--metric", "ew2026-w1-l1", "--wheels", wheels, "--per-sample", "items.csv"};
  const Json one = json(words).at("ew2026-w1-l1");
  EXPECT_EQ(one.at("metric"), "ew2026-w1-l1");
  EXPECT_THAT(one.at("wheel_release").get<std::string>(), testing::StartsWith("MERTools (unknown release)@"));
  EXPECT_EQ(one.at("extractor"), "m:1");
  EXPECT_EQ(one.at("data_version"), sha256_file(place.path() / "truth.csv"));
  EXPECT_EQ(one.at("split"), "truth.csv");
  const std::string data = sha256_file(place.path() / "truth.csv");
  EXPECT_THAT(score(words).standard_output, HasSubstr("extractor m:1; data " + data.substr(0, 16) + "; split truth.csv"));
  EXPECT_THAT(read_file(place.path() / "items.csv"), HasSubstr(",m:1," + data + ",truth.csv\n"));
  file("truth.csv", "name,openset,split\na,glad,dev\nb,glad,dev\nc,glad,dev\n");
  EXPECT_EQ(json({"--metric", "waf"}).at("waf").at("split"), "dev");
  EXPECT_EQ(json({"--metric", "waf"}).at("waf").at("wheel_release"), Json());
}

TEST_F(ScoreMetrics, TakeOneNameAnOptionSoThatFilesMayFollow) {
  const test::CommandResult result = test::run_command({MICROEMO_BINARY, "score", "--metric", "ew2026-w1-l1", "predictions.jsonl",
                                                        "--metric", "hit2026-w1-l1", "truth.csv", "--wheels", wheels, "--json"},
                                                       {.folder = place.path()});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(parse_json(result.standard_output, "standard output").size(), 2u);
}

TEST_F(ScoreMetrics, PrintWhatNoOptionNamed) {
  const Json one = json({"--metric", "ew2026-l1", "--wheels", wheels}).at("ew2026-l1");
  EXPECT_EQ(one.at("bootstrap"),
            Json({{"resamples", 1000}, {"confidence", 0.95}, {"seed", 0}, {"clusters", "clip"}, {"cluster_count", 3}}));
  EXPECT_EQ(one.at("wheels").at("release"), "unknown");
  EXPECT_EQ(one.at("predictions").at("labels_from"), Json::array({"openset"}));
  EXPECT_EQ(one.at("truths").at("sha256").get<std::string>(), sha256_file(place.path() / "truth.csv"));
  EXPECT_THAT(one.at("notes")[0].get<std::string>(), HasSubstr("are of no known release; scored with the rules of 2026"));
}

TEST_F(ScoreMetrics, ANumberThatIsNoneIsNull) {
  file("truth.csv", "name,openset\na,glad\n");
  file("predictions.jsonl", "{\"id\":\"a\",\"labels\":[\"blue\"]}\n");
  const Json one = json({"--metric", "ew2025-w1-l1", "--wheels", wheels}).at("ew2025-w1-l1");
  EXPECT_TRUE(one.at("f_score").is_null());
  EXPECT_EQ(one.at("precision"), 0.0);
  EXPECT_EQ(one.at("interval"), Json::array({nullptr, nullptr}));
}

TEST_F(ScoreMetrics, TellWhenNothingIsScored) {
  file("truth.csv", "name,openset,val\na,[neutral],0\nb,[],0\n");
  const Json scores =
      json({"--metric", "ew2026-l1", "--metric", "hit2025-w1-l1", "--metric", "sentiment-acc", "--wheels", wheels});
  for (const char* name : {"ew2026-l1", "hit2025-w1-l1", "sentiment-acc"}) {
    EXPECT_EQ(scores.at(name).at("n"), 0);
    EXPECT_THAT(scores.at(name).at("notes").dump(), HasSubstr(std::string(name) + " scores nothing")) << name;
  }
  EXPECT_TRUE(scores.at("hit2025-w1-l1").at("value").is_null());
  EXPECT_EQ(scores.at("ew2026-l1").at("f_score"), 0.0);
}

TEST_F(ScoreMetrics, OneResampleIsAnIntervalWithoutWidth) {
  const Json interval = json({"--metric", "ew2026-l1", "--wheels", wheels, "--bootstrap", "1"}).at("ew2026-l1").at("interval");
  EXPECT_EQ(interval.at(0), interval.at(1));
}

TEST_F(ScoreMetrics, WithoutResamplesTheIntervalIsNull) {
  EXPECT_TRUE(json({"--metric", "ew2026-l1", "--wheels", wheels, "--bootstrap", "0"}).at("ew2026-l1").at("interval").is_null());
}

TEST_F(ScoreMetrics, PredictionsWithoutATruthAreListedAndNotScored) {
  file("predictions.jsonl",
       "{\"id\":\"a\",\"labels\":[\"glad\"]}\n{\"id\":\"b\",\"labels\":[]}\n{\"id\":\"c\",\"labels\":[]}\n{\"id\":\"zz\","
       "\"labels\":[]}\n");
  const test::CommandResult result = score({"--metric", "ew2026-l1", "--wheels", wheels, "--json"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_error, HasSubstr("1 of 4 predictions have no truth and are not scored: zz"));
  EXPECT_THAT(result.standard_output, HasSubstr("1 of 4 predictions have no truth and are not scored: zz"));
}

TEST_F(ScoreMetrics, PrintATableForPeople) {
  const test::CommandResult result = score({"--metric", "ew2026-w1-l1", "--metric", "ew2026-l1", "--wheels", wheels});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("ew2026-w1-l1  2"));
  EXPECT_THAT(result.standard_output, HasSubstr("interval: 95 % bootstrap over clips, 1000 resamples, seed 0"));
  EXPECT_THAT(result.standard_output, HasSubstr("intervals over 3 clips say little"));
  EXPECT_THAT(result.standard_output, HasSubstr("unknown to ew2026-w1-l1: neutral (1), xyzzy (1)"));
}

TEST_F(ScoreMetrics, OfSentimentAndSingleLabelsNeedNoWheel) {
  file("truth.csv", "name,openset\na,1.5\nb,-2\nc,0\n");
  file("predictions.jsonl",
       "{\"id\":\"a\",\"labels\":[\"positive\"]}\n{\"id\":\"b\",\"labels\":[\"neutral\"]}\n{\"id\":\"c\",\"labels\":[]}\n");
  const Json scores = json({"--metric", "sentiment-acc", "--metric", "sentiment-waf", "--metric", "war"});
  EXPECT_EQ(scores.at("sentiment-acc").at("n"), 2);
  EXPECT_EQ(scores.at("sentiment-acc").at("value"), 1.0);
  EXPECT_EQ(scores.at("war").at("value"), 0.0);
}

TEST_F(ScoreMetrics, WriteTablesOfItemsClassesAndConfusion) {
  const test::CommandResult result =
      score({"--metric", "ew2026-w1-l1", "--metric", "ew2026-w2-l1", "--wheels", wheels, "--per-sample", "items.csv",
             "--per-class", "classes.csv", "--confusion", "confusion.csv"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(read_file(place.path() / "items.csv"), HasSubstr("b,gloomy,gloom; xyzzy,gloomy=cross,gloom=cross; xyzzy=,1,1"));
  EXPECT_THAT(read_file(place.path() / "classes.csv"), HasSubstr("W1-L1,cross,1,1,1,1,1,1,"));
  EXPECT_THAT(read_file(place.path() / "confusion.csv"), HasSubstr("W1-L1,glad,glad,1,"));
}

TEST_F(ScoreMetrics, RefuseToWriteTablesOverWhatTheyRead) {
  for (const char* option : {"--per-sample", "--per-class", "--confusion"})
    expect_refused({"--metric", "ew2026-w1-l1", "--wheels", wheels, option, "truth.csv"}, ErrorKind::config,
                   std::string(option) + " would overwrite a file that is read");
  EXPECT_THAT(read_file(place.path() / "truth.csv"), testing::StartsWith("name,openset\n"));
}

TEST_F(ScoreMetrics, RefuseTablesOfTwoReleasesOrNone) {
  expect_refused({"--metric", "ew2025-l1", "--metric", "ew2026-l1", "--wheels", wheels, "--per-class", "c.csv"},
                 ErrorKind::config, "are of one release");
  file("truth.csv", "name,openset\na,glad\nb,gloomy\nc,calm\n");
  expect_refused({"--metric", "war", "--confusion", "c.csv"}, ErrorKind::config, "need a metric of the emotion wheels");
  expect_refused({"--per-class", "c.csv"}, ErrorKind::config, "--per-class does nothing without --metric");
}

TEST_F(ScoreMetrics, OfASetOfUniBenchAreItsOwn) {
  std::string truths = "name,openset\n", predictions = truths;
  for (int i = 0; i < 686; ++i) {
    truths += fmt::format("clip{},{}\n", i, i % 2 == 0 ? "1.5" : "-1");
    predictions += fmt::format("clip{},positive\n", i);
  }
  file("t.csv", truths);
  file("p.csv", predictions);
  const test::CommandResult result = score({"--dataset", "cmumosi", "--json"}, "p.csv", "t.csv");
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json scores = parse_json(result.standard_output, "standard output");
  EXPECT_EQ(scores.at("sentiment-acc").at("value"), 0.5);
  EXPECT_DOUBLE_EQ(scores.at("sentiment-waf").at("value").get<double>(), 1.0 / 3);
}

TEST_F(ScoreMetrics, RefuseASetBesideAMetric) {
  expect_refused({"--dataset", "sims", "--metric", "war"}, ErrorKind::config,
                 "--dataset sims has metrics of its own: sentiment-waf");
}

TEST_F(ScoreMetrics, RefuseATruthWithoutPrediction) {
  file("truth.csv", "name,openset\na,glad\nq,glad\n");
  expect_refused({"--metric", "ew2026-l1", "--wheels", wheels}, ErrorKind::data, "1 of 2 truths have no prediction: q");
}

TEST_F(ScoreMetrics, RefuseAnUnknownName) {
  expect_refused({"--metric", "ew2027-l1", "--wheels", wheels}, ErrorKind::config, "there is no metric 'ew2027-l1'");
}

TEST_F(ScoreMetrics, RefuseANameTwice) {
  expect_refused({"--metric", "war", "--metric", "war"}, ErrorKind::config, "'war' is named twice");
}

TEST_F(ScoreMetrics, RefuseAWheelMetricWithoutWheels) {
  expect_refused({"--metric", "war", "--metric", "ew2026-l1"}, ErrorKind::config, "'ew2026-l1' needs the emotion wheels");
}

TEST_F(ScoreMetrics, RefuseGroupingsThatAreNotNamed) {
  expect_refused({"--metric", "mer2024-gpt"}, ErrorKind::config, "'mer2024-gpt' needs cached groupings");
}

TEST_F(ScoreMetrics, RefuseOptionsThatChangeNothing) {
  expect_refused({"--metric", "war", "--wheels", wheels}, ErrorKind::config, "none of the metrics uses --wheels");
  expect_refused({"--metric", "war", "--synonyms", "x.zip"}, ErrorKind::config, "none of the metrics uses --synonyms");
  expect_refused({"--metric", "war", "--wheel", "x.csv"}, ErrorKind::config, "--wheel does nothing beside --metric");
  expect_refused({"--wheels", wheels}, ErrorKind::config, "--wheels does nothing without --metric");
  expect_refused({"--clusters", "clip"}, ErrorKind::config, "--clusters does nothing without --metric");
}

TEST_F(ScoreMetrics, RefuseClustersThatAreNotNamedEverywhere) {
  expect_refused({"--metric", "ew2026-l1", "--wheels", wheels, "--clusters", "speaker"}, ErrorKind::data,
                 "3 of 3 truths name no speaker: a, b, c");
}

TEST_F(ScoreMetrics, RefuseNumbersOfResamplesThatAreNone) {
  for (const char* resamples : {"-1", "1.5", "x", "", "1e3", "1000001"})
    expect_refused({"--metric", "war", "--bootstrap", resamples}, ErrorKind::config, "--bootstrap");
}

TEST_F(ScoreMetrics, RefuseSeedsThatDoNotFit) {
  for (const char* seed : {"-1", "1.5", "x", "", " 3", "18446744073709551616", "99999999999999999999999"})
    expect_refused({"--metric", "war", "--seed", seed}, ErrorKind::config, "--seed");
}

TEST_F(ScoreMetrics, RefuseTwoTablesInOneFile) {
  expect_refused({"--metric", "ew2026-l1", "--wheels", wheels, "--per-sample", "x.csv", "--confusion", "./x.csv"},
                 ErrorKind::config, "--per-sample and --confusion name one file");
  EXPECT_FALSE(std::filesystem::exists(place.path() / "x.csv"));
}

struct ScoreTexts : ScoreMetrics {};

TEST_F(ScoreTexts, OverTimeWeighBySeconds) {
  file("t.jsonl",
       R"({"id":"x","utterances":[{"start_s":0,"end_s":3,"labels":["happy"]},{"start_s":3,"end_s":4,"labels":["sad"]}]})");
  file("p.jsonl", R"({"id":"x","utterances":[{"start_s":0,"end_s":4,"answer":"The person feels happy."}]})");
  const test::CommandResult result = score({"--timeline", "--json"}, "p.jsonl", "t.jsonl");
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json json = parse_json(result.standard_output, "standard output");
  EXPECT_EQ(json.at("groupings")[0].at("f"), 0.75);
  EXPECT_THAT(score({"--timeline"}, "p.jsonl", "t.jsonl").standard_output, HasSubstr("0.7500"));
}

TEST_F(ScoreTexts, OfExplanationsNeedNoJudge) {
  file("t.csv", "name,reason\na,\"He smiles, his voice is loud.\"\n");
  file("p.jsonl", "{\"id\":\"a\",\"answer\":\"A smile: the person feels happy.\",\"labels\":[\"happy\"]}\n");
  const test::CommandResult result = score({"--explanations", "--json"}, "p.jsonl", "t.csv");
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json json = parse_json(result.standard_output, "standard output");
  EXPECT_EQ(json.at("clues").at("visual").at("coverage"), 1.0);
  EXPECT_EQ(json.at("clues").at("acoustic").at("coverage"), 0.0);
  EXPECT_TRUE(json.at("clues").at("lexical").at("coverage").is_null());
  EXPECT_EQ(json.at("agreement").at("f"), 1.0);
  EXPECT_TRUE(json.at("judge").is_null());
  EXPECT_THAT(score({"--explanations"}, "p.jsonl", "t.csv").standard_output,
              HasSubstr("; extractor given labels; data " + sha256_file(place.path() / "t.csv").substr(0, 16) + "; split t.csv"));
}

TEST_F(ScoreTexts, TakeKeptAnswersOfAJudge) {
  file("t.csv", "name,reason\na,x\nb,x\n");
  file("p.csv", "name,reason\na,x\nb,x\n");
  file("j.jsonl", "{\"id\":\"a\",\"answer\":\"9\"}\n{\"id\":\"b\",\"answer\":\"6\"}\n");
  const test::CommandResult result = score({"--explanations", "--judge", "j.jsonl"}, "p.csv", "t.csv");
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("judge: mean 7.5 of 10 over 2 items"));
  file("j.jsonl", "{\"id\":\"a\",\"answer\":\"9\"}\n");
  EXPECT_THAT(score({"--explanations", "--judge", "j.jsonl"}, "p.csv", "t.csv").standard_error,
              HasSubstr("1 of 2 items have no judged answer: b"));
}

TEST_F(ScoreTexts, AreOneWayToScore) {
  expect_refused({"--timeline", "--explanations"}, ErrorKind::config, "are three ways to score");
  expect_refused({"--timeline", "--metric", "war"}, ErrorKind::config, "are three ways to score");
  expect_refused({"--judge", "j.jsonl"}, ErrorKind::config, "--judge does nothing without --explanations");
  expect_refused({"--explanations", "--per-sample", "x.csv"}, ErrorKind::config, "--per-sample does nothing beside --timeline");
}

TEST_F(ScoreMetrics, MeetThePublishedNumbers) {
  MICROEMO_SKIP_WITHOUT_EMER();
  const std::string folder = test::emer_folder();
  const test::CommandResult result = score({"--metric", "mer2024-gpt", "--synonyms", folder + "/openset-synonym.zip", "--metric",
                                            "ew2025-m1", "--wheels", folder, "--json", "--bootstrap", "0"},
                                           folder + "/predict-openset.csv", folder + "/check-openset.csv");
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json scores = parse_json(result.standard_output, "standard output");
  EXPECT_EQ(scores.at("mer2024-gpt").at("average").get<double>(), 0.5397841365461847);
  EXPECT_EQ(scores.at("mer2024-gpt").at("n"), 332);
  EXPECT_EQ(scores.at("ew2025-m1").at("n"), 331);
  EXPECT_EQ(scores.at("ew2025-m1").at("wheels").at("release"), "2025");
}

}  // namespace
}  // namespace microemo
