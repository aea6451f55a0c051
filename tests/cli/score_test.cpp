#include "formats/support.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "support/command.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;

struct ScoreCommand : ::testing::Test {
  TemporaryFolder place;

  ScoreCommand() {
    file("truth.csv", "name,openset\na,\"['happy', 'proud']\"\nb,[sad]\nc,[neutral]\n");
    file("predictions.jsonl",
         "{\"id\":\"c\",\"labels\":[]}\n{\"id\":\"a\",\"answer\":\"The person feels "
         "joyful.\"}\n{\"id\":\"b\",\"labels\":[\"sad\"]}\n");
  }
  void file(const std::string& name, const std::string& text) const { test::write(place.path() / name, text); }
  test::CommandResult score(std::vector<std::string> words) const {
    words.insert(words.begin(), {MICROEMO_BINARY, "score"});
    return test::run_command(words, {.folder = place.path()});
  }
};

TEST_F(ScoreCommand, PrintsScoresWheelAndHash) {
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("pair F  0.8333"));
  EXPECT_THAT(result.standard_output, HasSubstr("wheel   microemo"));
  EXPECT_THAT(result.standard_output, HasSubstr("left out because the wheel knows none of their true labels: 1"));
  EXPECT_THAT(result.standard_output, HasSubstr("true labels that the wheel does not know: neutral (1)"));
}

TEST_F(ScoreCommand, PrintsJsonAlone) {
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv", "--json"});
  const Json json = parse_json(result.standard_output, "standard output");
  EXPECT_DOUBLE_EQ(json.at("pair_f").at("value").get<double>(), (2.0 / 3.0 + 1.0) / 2.0);
  EXPECT_EQ(json.at("predictions").at("sha256").get<std::string>(), sha256_file(place.path() / "predictions.jsonl"));
  EXPECT_EQ(json.at("wheel").at("sha256").get<std::string>().size(), 64u);
  EXPECT_EQ(json.at("skipped"), Json::array({"c"}));
}

TEST_F(ScoreCommand, PrintsJsonOfFilesWhoseNamesAreNotUtf8) {
  file("truth\xff.csv", "name,openset\na,[happy]\nb,[sad]\nc,[calm]\n");
  const test::CommandResult result = score({"predictions.jsonl", "truth\xff.csv", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(parse_json(result.standard_output, "standard output").at("truths").at("path"), "truth\ufffd.csv");
}

TEST_F(ScoreCommand, DrawsDialoguesWhereEveryTruthNamesOne) {
  file("t.jsonl",
       "{\"id\":\"a\",\"labels\":[\"happy\"],\"dialogue\":\"d\"}\n"
       "{\"id\":\"b\",\"labels\":[\"sad\"],\"dialogue\":\"d\"}\n");
  file("p.csv", "name,openset\na,happy\nb,angry\n");
  const Json json = parse_json(score({"p.csv", "t.jsonl", "--json"}).standard_output, "standard output");
  EXPECT_EQ(json["bootstrap"]["clusters"], "dialogue");
  EXPECT_EQ(json["pair_f"]["low"], json["pair_f"]["high"]);
}

TEST_F(ScoreCommand, SaysWhenItsOutputIsLost) {
  const test::CommandResult result = test::run_command(
      {"sh", "-c", std::string("exec ") + MICROEMO_BINARY + " score predictions.jsonl truth.csv --json >/dev/full"},
      {.folder = place.path()});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment));
  EXPECT_THAT(result.standard_error, HasSubstr("error (environment): the output cannot be written: No space left on device"));
}

TEST_F(ScoreCommand, RefusesASeedBelowZero) {
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv", "--seed", "-5"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("--seed"));
}

TEST_F(ScoreCommand, RefusesMoreResamplesThanAnyoneWaitsFor) {
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv", "--bootstrap", "2000000000"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("--bootstrap"));
}

TEST_F(ScoreCommand, EndsByASignal) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += fmt::format("{{\"id\": \"clip{}\", \"labels\": [\"happy\", \"word{}\"]}}\n", i, i);
  file("many.jsonl", lines);
  const std::string many = (place.path() / "many.jsonl").string();
  for (const int signal : {SIGTERM, SIGINT})
    EXPECT_EQ(test::interrupt_printing({MICROEMO_BINARY, "score", many, many, "--json"}, signal), 128 + signal);
}

TEST_F(ScoreCommand, WritesARowAPair) {
  ASSERT_EQ(score({"predictions.jsonl", "truth.csv", "--per-sample", "pairs.csv"}).exit_code, 0);
  EXPECT_THAT(read_file(place.path() / "pairs.csv"), HasSubstr("a,happy; proud,joyful,joyful; proud,joyful,0.666667,microemo@"));
}

TEST_F(ScoreCommand, TakesAnotherWheel) {
  file("wheel.csv", "word,group,sector,intensity,forms\nhappy,happy,good,2,sad\n");
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv", "--wheel", "wheel.csv", "--json"});
  const Json json = parse_json(result.standard_output, "standard output");
  EXPECT_EQ(json.at("wheel").at("path"), "wheel.csv");
  EXPECT_DOUBLE_EQ(json.at("pair_f").at("value").get<double>(), 0.5);
}

TEST_F(ScoreCommand, TellsTheReleaseOfAMertoolsFolder) {
  MICROEMO_SKIP_WITHOUT_EMER();
  const std::string wheel = test::emer_folder() / "wheel2026";
  EXPECT_THAT(score({"predictions.jsonl", "truth.csv", "--wheel", wheel}).standard_output, HasSubstr("wheel   MERTools 2026"));
}

TEST_F(ScoreCommand, ShowsExamplesInItsHelp) {
  const test::CommandResult result = score({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, HasSubstr("Examples:\n  microemo score "));
}

TEST_F(ScoreCommand, RefusesMissingAndExtraIds) {
  file("truth.csv", "name,openset\na,[happy]\nz,[sad]\n");
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("1 of 2 truths have no prediction: z; 2 of 3 predictions have no truth: c, b"));
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(ScoreCommand, RefusesAnIdThatStandsTwice) {
  file("predictions.jsonl", "{\"id\":\"a\",\"labels\":[]}\n{\"id\":\"a\",\"labels\":[]}\n");
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("the id 'a' stands on line 1 already\n  where  predictions.jsonl, line 2"));
}

TEST_F(ScoreCommand, RefusesAFileThatIsNotThere) {
  const test::CommandResult result = score({"absent.jsonl", "truth.csv"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("absent.jsonl"));
}

TEST_F(ScoreCommand, RefusesAWheelThatIsNotThere) {
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv", "--wheel", "absent.csv"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("absent.csv"));
}

TEST_F(ScoreCommand, WritesNothingWhenItFails) {
  file("truth.csv", "name,openset\na,[happy]\n");
  score({"predictions.jsonl", "truth.csv", "--per-sample", "pairs.csv"});
  EXPECT_FALSE(std::filesystem::exists(place.path() / "pairs.csv"));
}

TEST_F(ScoreCommand, RefusesAFileForPairsThatCannotBeWritten) {
  const test::CommandResult result = score({"predictions.jsonl", "truth.csv", "--per-sample", "truth.csv/pairs.csv"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment));
}

TEST_F(ScoreCommand, RefusesAMissingWord) { EXPECT_EQ(score({"predictions.jsonl"}).exit_code, exit_code(ErrorKind::config)); }

}  // namespace
}  // namespace microemo
