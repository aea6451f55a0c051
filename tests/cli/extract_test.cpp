#include <algorithm>
#include <atomic>

#include <fmt/format.h>

#include "cli/checkpoint_commands.h"
#include "formats/support.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "support/command.h"
#include "support/http_stub.h"

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
  EXPECT_EQ(json.at("labels"), Json::array({2}));
  EXPECT_EQ(json.at("lexicon").at("sha256").get<std::string>().size(), 64u);
  std::vector<std::string> sentiments;
  read_jsonl(place.path() / "labels.jsonl", [&](const Json& line, int64_t) { sentiments.push_back(line.at("sentiment")); });
  EXPECT_EQ(sentiments, (std::vector<std::string>{"positive", "neutral", "negative"}));
}

TEST_F(ExtractCommand, NamesOtherWordLists) {
  const std::filesystem::path own = std::filesystem::path(MICROEMO_SOURCE_DIR) / "data" / "lexicon";
  std::filesystem::create_directory(place.path() / "lists");
  write_file_atomic(place.path() / "lists/emotions.csv", read_file(own / "emotions.csv") + "blorp,-0.5,,\n");
  write_file_atomic(place.path() / "lists/grammar.csv", read_file(own / "grammar.csv"));
  EXPECT_THAT(run({"extract", "answers.jsonl", "--out", "labels.jsonl", "--lexicon", "lists"}).standard_output,
              HasSubstr("extractor  rules-1:"));
  EXPECT_THAT(read_file(place.path() / "labels.jsonl"), HasSubstr("\"extractor\":\"rules-1:"));
}

TEST_F(ExtractCommand, IsSilentWhenItIsToldTo) {
  EXPECT_THAT(run({"--quiet", "extract", "answers.jsonl", "--out", "labels.jsonl"}).standard_error, IsEmpty());
}

TEST_F(ExtractCommand, RefusesToOverwriteWhatItReads) {
  const std::string answers = read_file(place.path() / "answers.jsonl");
  refuses({"extract", "answers.jsonl", "--out", "./answers.jsonl"}, ErrorKind::config,
          "--out would overwrite a file that is read");
  EXPECT_EQ(read_file(place.path() / "answers.jsonl"), answers);
  refuses({"extract", "answers.jsonl", "--out", "truth.csv", "--truth", "truth.csv"}, ErrorKind::config, "would overwrite");
}

TEST_F(ExtractCommand, RefusesToNameItsLinesOtherwise) {
  for (const char* out : {"labels.csv", "labels.npz", "labels.JSONL", "labels"}) {
    refuses({"extract", "answers.jsonl", "--out", out}, ErrorKind::config, "does not end with .jsonl");
    EXPECT_FALSE(std::filesystem::exists(place.path() / out)) << out;
  }
}

TEST_F(ExtractCommand, RefusesARateThatIsNone) {
  for (const char* rate : {"-1", "nan", "inf", "x"})
    refuses({"extract", "answers.jsonl", "--out", "labels.jsonl", "--rate", rate}, ErrorKind::config,
            fmt::format("{} is not a number of 0 or more", rate));
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

TEST_F(ExtractCommand, ReadsOutputsOfALanguageModel) {
  file("outputs.jsonl", "{\"id\":\"a\",\"answer\":\"Output: [Happy, sad]\"}\n");
  ASSERT_EQ(run({"extract", "outputs.jsonl", "--out", "labels.jsonl", "--extractor", "mertools"}).exit_code, 0);
  EXPECT_EQ(parse_json(read_file(place.path() / "labels.jsonl"), "labels").at("labels"), Json({"happy", "sad"}));
}

TEST_F(ExtractCommand, PrintsTheSetF) {
  const test::CommandResult result = run({"extract", "answers.jsonl", "--out", "labels.jsonl", "--truth", "truth.csv"});
  EXPECT_THAT(result.standard_output, HasSubstr("set F      0.6667 (microemo)")) << result.standard_error;
}

TEST_F(ExtractCommand, RefusesWordsWithoutEffect) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--repeats", "2"},
                                             {"--model", "m"},
                                             {"--chat", "plain"},
                                             {"--reply-cache", "replies"},
                                             {"--temperature", "0"},
                                             {"--wheel", "w.csv"},
                                             {"--extractor", "mertools", "--lexicon", "x"},
                                             {"--extractor", "rules", "--replay"}}) {
    std::vector<std::string> all = {"extract", "answers.jsonl", "--out", "labels.jsonl"};
    all.insert(all.end(), words.begin(), words.end());
    refuses(all, ErrorKind::config, "has no effect");
  }
}

