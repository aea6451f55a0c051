#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/clips.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"

namespace microemo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// Two evaluations of a clip of two seconds with two utterances.
class CompareCommand : public testing::Test {
 protected:
  void SetUp() override {
    clips_.make("a.mp4");
    clips_.write(
        "clips.jsonl",
        R"({"id": "a", "video": "a.mp4", "utterances": [{"start_s": 0, "end_s": 0.9, "text": "Really?"}, {"start_s": 1, "end_s": 1.9, "text": "<Yes>."}]})");
    evaluation("first", "happy", "happy");
    evaluation("second", "happy", "sad");
  }
  void evaluation(const std::string& name, const std::string& one, const std::string& two,
                  const std::string& truth = "sad") const {
    const auto folder = clips_.path(name);
    std::filesystem::create_directories(folder);
    const auto line = [&](int number, const std::string& label, const std::string& right) {
      return Json{{"id", "a/" + std::to_string(number)}, {"clip", "a"}, {"labels", {label}}, {"truth", {right}}}.dump() + "\n";
    };
    write_file_atomic(folder / "labels.jsonl", line(0, one, "happy") + line(1, two, truth));
    const auto answer = [](int number, const std::string& label) {
      return Json{{"clip", "a"}, {"utterance", number}, {"answer", "The person feels " + label + "."}}.dump() + "\n";
    };
    write_file_atomic(folder / "answers.jsonl", answer(0, one) + answer(1, two));
    write_json(folder / "scores.json", {{"manifest", clips_.path("clips.jsonl").string()}});
  }
  void name(const std::string& folder, const std::string& extractor, const Json& scores = Json::object()) const {
    std::string lines;
    read_jsonl(clips_.path(folder + "/labels.jsonl"), [&](Json line, int64_t) {
      line["extractor"] = extractor;
      lines += line.dump() + "\n";
    });
    write_file_atomic(clips_.path(folder + "/labels.jsonl"), lines);
    Json all = read_json(clips_.path(folder + "/scores.json"));
    all.update(scores);
    write_json(clips_.path(folder + "/scores.json"), all);
  }
  test::CommandResult compare(std::vector<std::string> words) const {
    words.insert(words.begin(), {MICROEMO_BINARY, "compare"});
    return test::run_command(words, {.folder = clips_.path("")});
  }

  test::Clips clips_;
};

