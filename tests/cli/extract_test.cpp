#include "formats/support.h"
#include "microemo/base/json.h"
#include "support/command.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct ExtractCommand : ::testing::Test {
  TemporaryFolder place;

  ExtractCommand() {
    file("answers.jsonl",
         "{\"id\":\"a\",\"answer\":\"She seems happy, and not angry.\"}\n{\"id\":\"b\",\"answer\":\" \"}\n"
         "{\"id\":\"c\",\"answer\":\"非常难过\"}\n");
    file("truth.csv", "name,openset\na,[happy]\nb,[sad]\nc,[sad]\n");
  }
  void file(const std::string& name, const std::string& text) const { test::write(place.path() / name, text); }
  test::CommandResult run(std::vector<std::string> words) const {
    words.insert(words.begin(), MICROEMO_BINARY);
    return test::run_command(words, {.folder = place.path()});
  }
  void refuses(std::vector<std::string> words, ErrorKind kind, const std::string& message) const {
    const test::CommandResult result = run(words);
    EXPECT_EQ(result.exit_code, exit_code(kind));
    EXPECT_THAT(result.standard_error, HasSubstr(message));
    EXPECT_FALSE(std::filesystem::exists(place.path() / "labels.jsonl"));
  }
};

TEST_F(ExtractCommand, WritesLabelsThatScoreReads) {
  const test::CommandResult result = run({"extract", "answers.jsonl", "--out", "labels.jsonl"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("extractor  rules-1"));
  EXPECT_THAT(result.standard_output, HasSubstr("empty      1 answers: b"));
  EXPECT_EQ(run({"score", "labels.jsonl", "truth.csv"}).exit_code, 0);
}

TEST_F(ExtractCommand, PrintsJsonAlone) {
  const test::CommandResult result = run({"extract", "answers.jsonl", "--out", "labels.jsonl", "--sentiment", "--json"});
  const Json json = parse_json(result.standard_output, "standard output");
  EXPECT_EQ(json.at("extractor"), "rules-1");
  EXPECT_EQ(json.at("empty"), Json::array({"b"}));
  EXPECT_EQ(json.at("labels"), 2);
  EXPECT_EQ(json.at("lexicon").at("sha256").get<std::string>().size(), 64u);
  std::vector<std::string> sentiments;
  read_jsonl(place.path() / "labels.jsonl", [&](const Json& line, int64_t) { sentiments.push_back(line.at("sentiment")); });
  EXPECT_EQ(sentiments, (std::vector<std::string>{"positive", "neutral", "negative"}));
}

TEST_F(ExtractCommand, IsSilentWhenItIsToldTo) {
  EXPECT_THAT(run({"--quiet", "extract", "answers.jsonl", "--out", "labels.jsonl"}).standard_error, IsEmpty());
}

TEST_F(ExtractCommand, RefusesAnIdThatStandsTwice) {
  file("twice.jsonl", "{\"id\":\"a\",\"answer\":\"x\"}\n{\"id\":\"a\",\"answer\":\"y\"}\n");
  refuses({"extract", "twice.jsonl", "--out", "labels.jsonl"}, ErrorKind::data, "1 ids stand more than once: a (lines 1, 2)");
}

TEST_F(ExtractCommand, RefusesTextThatIsNotUtf8) {
  file("latin.csv", "name,reason\na,f\xfcr\n");
  refuses({"extract", "latin.csv", "--out", "labels.jsonl"}, ErrorKind::data, "UTF-8");
}

TEST_F(ExtractCommand, RefusesAColumnThatIsNotThere) {
  file("some.csv", "name,reason\na,happy\n");
  refuses({"extract", "some.csv", "--out", "labels.jsonl", "--column", "french"}, ErrorKind::data, "french");
}

TEST_F(ExtractCommand, RefusesALexiconThatIsNotThere) {
  refuses({"extract", "answers.jsonl", "--out", "labels.jsonl", "--lexicon", "nowhere"}, ErrorKind::data, "emotions.csv");
}

TEST_F(ExtractCommand, RefusesToRunWithoutAnOutput) { refuses({"extract", "answers.jsonl"}, ErrorKind::config, "--out"); }

}  // namespace
}  // namespace microemo