TEST_F(ExtractCommand, RefusesAKeyThatIsNotThere) {
  refuses({"extract", "answers.jsonl", "--out", "labels.jsonl", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m",
           "--reply-cache", "replies", "--key-from", "NO_SUCH_VARIABLE"},
          ErrorKind::config, "NO_SUCH_VARIABLE");
}

/// A model of which every second request is put off.
struct ExtractFromEndpoint : ExtractCommand {
  std::atomic<int> count = 0;
  test::HttpStub stub{[this](const std::string& request) {
    if (++count % 2 == 1) return test::StubReply{.status = 429, .body = "later", .headers = "Retry-After: 1\r\n"};
    const char* labels = request.find("\"seed\":1") != std::string::npos ? "[sad]" : "[happy, sad]";
    return test::StubReply{
        .status = 200, .body = Json{{"choices", {{{"message", {{"content", labels}}}}}}}.dump(), .headers = ""};
  }};

  std::vector<std::string> words(std::vector<std::string> more) const {
    std::vector<std::string> all = {"extract", "answers.jsonl", "--out",  "labels.jsonl", "--model",
                                    "m",       "--reply-cache", "replies"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(ExtractFromEndpoint, AsksRepeatedlyAndReplaysTheSame) {
  const test::CommandResult result = run(words({"--endpoint", stub.url(), "--repeats", "2", "--truth", "truth.csv"}));
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("extractor  mertools-1:m"));
  EXPECT_THAT(result.standard_output, HasSubstr("replies    4 asked for, 0 kept from before"));
  EXPECT_THAT(result.standard_output, HasSubstr(" over 2 repeats (microemo)"));
  EXPECT_EQ(count, 8);
  const std::string first = read_file(place.path() / "labels.1.jsonl"), second = read_file(place.path() / "labels.2.jsonl");
  EXPECT_NE(first, second);
  std::filesystem::remove(place.path() / "labels.1.jsonl");
  const test::CommandResult replay = run(words({"--replay", "--repeats", "2", "--json"}));
  ASSERT_EQ(replay.exit_code, 0) << replay.standard_error;
  EXPECT_EQ(parse_json(replay.standard_output, "standard output").at("replies"), Json({{"asked", 0}, {"kept", 4}}));
  EXPECT_EQ(read_file(place.path() / "labels.1.jsonl"), first);
  EXPECT_EQ(count, 8);
}

TEST_F(ExtractFromEndpoint, NamesTheAnswersWithoutAReply) {
  const test::CommandResult result = run(words({"--endpoint", stub.url(), "--tries", "1"}));
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment));
  EXPECT_THAT(result.standard_error, HasSubstr("have no reply: a"));
  EXPECT_FALSE(std::filesystem::exists(place.path() / "labels.jsonl"));
  EXPECT_EQ(run(words({"--endpoint", stub.url()})).exit_code, 0);
}

TEST_F(ExtractFromEndpoint, RefusesAReplayOfWhatWasNeverAsked) {
  refuses(words({"--replay"}), ErrorKind::data, "no reply to this request was kept");
  EXPECT_EQ(count, 0);
}