TEST_F(CompareCommand, TellsScoresTestsAndDifferences) {
  const test::CommandResult result = compare({"first", "second"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, AllOf(HasSubstr("first"), HasSubstr("0.500"), HasSubstr("+0.500"),
                                            HasSubstr("paired randomisation"), HasSubstr("a/1")));
  EXPECT_THAT(result.standard_output, Not(HasSubstr("a/0")));
}

TEST_F(CompareCommand, PrintsJson) {
  const test::CommandResult result = compare({"first", "second", "--json"});
  const Json json = Json::parse(result.standard_output);
  EXPECT_EQ(json["pairs"], 2);
  EXPECT_EQ(json["evaluations"][1]["f_score"], 1.0);
  EXPECT_EQ(json["against_first"][0]["difference"], 0.5);
  EXPECT_EQ(json["differences"][0]["id"], "a/1");
  EXPECT_EQ(json["differences"][0]["labels"], Json::array({Json::array({"happy"}), Json::array({"sad"})}));
}

TEST_F(CompareCommand, WritesAPageWithFramesWordsAndAnswers) {
  const test::CommandResult result = compare({"first", "second", "--html", "page.html"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const std::string page = read_file(clips_.path("page.html"));
  EXPECT_THAT(page, AllOf(HasSubstr("data:image/png;base64,"), HasSubstr("&lt;Yes&gt;."), HasSubstr("The person feels sad."),
                          HasSubstr("1.00 to 1.90 s"), HasSubstr("a face was found in 0 of 3 frames")));
}

TEST_F(CompareCommand, TakesTheOnlyEvaluationOfARun) {
  std::filesystem::create_directories(clips_.path("run/eval"));
  std::filesystem::rename(clips_.path("first"), clips_.path("run/eval/test-1"));
  EXPECT_EQ(compare({"run", "second"}).exit_code, 0);
  std::filesystem::copy(clips_.path("run/eval/test-1"), clips_.path("run/eval/test-2"));
  const test::CommandResult result = compare({"run", "second"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("the run has 2 evaluations"));
}

TEST_F(CompareCommand, DrawsSpeakersWhereEveryUtteranceNamesOne) {
  EXPECT_EQ(Json::parse(compare({"first", "second", "--json"}).standard_output)["clusters"], "clip");
  std::string lines;
  read_jsonl(clips_.path("first/labels.jsonl"), [&](Json line, int64_t number) {
    line["speaker"] = "s" + std::to_string(number);
    lines += line.dump() + "\n";
  });
  clips_.write("first/labels.jsonl", lines);
  const test::CommandResult result = compare({"first", "second"});
  EXPECT_THAT(result.standard_output, HasSubstr("bootstrap over speakers"));
  const Json json = Json::parse(compare({"first", "second", "--json"}).standard_output);
  EXPECT_LT(json["evaluations"][0]["interval"][0], json["evaluations"][0]["interval"][1]) << "two speakers of one clip";
}

TEST_F(CompareCommand, DrawsDialoguesBeforeSpeakers) {
  const auto give = [&](const std::vector<std::string>& dialogues) {
    std::string lines;
    read_jsonl(clips_.path("first/labels.jsonl"), [&](Json line, int64_t number) {
      line["speaker"] = "s" + std::to_string(number);
      line["dialogue"] = dialogues[size_t(number - 1)];
      lines += line.dump() + "\n";
    });
    clips_.write("first/labels.jsonl", lines);
    return Json::parse(compare({"first", "second", "--json"}).standard_output);
  };
  const Json both = give({"d", "d"});
  EXPECT_EQ(both["clusters"], "dialogue");
  EXPECT_EQ(both["evaluations"][0]["interval"][0], both["evaluations"][0]["interval"][1]) << "one dialogue";
  EXPECT_EQ(give({"d", ""})["clusters"], "speaker");
}

TEST_F(CompareCommand, NamesWhatAllWereMadeFrom) {
  const Json made = {{"wheel_release", "2025"}, {"extractor", "rules-1"}, {"data_version", "0123"}, {"split", "test"}};
  name("first", "m:1", made);
  name("second", "m:1", made);
  const Json json = Json::parse(compare({"first", "second", "--json"}).standard_output);
  EXPECT_EQ(json["evaluations"][1]["extractor"], "m:1");
  EXPECT_EQ(json["evaluations"][1]["data_version"], "0123");
  EXPECT_EQ(json["evaluations"][1]["split"], "test");
  EXPECT_EQ(json["evaluations"][1]["wheel_release"], json["wheel_release"]);
  EXPECT_THAT(json["wheel_release"].get<std::string>(), testing::StartsWith("microemo@"));
  EXPECT_EQ(json["not_alike"], Json::array());
  EXPECT_THAT(compare({"first", "second", "--html", "page.html"}).standard_output,
              HasSubstr("extractor m:1; data 0123; split test"));
  EXPECT_THAT(read_file(clips_.path("page.html")), HasSubstr("extractor m:1; data 0123; split test"));
}

TEST_F(CompareCommand, RefusesOtherExtractorsWheelsDataAndSplitsUnlessItIsToldTo) {
  const Json made = {{"wheel_release", "2025"}, {"data_version", "0123"}, {"split", "test"}};
  const auto differs = [&](const std::string& extractor, const Json& scores, const std::string& message) {
    name("first", "m:1", made);
    name("second", "m:1", made);
    name("second", extractor, scores);
    const test::CommandResult refused = compare({"first", "second"});
    EXPECT_EQ(refused.exit_code, exit_code(ErrorKind::config)) << refused.standard_output;
    EXPECT_THAT(refused.standard_error, HasSubstr(message));
    const test::CommandResult told = compare({"first", "second", "--despite-differences"});
    EXPECT_EQ(told.exit_code, 0) << told.standard_error;
    EXPECT_THAT(told.standard_output, HasSubstr("not alike: " + message));
  };
  differs("m:2", Json::object(), "extractor: m:1 (first), m:2 (second)");
  differs("m:1", {{"wheel_release", "2026"}}, "wheel of their own scores: 2025 (first), 2026 (second)");
  differs("m:1", {{"data_version", "4567"}}, "data: 0123 (first), 4567 (second)");
  differs("m:1", {{"split", "dev"}}, "split: test (first), dev (second)");
}

TEST_F(CompareCommand, KeepsTheFilesThatItReads) {
  for (const char* file : {"first/labels.jsonl", "second/answers.jsonl", "first/scores.json", "clips.jsonl"}) {
    const std::string before = read_file(clips_.path(file));
    const test::CommandResult result = compare({"first", "second", "--html", file});
    EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config)) << result.standard_error;
    EXPECT_THAT(result.standard_error, HasSubstr("--html would overwrite a file that is read"));
    EXPECT_EQ(read_file(clips_.path(file)), before);
  }
}

TEST_F(CompareCommand, TellsThatTheManifestWasChangedSince) {
  for (const char* folder : {"first", "second"})
    name(folder, "rules-1", {{"data_version", sha256_file(clips_.path("clips.jsonl"))}});
  EXPECT_THAT(compare({"first", "second", "--html", "page.html"}).standard_error, Not(HasSubstr("was changed since")));
  clips_.write("clips.jsonl", read_file(clips_.path("clips.jsonl")) + "\n");
  EXPECT_THAT(compare({"first", "second", "--html", "page.html"}).standard_error, HasSubstr("was changed since"));
  EXPECT_THAT(read_file(clips_.path("page.html")), HasSubstr("was changed since"));
}

TEST_F(CompareCommand, RefusesWhatCannotBeCompared) {
  const auto refused = [&](const std::vector<std::string>& words, ErrorKind kind, const std::string& message) {
    const test::CommandResult result = compare(words);
    EXPECT_EQ(result.exit_code, exit_code(kind)) << result.standard_output;
    EXPECT_THAT(result.standard_error, AllOf(HasSubstr(message), HasSubstr("  next  ")));
  };
  refused({"first"}, ErrorKind::config, "one evaluation has nothing to be compared with");
  refused({"first", "none"}, ErrorKind::data, "this is no evaluation");
  evaluation("third", "happy", "sad", "angry");
  refused({"first", "third"}, ErrorKind::data, "third has other true labels than first: a/1");
  clips_.write("second/labels.jsonl", "{\"id\": \"a/0\"}\n");
  refused({"first", "second"}, ErrorKind::data, "clip");
  const std::string line = read_file(clips_.path("first/labels.jsonl"));
  clips_.write("second/labels.jsonl", line + line);
  refused({"first", "second"}, ErrorKind::data, "the id 'a/0' stands a second time");
  clips_.write("second/labels.jsonl", "not json\n");
  refused({"first", "second"}, ErrorKind::data, "labels.jsonl");
  evaluation("second", "happy", "sad");
  std::filesystem::remove(clips_.path("clips.jsonl"));
  refused({"first", "second", "--html", "page.html"}, ErrorKind::data, "the manifest that was evaluated is not there");
  EXPECT_FALSE(std::filesystem::exists(clips_.path("page.html")));
}

}  // namespace
}  // namespace microemo
