#include "microemo/eval/extract_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "microemo/base/error.h"
#include "microemo/base/files.h"

namespace microemo::eval {
namespace {

using testing::HasSubstr;

/// A model that answers "[happy]" and "positive", and fails on answers that name one of `failing`.
struct ModelExtraction : testing::Test {
  TemporaryFolder folder;
  std::set<std::string> failing;
  int64_t requests = 0, done = 0;
  AnswerFile file{"answers.jsonl", "", "answer", {}};

  void answers(const std::vector<std::string>& texts) {
    for (size_t i = 0; i < texts.size(); ++i) file.answers.push_back({"id" + std::to_string(i), texts[i], int64_t(i + 1)});
  }

  HttpReply reply(const HttpRequest& request) {
    ++requests;
    for (const std::string& text : failing)
      if (request.body.find(text) != std::string::npos) return {500, "broken", "", -1};
    const bool sentiment = request.body.find("three words") != std::string::npos;
    const Json message = {{"message", {{"content", sentiment ? "positive" : "Output: [Happy]"}}}};
    return {200, Json{{"choices", Json::array({message})}}.dump(), "", -1};
  }

  std::vector<Json> run(bool sentiment = false, bool replay = false) {
    EndpointOptions options;
    options.url = "http://somewhere/v1";
    options.model = "m";
    options.cache = folder.path();
    options.replay = replay;
    options.tries = 1;
    Endpoint endpoint(options, [this](const HttpRequest& request) { return reply(request); },
                      {[] { return 0.0; }, [](double) {}});
    return extract_by_model(file, endpoint, "m", 0, sentiment, [this] { ++done; });
  }

  std::string failure(bool replay = false) {
    try {
      run(false, replay);
    } catch (const Error& error) {
      return std::string(kind_name(error.kind())) + ": " + error.message();
    }
    return "";
  }
};

TEST_F(ModelExtraction, NamesModelAndOutput) {
  answers({"He smiles."});
  const std::vector<Json> lines = run(true);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0], Json::parse(R"({"id":"id0","labels":["happy"],"sentiment":"positive","extractor":"mertools-1:m",)"
                                  R"("output":{"labels":"Output: [Happy]","sentiment":"positive"}})"));
  EXPECT_EQ(done, 1);
}

TEST_F(ModelExtraction, AsksNothingAboutAnEmptyAnswer) {
  answers({"", " \n"});
  EXPECT_EQ(run(true)[1]["labels"], Json::array());
  EXPECT_EQ(requests, 0);
}

TEST_F(ModelExtraction, GoesOnAfterAFailureAndThenWhereItStopped) {
  answers({"one", "two", "three"});
  failing = {"two"};
  EXPECT_THAT(failure(), HasSubstr("environment: 1 of 3 answers of answers.jsonl have no reply: id1; the last reason"));
  EXPECT_EQ(requests, 3);
  failing.clear();
  EXPECT_EQ(run().size(), 3u);
  EXPECT_EQ(requests, 4);
}

TEST_F(ModelExtraction, StopsWhenThreeAnswersFailOneAfterAnother) {
  answers({"one", "two", "three", "four", "five", "six"});
  failing = {"two", "three", "four"};
  EXPECT_THAT(failure(), HasSubstr("5 of 6 answers"));
  EXPECT_EQ(requests, 4);
}

TEST_F(ModelExtraction, ReplaysWhatWasKeptAndNothingElse) {
  answers({"one"});
  const std::vector<Json> lines = run();
  EXPECT_EQ(run(false, true), lines);
  EXPECT_EQ(requests, 1);
  answers({"two"});
  EXPECT_THAT(failure(true), HasSubstr("data: no reply to this request was kept"));
  EXPECT_EQ(requests, 1);
}

TEST(ModelOutputs, AreReadWithoutAskingAnyone) {
  const AnswerFile file{"o.jsonl", "", "answer", {{"a", "Output: [Happy, sad]", 1}, {"b", "", 2}}};
  const std::vector<Json> lines = read_outputs(file, false, [] {});
  EXPECT_EQ(lines[0]["labels"], Json({"happy", "sad"}));
  EXPECT_EQ(lines[0]["extractor"], "mertools-1");
  EXPECT_EQ(lines[1]["labels"], Json::array());
  EXPECT_EQ(read_outputs({"o.jsonl", "", "answer", {{"a", "Output: positive", 1}}}, true, [] {})[0]["sentiment"], "positive");
}

TEST(RepeatFiles, AreNumberedWhenThereAreSeveral) {
  EXPECT_EQ(repeat_path("a/labels.jsonl", 0, 1), "a/labels.jsonl");
  EXPECT_EQ(repeat_path("a/labels.jsonl", 1, 3), "a/labels.2.jsonl");
}

TEST(Spreads, AreThoseOfASample) {
  const Spread spread = spread_of({1, 2, 3, 4});
  EXPECT_DOUBLE_EQ(spread.mean, 2.5);
  EXPECT_DOUBLE_EQ(spread.deviation, std::sqrt(5.0 / 3.0));
  EXPECT_TRUE(std::isnan(spread_of({1}).deviation));
  EXPECT_THROW(spread_of({}), Error);
}

}  // namespace
}  // namespace microemo::eval
