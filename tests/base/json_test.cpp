#include "microemo/base/json.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Error refused(const std::string& text, const std::string& part) {
  return expect_error(
      ErrorKind::data, [&] { parse_json(text, "a.json"); }, part);
}

TEST(ParseJson, EqualsTheLibrarysOwnReading) {
  const std::string text =
      R"({"a": [1, -2, 3.5, 18446744073709551615, true, null, "\u00e4\n", [], {}], "b": {"c": {"d": 1e-3}}})";
  EXPECT_EQ(parse_json(text, "a.json"), Json::parse(text));
}

TEST(ParseJson, KeepsTheOrderOfKeys) { EXPECT_EQ(parse_json(R"({"z":1,"a":2,"m":3})", "a").dump(), R"({"z":1,"a":2,"m":3})"); }

TEST(ParseJson, ReadsASingleNumber) { EXPECT_EQ(parse_json("5", "a.json"), Json(5)); }

TEST(ParseJson, ReadsAVeryLargeObject) {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += "\"key" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  text.back() = '}';
  EXPECT_EQ(parse_json(text, "a.json").size(), 200000u);
}

TEST(ParseJson, NamesFileLineAndColumnOfAMistake) {
  const Error error = refused("{\n  \"a\": 1,\n  \"b\" 2\n}", "broken JSON");
  EXPECT_EQ(error.place(), "a.json, line 3, column 7");
}

TEST(ParseJson, RefusesAKeyThatStandsTwiceWithItsPlace) {
  const Error error = refused("{\"a\": {\"k\": 1,\n   \"k\": 2}}", "the key 'k' stands here a second time");
  EXPECT_EQ(error.place(), "a.json, line 2, column 4");
}

TEST(ParseJson, FindsTheBeginningOfAKeyWithQuotesInIt) {
  EXPECT_EQ(refused("{\"\\\"a\\\\\": 1,\n  \"\\\"a\\\\\": 2}", "second time").place(), "a.json, line 2, column 3");
}

TEST(ParseJson, AllowsTheSameKeyInDifferentObjects) { EXPECT_EQ(parse_json(R"([{"a":1},{"a":{"a":2}}])", "a").size(), 2u); }

TEST(ParseJson, RefusesNothing) { refused("", "broken JSON"); }
TEST(ParseJson, RefusesBlanksOnly) { refused(" \n ", "broken JSON"); }
TEST(ParseJson, RefusesATruncatedText) { refused("{\"a\": [1, 2", "broken JSON"); }
TEST(ParseJson, RefusesATruncatedString) { refused("{\"a", "broken JSON"); }
TEST(ParseJson, RefusesTextAfterTheValue) { refused("{} x", "broken JSON"); }
TEST(ParseJson, RefusesATrailingComma) { refused("[1, 2,]", "broken JSON"); }
TEST(ParseJson, RefusesTextThatIsNotUtf8) { refused("\"\xff\"", "broken JSON"); }
TEST(ParseJson, RefusesANumberThatIsNotFinite) { refused("[NaN]", "broken JSON"); }
TEST(ParseJson, RefusesANumberTooLargeToHold) { refused("[1e999]", "broken JSON"); }

TEST(ParseJson, ReadsDeepNestingUpToItsLimit) {
  const std::string text = std::string(512, '[') + std::string(512, ']');
  const Json value = parse_json(text, "a.json"), copy = value;  // what walks it level by level has room to
  EXPECT_EQ(copy.dump(), text);
}

TEST(ParseJson, RefusesWhatIsNestedDeeper) {
  refused(std::string(513, '[') + std::string(513, ']'), "nested more than 512 levels deep");
  refused(std::string(3'000'000, '['), "nested more than 512 levels deep");
  std::string objects;
  for (int i = 0; i < 600; ++i) objects += "{\"a\":";
  refused(objects, "nested more than 512 levels deep");
}

TEST(WriteJson, ComesBackEqual) {
  const TemporaryFolder folder;
  const Json value = {{"b", 0.1}, {"a", {1, "\xc3\xa4"}}, {"n", nullptr}};
  write_json(folder.path() / "a.json", value);
  EXPECT_EQ(read_json(folder.path() / "a.json"), value);
  EXPECT_EQ(read_file(folder.path() / "a.json").back(), '\n');
}

TEST(WriteJson, RefusesTextThatIsNotUtf8AndLeavesNothing) {
  const TemporaryFolder folder;
  expect_error(
      ErrorKind::internal, [&] { write_json(folder.path() / "a.json", "\xff"); }, "not UTF-8");
  EXPECT_FALSE(fs::exists(folder.path() / "a.json"));
}

TEST(ReadJson, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [] { read_json("/nowhere/a.json"); }, "/nowhere/a.json");
}