/// A small decoder with a tokenizer whose ids are all in its table.
struct ExtractByDecoder : test::CheckpointCommand {
  ExtractByDecoder() {
    std::filesystem::copy(models / "llama", place.path() / "small");
    Json config = read_json(place.path() / "small" / "config.json");
    config["max_position_embeddings"] = 4096;
    write_json(place.path() / "small" / "config.json", config);
    std::string lines;
    for (int i = 0; i < 30; ++i)
      lines += R"({"id": ")" + std::to_string(i) +
               R"(", "utterances": [{"start_s": 0, "end_s": 1, "text": "you came at last", "labels": ["calm"]}]})" + "\n";
    test::write(place.path() / "m.jsonl", lines);
    microemo({"tokenize", "--train", "m.jsonl", "--out", "small/tokenizer.model", "--vocabulary", "90", "--no-bytes"});
    test::write(place.path() / "answers.jsonl", "{\"id\":\"a\",\"answer\":\"She smiles.\"}\n{\"id\":\"b\",\"answer\":\"\"}\n");
  }

  std::vector<std::string> words(std::vector<std::string> more) const {
    std::vector<std::string> all = {"extract",       "answers.jsonl", "--out",  "labels.jsonl", "--decoder",    "small/",
                                    "--reply-cache", "replies",       "--chat", "plain",        "--max-tokens", "5"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(ExtractByDecoder, NamesItByItsContentAndKeepsItsReplies) {
  const Json first = json(words({}));
  EXPECT_THAT(first.at("extractor").get<std::string>(), testing::MatchesRegex("mertools-1:small@[0-9a-f]{12}"));
  EXPECT_EQ(first.at("replies"), Json({{"asked", 1}, {"kept", 0}}));
  const std::string labels = read_file(place.path() / "labels.jsonl");
  EXPECT_EQ(json(words({"--replay"})).at("replies"), Json({{"asked", 0}, {"kept", 1}}));
  EXPECT_EQ(read_file(place.path() / "labels.jsonl"), labels);
  test::write(place.path() / "small" / "note.txt", "another folder now");
  EXPECT_NE(json(words({})).at("extractor"), first.at("extractor"));
}

TEST_F(ExtractByDecoder, RefusesATokenizerWithoutTheTokensOfTheChat) {
  const test::CommandResult result = microemo(words({"--chat", "chatml"}));
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config)) << "--chat stands twice";
  std::vector<std::string> chatml = words({});
  *std::find(chatml.begin(), chatml.end(), "plain") = "chatml";
  const test::CommandResult refused = microemo(chatml);
  EXPECT_EQ(refused.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(refused.standard_error, HasSubstr("<|im_end|>"));
}

TEST_F(ExtractByDecoder, TakesTheTurnsOfAChatForAnotherExtractor) {
  microemo({"tokenize", "--train", "m.jsonl", "--out", "small/tokenizer.model", "--vocabulary", "90", "--no-bytes", "--whole",
            "<|im_start|>", "--whole", "<|im_end|>"});
  const Json plain = json(words({}));
  std::vector<std::string> chatml = words({});
  *std::find(chatml.begin(), chatml.end(), "plain") = "chatml";
  const Json turns = json(chatml);
  EXPECT_EQ(turns.at("replies").at("asked"), 1);
  EXPECT_NE(turns.at("extractor"), plain.at("extractor"));
}

TEST_F(ExtractByDecoder, RefusesAnAnswerThatIsLongerThanItReads) {
  std::string answer;
  for (int i = 0; i < 5000; ++i) answer += "you came at last ";
  test::write(place.path() / "answers.jsonl", Json{{"id", "a"}, {"answer", answer}}.dump() + "\n");
  EXPECT_EQ(microemo(words({})).exit_code, exit_code(ErrorKind::data));
}

TEST_F(ExtractByDecoder, RefusesWordsWithoutEffect) {
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{"--repeats", "2"},
                                                                                    {"--model", "m"},
                                                                                    {"--top-p", "0.5"},
                                                                                    {"--repeats", "2", "--temperature", "0"},
                                                                                    {"--endpoint", "http://x"},
                                                                                    {"--extractor", "rules"}})
    EXPECT_THAT(microemo(words(more)).standard_error, HasSubstr("has no effect"));
}

TEST_F(ExtractByDecoder, DrawsInEveryRepeatWhateverElseIsAsked) {
  const auto outputs = [&](const std::string& answers, const std::string& cache) {
    test::write(place.path() / "answers.jsonl", answers);
    std::vector<std::string> all = words({"--temperature", "1", "--top-p", "0.95", "--repeats", "2"});
    *std::find(all.begin(), all.end(), "replies") = cache;
    const Json result = json(all);
    EXPECT_THAT(result.at("extractor").get<std::string>(),
                testing::MatchesRegex("mertools-1:small@[0-9a-f]{12},temperature=1,top-p=0.95"));
    std::vector<std::string> found;
    for (const char* file : {"labels.1.jsonl", "labels.2.jsonl"})
      read_jsonl(place.path() / file, [&](const Json& line, int64_t) {
        if (line.at("id") == "a") found.push_back(line.at("output").at("labels"));
      });
    return found;
  };
  const std::string asked = "{\"id\":\"a\",\"answer\":\"She smiles.\"}\n";
  const auto alone = outputs(asked, "one"), behind = outputs("{\"id\":\"b\",\"answer\":\"He came.\"}\n" + asked, "two");
  ASSERT_EQ(alone.size(), 2u);
  EXPECT_NE(alone[0], alone[1]) << "two seeds";
  EXPECT_EQ(alone, behind);
}

TEST_F(ExtractByDecoder, RefusesSamplingThatIsNone) {
  EXPECT_EQ(microemo(words({"--temperature", "nan"})).exit_code, exit_code(ErrorKind::config));
  EXPECT_EQ(microemo(words({"--temperature", "1", "--top-p", "0"})).exit_code, exit_code(ErrorKind::config));
}

TEST_F(ExtractByDecoder, RefusesAFolderWithoutFiles) {
  std::vector<std::string> all = words({});
  *std::find(all.begin(), all.end(), "small/") = "nowhere";
  const test::CommandResult result = microemo(all);
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("holds no files"));
}

}  // namespace
}  // namespace microemo