class Jsonl : public ::testing::Test {
 protected:
  std::vector<std::pair<Json, int64_t>> read(const std::string& text) {
    write_file_atomic(path(), text);
    std::vector<std::pair<Json, int64_t>> lines;
    read_jsonl(path(), [&](const Json& value, int64_t number) { lines.emplace_back(value, number); });
    return lines;
  }
  fs::path path() const { return folder_.path() / "a.jsonl"; }
  TemporaryFolder folder_;
};

TEST_F(Jsonl, CallsForEveryLineWithItsNumberAndSkipsEmptyOnes) {
  EXPECT_THAT(read("1\n\n \t\r\n{\"a\":2}\r\n3"),
              ElementsAre(std::pair(Json(1), 1), std::pair(Json{{"a", 2}}, 4), std::pair(Json(3), 5)));
}

TEST_F(Jsonl, CallsForNoLineOfAnEmptyFile) { EXPECT_TRUE(read("").empty()); }

TEST_F(Jsonl, NamesTheLineOfAMistake) {
  EXPECT_EQ(expect_error(
                ErrorKind::data, [&] { read("1\n{\"a\":\n3"); }, "broken JSON")
                .place(),
            path().string() + ", line 2");
}

TEST_F(Jsonl, NamesTheLineOfAKeyThatStandsTwice) {
  EXPECT_EQ(expect_error(
                ErrorKind::data, [&] { read("\n{\"a\":1,\"a\":2}"); }, "second time")
                .place(),
            path().string() + ", line 2");
}

TEST_F(Jsonl, ReadsBackWhatWasWritten) {
  write_jsonl(path(), {Json{{"a", "x\ny"}}, Json(2)});
  EXPECT_EQ(read_file(path()), "{\"a\":\"x\\ny\"}\n2\n");
}

TEST(JsonGet, ReadsEveryType) {
  const Json object = {{"b", true}, {"i", -3}, {"d", 2.5}, {"s", "x"}, {"li", {1, 2}}, {"ld", {1, 2.5}}, {"ls", {"a"}}};
  EXPECT_EQ(json_get<bool>(object, "b", "f"), true);
  EXPECT_EQ(json_get<int64_t>(object, "i", "f"), -3);
  EXPECT_EQ(json_get<double>(object, "d", "f"), 2.5);
  EXPECT_EQ(json_get<double>(object, "i", "f"), -3.0);
  EXPECT_EQ(json_get<std::string>(object, "s", "f"), "x");
  EXPECT_THAT(json_get<std::vector<int64_t>>(object, "li", "f"), ElementsAre(1, 2));
  EXPECT_THAT(json_get<std::vector<double>>(object, "ld", "f"), ElementsAre(1.0, 2.5));
  EXPECT_THAT(json_get<std::vector<std::string>>(object, "ls", "f"), ElementsAre("a"));
  EXPECT_EQ(json_get<Json>(object, "li", "f"), (Json{1, 2}));
}

TEST(JsonGet, RefusesAMissingKeyWithFileAndLine) {
  const Error error = expect_error(
      ErrorKind::data, [] { json_get<bool>(Json::object(), "video", "a.jsonl", 7); }, "'video' is missing");
  EXPECT_EQ(error.place(), "a.jsonl, line 7");
}

TEST(JsonGet, RefusesAnotherTypeAndSaysBoth) {
  const Json object = {{"end", "late"}};
  expect_error(
      ErrorKind::data, [&] { json_get<double>(object, "end", "f", 2); }, "'end' is \"late\"; wanted: a number");
}

TEST(JsonGet, RefusesAFractionForAWholeNumber) {
  const Json object = {{"n", 1.0}};
  expect_error(
      ErrorKind::data, [&] { json_get<int64_t>(object, "n", "f"); }, "wanted: a whole number");
}

TEST(JsonGet, RefusesAWholeNumberBeyondTheRange) {
  const Json object = {{"n", std::numeric_limits<uint64_t>::max()}};
  expect_error(
      ErrorKind::data, [&] { json_get<int64_t>(object, "n", "f"); }, "18446744073709551615");
}

TEST(JsonGet, RefusesOneWrongElementOfAList) {
  const Json object = {{"n", {1, "2"}}};
  expect_error(
      ErrorKind::data, [&] { json_get<std::vector<int64_t>>(object, "n", "f"); }, "a list, each element a whole number");
}

TEST(JsonGet, RefusesAValueThatIsNoObject) {
  expect_error(
      ErrorKind::data,
      [] {
        json_get<bool>(Json{1, 2}, "a", "f");
      },
      "an object with the key 'a' is needed here, not [1,2]");
}

TEST(JsonGetOr, FallsBackOnlyWhenTheKeyIsAbsent) {
  const Json object = {{"n", 4}, {"bad", "x"}};
  EXPECT_EQ(json_get_or<int64_t>(object, "n", 1, "f"), 4);
  EXPECT_EQ(json_get_or<int64_t>(object, "m", 1, "f"), 1);
  expect_error(
      ErrorKind::data, [&] { json_get_or<int64_t>(object, "bad", 1, "f"); }, "wanted: a whole number");
}

}  // namespace
}  // namespace microemo
