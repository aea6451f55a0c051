#include "microemo/base/config.h"

#include <array>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace kitchen {

enum class Heat { low, high };
constexpr auto names_of(Heat) { return std::array{std::pair{Heat::low, "low"}, std::pair{Heat::high, "high"}}; }

struct Oven {
  double seconds = 0.5;
  Heat heat = Heat::low;
  std::string dish = "round";
};
template <class Visitor>
void describe(Visitor& option, Oven& o) {
  option("seconds", o.seconds, "How long it bakes.").above(0).max(100);
  option("heat", o.heat, "How hot it is.");
  option("dish", o.dish, "The dish | its form.").only_if(o.heat == Heat::high, "oven.heat is high");
}

struct Options {
  bool bake = true;
  int64_t count = 3;
  std::string title = "cake";
  std::vector<int64_t> sizes = {1, 2};
  std::vector<double> weights;
  std::vector<std::string> guests = {"Ada"};
  Oven oven;
};
template <class Visitor>
void describe(Visitor& option, Options& o) {
  option("bake", o.bake, "Bake at all.");
  option("count", o.count, "How many.").min(0).below(10);
  option("title", o.title, "Its name.");
  option("sizes", o.sizes, "Sizes of the pieces.").min(1);
  option("weights", o.weights, "Weights of the pieces.");
  option("guests", o.guests, "Who comes.");
  option("oven", o.oven, "The oven.").only_if(o.bake, "bake is true");
}

struct Room {
  int64_t count = 0, ovens = 0;
  Oven oven;
};
template <class Visitor>
void describe(Visitor& option, Room& o) {
  option("count", o.count, "How many.");
  option("oven", o.oven, "The oven.");
  option("ovens", o.ovens, "How many of them.");
}

struct House {
  bool cooks = true;
  Room room;
};
template <class Visitor>
void describe(Visitor& option, House& o) {
  option("cooks", o.cooks, "Cook at all.");
  option("room", o.room, "A room.").only_if("oven", o.cooks, "cooks is true");
}

struct Twice {
  bool first = false, second = false;
};
template <class Visitor>
void describe(Visitor& option, Twice& o) {
  option("same", o.first, "One.");
  option("same", o.second, "Another.");
}

}  // namespace kitchen

namespace microemo {
namespace {

using kitchen::Heat;
using kitchen::Options;
using test::expect_error;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

namespace fs = std::filesystem;

class Config : public ::testing::Test {
 protected:
  fs::path file(const std::string& name, const std::string& text) {
    write_file_atomic(folder_.path() / name, text);
    return folder_.path() / name;
  }
  ResolvedConfig load(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    return load_config(options, {file("kitchen.yaml", yaml)}, overrides);
  }
  Error refused(const std::string& yaml, const std::string& part) {
    return expect_error(
        ErrorKind::config, [&] { load(yaml); }, part);
  }
  Error refused_override(const std::string& text, const std::string& part) {
    return expect_error(
        ErrorKind::config, [&] { load_config(options, {}, {text}); }, part);
  }

  Options options;

 private:
  TemporaryFolder folder_;
};

const ConfigEntry& entry(const ResolvedConfig& config, const std::string& key) {
  for (const ConfigEntry& candidate : config.entries)
    if (candidate.key == key) return candidate;
  throw InternalError("no entry {}", key);
}

TEST_F(Config, ReadsEveryTypeFromYaml) {
  load(
      "bake: true\ncount: 7\ntitle: a b c\nsizes: [4, 5]\nweights:\n  - 1\n  - 2.5e-3\nguests: ['1', two]\n"
      "oven: {seconds: 3, heat: high, dish: \"x: #y\"}\n");
  EXPECT_TRUE(options.bake);
  EXPECT_EQ(options.count, 7);
  EXPECT_EQ(options.title, "a b c");
  EXPECT_THAT(options.sizes, ElementsAre(4, 5));
  EXPECT_THAT(options.weights, ElementsAre(1.0, 2.5e-3));
  EXPECT_THAT(options.guests, ElementsAre("1", "two"));
  EXPECT_EQ(options.oven.seconds, 3.0);
  EXPECT_EQ(options.oven.heat, Heat::high);
  EXPECT_EQ(options.oven.dish, "x: #y");
}

TEST_F(Config, ReadsTheSameFromJson) {
  load_config(options,
              {file("kitchen.json", R"({"count": 7, "title": "\ud83c\udf82 \/", "oven": {"seconds": 3, "heat": "high"}})")});
  EXPECT_EQ(options.count, 7);
  EXPECT_EQ(options.title, "\U0001F382 /");
  EXPECT_EQ(options.oven.seconds, 3.0);
  EXPECT_EQ(options.oven.heat, Heat::high);
}

TEST_F(Config, TakesDottedKeysInAFile) {
  load("oven.seconds: 4\n");
  EXPECT_EQ(options.oven.seconds, 4.0);
}

TEST_F(Config, KeepsDefaultsWithAnEmptyFile) {
  load("");
  EXPECT_EQ(options.count, 3);
}

TEST_F(Config, KeepsDefaultsWithAFileOfComments) {
  load("# count: 4\noven:\n  # seconds: 3\n");
  EXPECT_EQ(options.oven.seconds, 0.5);
}

TEST_F(Config, LetsLaterFilesWinAndKeepsTheOtherKeys) {
  load_config(options, {file("one.yaml", "count: 1\noven: {seconds: 1}\n"), file("two.yaml", "oven: {heat: high}\ncount: 2\n")});
  EXPECT_EQ(options.count, 2);
  EXPECT_EQ(options.oven.seconds, 1.0);
  EXPECT_EQ(options.oven.heat, Heat::high);
}

TEST_F(Config, LetsTheLastOverrideWin) {
  load("count: 1\n", {"count=5", "count=6"});
  EXPECT_EQ(options.count, 6);
}

TEST_F(Config, TakesTextOfAnOverrideAsItStands) {
  load_config(options, {}, {"title=who: is [here] #1?"});
  EXPECT_EQ(options.title, "who: is [here] #1?");
}

TEST_F(Config, TakesQuotesOffTextOfAnOverride) {
  load_config(options, {}, {"title=\" padded\\n\""});
  EXPECT_EQ(options.title, " padded\n");
}

TEST_F(Config, TakesAnEmptyTextOfAnOverride) {
  load_config(options, {}, {"title="});
  EXPECT_EQ(options.title, "");
}

TEST_F(Config, TakesAListOfAnOverride) {
  load_config(options, {}, {"sizes=[7, 8]", "guests=[]"});
  EXPECT_THAT(options.sizes, ElementsAre(7, 8));
  EXPECT_THAT(options.guests, ElementsAre());
}

TEST_F(Config, TakesASectionOfAnOverride) {
  load_config(options, {}, {"oven={seconds: 9, heat: high}"});
  EXPECT_EQ(options.oven.seconds, 9.0);
}

TEST_F(Config, PutsAKeyBackToItsDefault) {
  const ResolvedConfig config = load("count: 1\n", {"count=~"});
  EXPECT_EQ(options.count, 3);
  EXPECT_EQ(entry(config, "count").origin, "default");
}

TEST_F(Config, PutsASectionBackSoThatItsSwitchCanBeTurnedOff) {
  load("oven: {seconds: 9, heat: high}\n", {"bake=false", "oven=~"});
  EXPECT_EQ(options.oven.seconds, 0.5);
  EXPECT_FALSE(options.bake);
}

TEST_F(Config, RefusesAnUnknownKeyWithPlaceAndNearestName) {
  const Error error = refused("count: 1\noven:\n  secnods: 3\n", "there is no key 'oven.secnods'; did you mean 'oven.seconds'?");
  EXPECT_THAT(error.place(), HasSubstr("kitchen.yaml, line 3, column 3"));
  EXPECT_THAT(error.next_step(), HasSubstr("oven.seconds"));
}

TEST_F(Config, FindsTheSectionOfAKeyThatStandsOutsideIt) { refused("heat: high\n", "did you mean 'oven.heat'?"); }

TEST_F(Config, SuggestsNothingForAKeyThatResemblesNone) {
  EXPECT_THAT(refused("zebra_crossing: 1\n", "there is no key 'zebra_crossing'").message(), Not(HasSubstr("did you mean")));
}

TEST_F(Config, RefusesAnUnknownKeyInJsonWithItsPlace) {
  const fs::path path = file("k.json", "{\"count\": 1,\n  \"oven\": {\n    \"heart\": \"high\"}}");
  const Error error = expect_error(
      ErrorKind::config, [&] { load_config(options, {path}); }, "did you mean 'oven.heat'?");
  EXPECT_THAT(error.place(), HasSubstr("k.json, line 3, column 5"));
}

TEST_F(Config, RefusesAnUnknownKeyOfAnOverride) {
  EXPECT_THAT(refused_override("oven.heet=low", "did you mean 'oven.heat'?").place(), HasSubstr("command line, 'oven.heet=low'"));
}

TEST_F(Config, RefusesToPutAnUnknownKeyBack) { refused_override("cuont=~", "did you mean 'count'?"); }
TEST_F(Config, RefusesAnOverrideWithoutEqualsSign) { refused_override("count", "not of the form key=value"); }
TEST_F(Config, RefusesAnOverrideWithoutKey) { refused_override("=3", "not of the form key=value"); }
TEST_F(Config, RefusesAnEmptyNumberOfAnOverride) { refused_override("count=", "'count' is nothing; wanted: a whole number"); }
TEST_F(Config, RefusesBrokenYamlInAnOverride) { refused_override("sizes=[1, 2", "broken YAML"); }
TEST_F(Config, RefusesAFractionForAWholeNumber) { refused("count: 1.5\n", "'count' is '1.5'; wanted: a whole number"); }
TEST_F(Config, RefusesAWholeNumberTooLargeToHold) { refused("count: 99999999999999999999\n", "wanted: a whole number"); }
TEST_F(Config, RefusesTextForANumber) {
  refused("oven: {seconds: \"3\"}\n", "'oven.seconds' is the text \"3\"; wanted: a number");
}
TEST_F(Config, RefusesANumberThatIsNotFinite) { refused("oven: {seconds: nan}\n", "wanted: a number"); }
TEST_F(Config, RefusesAnInfiniteNumber) { refused("oven: {seconds: inf}\n", "wanted: a number"); }
TEST_F(Config, RefusesANumberForATruthValue) { refused("bake: 1\n", "'bake' is '1'; wanted: true or false"); }
TEST_F(Config, RefusesYesForATruthValue) { refused("bake: yes\n", "wanted: true or false"); }
TEST_F(Config, RefusesAListForANumber) { refused("count: [1, 2]\n", "'count' is the list [1, 2]; wanted: a whole number"); }
TEST_F(Config, RefusesANumberForAList) { refused("sizes: 3\n", "'sizes' is '3'; wanted: a list of whole numbers"); }
TEST_F(Config, RefusesAListWithOneWrongElement) { refused("sizes: [1, two]\n", "wanted: a list of whole numbers"); }
TEST_F(Config, RefusesAListInAList) { refused("sizes: [[1], 2]\n", "a list may hold plain values only"); }
TEST_F(Config, RefusesASectionForANumber) { refused("count: {a: 1}\n", "'count' is a section; wanted: a whole number"); }
TEST_F(Config, RefusesANumberForASection) { refused("oven: 3\n", "'oven' is '3'; wanted: a section"); }
TEST_F(Config, RefusesAKeyWithoutValue) { refused("count:\n", "'count' is nothing; wanted: a whole number"); }
TEST_F(Config, RefusesATextThatIsNotUtf8) { refused_override("title=\xff\xfe", "text that is not UTF-8"); }

TEST_F(Config, RefusesAnUnknownNameAndListsTheValidOnes) {
  const Error error = refused("oven:\n  heat: hihg\n", "'oven.heat' is 'hihg'; wanted: one of low, high");
  EXPECT_THAT(error.next_step(), HasSubstr("'high'"));
  EXPECT_THAT(error.place(), HasSubstr("line 2"));
}

TEST_F(Config, RefusesANumberBelowItsMinimum) { refused("count: -1\n", "'count' is -1; it must be at least 0, below 10"); }
TEST_F(Config, RefusesANumberAtItsExclusiveUpperLimit) { refused("count: 10\n", "below 10"); }
TEST_F(Config, RefusesANumberAtItsExclusiveLowerLimit) { refused("oven: {seconds: 0}\n", "above 0"); }
TEST_F(Config, RefusesANumberAboveItsMaximum) { refused("oven: {seconds: 100.5}\n", "at most 100"); }
TEST_F(Config, RefusesOneNumberOfAListOutsideTheLimits) { refused("sizes: [1, 0]\n", "'sizes' is 0; it must be at least 1"); }
TEST_F(Config, NamesThePlaceOfANumberOutsideItsLimits) {
  EXPECT_THAT(refused("title: x\ncount: -1\n", "count").place(), HasSubstr("kitchen.yaml, line 2, column 1"));
}

TEST_F(Config, AcceptsNumbersOnTheirInclusiveLimits) {
  load("count: 0\noven: {seconds: 100}\n");
  EXPECT_EQ(options.count, 0);
  EXPECT_EQ(options.oven.seconds, 100.0);
}

TEST_F(Config, RefusesAKeyWithoutEffect) {
  const Error error = refused("oven: {dish: square}\n", "'oven.dish' has no effect unless oven.heat is high");
  EXPECT_THAT(error.place(), HasSubstr("kitchen.yaml, line 1"));
}

TEST_F(Config, RefusesAKeyOfASectionWithoutEffect) {
  refused("bake: false\noven: {heat: high}\n", "no effect unless bake is true");
}

TEST_F(Config, LeavesAKeyOfAFileAsideThatAnOverrideSwitchesOff) {
  const ResolvedConfig config = load("oven: {seconds: 9}\n", {"bake=false"});
  EXPECT_EQ(entry(config, "oven.seconds").no_effect, "bake is true");
  EXPECT_FALSE(config.values.contains("oven"));
}

TEST_F(Config, LeavesAKeyOfAFileAsideThatALaterFileSwitchesOff) {
  EXPECT_NO_THROW(
      load_config(options, {file("one.yaml", "oven: {seconds: 9}\n"), file("two.yaml", "bake: false\n")}, {"count=2"}));
}

TEST_F(Config, RefusesAnOverrideOfWhatAFileSwitchedOff) {
  const Error error = expect_error(
      ErrorKind::config, [&] { load("bake: false\n", {"oven.seconds=9"}); }, "no effect unless bake is true");
  EXPECT_EQ(error.place(), "command line, 'oven.seconds=9'");
}

TEST_F(Config, RefusesAnOverrideOfWhatAnotherOverrideSwitchesOff) {
  for (const auto& overrides : {std::vector<std::string>{"oven.seconds=9", "bake=false"}, {"bake=false", "oven.seconds=9"}})
    expect_error(
        ErrorKind::config, [&] { load_config(options, {}, overrides); }, "no effect unless bake is true");
}

TEST_F(Config, RefusesAKeyOfAFileWithoutEffectThoughOtherKeysAreOverridden) {
  expect_error(
      ErrorKind::config, [&] { load("bake: false\noven: {seconds: 9}\n", {"count=4"}); }, "no effect unless bake is true");
}

TEST_F(Config, RefusesAKeyThatAnOverrideGivesAgainAfterItsFileLostIt) {
  expect_error(
      ErrorKind::config,
      [&] {
        load("oven: {seconds: 9}\n", {"bake=false", "oven.seconds=8"});
      },
      "'oven.seconds=8'");
}

TEST_F(Config, LeavesRecordedKeysWithoutEffectAside) {
  options_from_json(options, {{"bake", false}, {"oven", {{"seconds", 9}}}}, "run/config.json");
  EXPECT_FALSE(options.bake);
}

TEST_F(Config, KeepsTheValueWhenANumberHasMoreBehindIt) {
  EXPECT_THAT(refused_override("count=1e0", "'count' is '1e0'").next_step(), HasSubstr("such as 3"));
  EXPECT_EQ(options.count, 3);
}

TEST_F(Config, PutsAConditionOnOneKeyOfASection) {
  kitchen::House house;
  expect_error(
      ErrorKind::config,
      [&] {
        load_config(house, {}, {"cooks=false", "room.oven.seconds=1"});
      },
      "'room.oven.seconds' has no effect unless cooks is true");
  EXPECT_NO_THROW(load_config(house, {}, {"cooks=false", "room.count=1", "room.ovens=2"}));
}

TEST_F(Config, JudgesAnEffectByTheFinalValues) {
  load("oven: {dish: square}\n", {"oven.heat=high"});
  EXPECT_EQ(options.oven.dish, "square");
}

TEST_F(Config, RefusesAKeyThatStandsTwiceInYaml) {
  const Error error = refused("count: 1\ncount: 2\n", "'count' stands here a second time");
  EXPECT_THAT(error.place(), HasSubstr("line 2, column 1"));
}

TEST_F(Config, RefusesAKeyGivenDottedAndNested) { refused("oven.seconds: 1\noven: {seconds: 2}\n", "given a second time"); }

TEST_F(Config, RefusesAKeyThatStandsTwiceInJson) {
  const fs::path path = file("k.json", "{\"count\": 1,\n \"count\": 2}");
  const Error error = expect_error(
      ErrorKind::config, [&] { load_config(options, {path}); }, "second time");
  EXPECT_THAT(error.place(), HasSubstr("line 2, column 2"));
}

TEST_F(Config, RefusesBrokenYamlWithLineAndColumn) {
  EXPECT_THAT(refused("count: 1\noven: [1, 2\n", "broken YAML").place(), HasSubstr("kitchen.yaml, line 3, column 1"));
}

TEST_F(Config, RefusesATabAsIndentation) { refused("oven:\n\tseconds: 1\n", "broken YAML"); }

TEST_F(Config, RefusesBrokenJsonWithLineAndColumn) {
  const fs::path path = file("k.json", "{\"count\": 1,\n}");
  const Error error = expect_error(
      ErrorKind::config, [&] { load_config(options, {path}); }, "broken JSON");
  EXPECT_THAT(error.place(), HasSubstr("k.json, line 2, column 1"));
}

TEST_F(Config, RefusesAFileThatIsAList) { refused("- 1\n- 2\n", "a configuration is keys with values, not the list [1, 2]"); }
TEST_F(Config, RefusesAFileThatIsAWord) { refused("hello\n", "a configuration is keys with values, not 'hello'"); }
TEST_F(Config, RefusesASecondDocument) { refused("count: 1\n---\ncount: 2\n", "more than one document"); }
TEST_F(Config, RefusesATag) { refused("title: !secret x\n", "the tag '!secret' has no meaning here"); }
TEST_F(Config, RefusesAKeyThatIsAList) { refused("[1, 2]: 3\n", "a key must be a plain name"); }
TEST_F(Config, RefusesAnAliasThatHoldsItself) { refused("oven: &again\n  oven: *again\n", "nested too deeply"); }

TEST_F(Config, RefusesAMissingFile) {
  expect_error(
      ErrorKind::config, [&] { load_config(options, {"/nowhere/at/all.yaml"}); }, "/nowhere/at/all.yaml");
}

TEST_F(Config, RefusesAnUnknownExtension) {
  const fs::path path = file("k.toml", "count = 1");
  expect_error(
      ErrorKind::config, [&] { load_config(options, {path}); }, "ends in .yaml, .yml or .json, not '.toml'");
}

TEST_F(Config, RefusesAStructThatDescribesAKeyTwice) {
  kitchen::Twice twice;
  expect_error(
      ErrorKind::internal, [&] { load_config(twice, {}); }, "'same' is described twice");
}

TEST_F(Config, RefusesADefaultOutsideItsLimits) {
  options.count = 50;
  expect_error(
      ErrorKind::config, [&] { load_config(options, {}); }, "its default");
}

TEST_F(Config, KnowsTheOriginOfEveryValue) {
  const ResolvedConfig config = load("title: x\noven:\n  seconds: 3\n", {"count=4"});
  EXPECT_EQ(entry(config, "bake").origin, "default");
  EXPECT_EQ(entry(config, "oven.seconds").origin, "kitchen.yaml:3");
  EXPECT_EQ(entry(config, "count").origin, "command line");
  EXPECT_EQ(entry(config, "oven.seconds").value, Json(3.0));
}

TEST_F(Config, WritesAnnotatedYaml) {
  const std::string yaml = load("oven:\n  seconds: 3\n", {"count=4"}).yaml();
  EXPECT_THAT(yaml, HasSubstr("bake: true  # default\ncount: 4  # command line\n"));
  EXPECT_THAT(yaml, HasSubstr("oven:\n  seconds: 3.0  # kitchen.yaml:2\n"));
  EXPECT_THAT(yaml, HasSubstr("  # dish: \"round\"  # no effect unless oven.heat is high\n"));
}

TEST_F(Config, LoadsItsOwnYamlToTheSameValues) {
  const std::string awkward = "title=\"tab\\t, quote \\\", # : {[ \xc3\xa4 \xe2\x80\xa8 \U0001F382 \\\\ null\"";
  const ResolvedConfig first =
      load_config(options, {}, {awkward, "oven.seconds=0.1", "weights=[1e-300, 3.0000000000000004]", "sizes=[]"});
  Options again;
  const ResolvedConfig second = load_config(again, {file("again.yaml", first.yaml())});
  EXPECT_EQ(second.values, first.values);
  EXPECT_EQ(again.title, options.title);
  EXPECT_EQ(again.weights, options.weights);
}

TEST_F(Config, LoadsItsOwnYamlThoughAWholeSectionHasNoEffect) {
  const ResolvedConfig first = load_config(options, {}, {"bake=false"});
  Options again;
  EXPECT_EQ(load_config(again, {file("again.yaml", first.yaml())}).values, first.values);
}

TEST_F(Config, ComesBackFromItsJson) {
  load("count: 5\nguests: [Bo, Cy]\noven: {heat: high, dish: square}\n");
  Options again;
  options_from_json(again, options_to_json(options), "run/config.json");
  EXPECT_EQ(again.count, 5);
  EXPECT_THAT(again.guests, ElementsAre("Bo", "Cy"));
  EXPECT_EQ(again.oven.dish, "square");
}

TEST_F(Config, NamesTheSourceOfJsonWithAnUnknownKey) {
  const Error error = expect_error(
      ErrorKind::config,
      [&] {
        options_from_json(options, {{"cuont", 1}}, "run/config.json");
      },
      "'count'");
  EXPECT_EQ(error.place(), "run/config.json");
}

TEST_F(Config, WritesAReferencePageWithEveryKey) {
  const std::string page = reference_page(schema_of(options));
  EXPECT_THAT(page, HasSubstr("| `count` | a whole number | `3` | at least 0, below 10 | How many. |\n"));
  EXPECT_THAT(page, HasSubstr("## `oven`\n\nThe oven.\n"));
  EXPECT_THAT(page, HasSubstr("| `oven.heat` | one of low, high | `\"low\"` |  | How hot it is. Only if bake is true. |\n"));
  EXPECT_THAT(page, HasSubstr("The dish \\| its form."));
}

TEST_F(Config, WritesHelpWithTypeDefaultAndLimits) {
  const std::string help = help_text(schema_of(options));
  EXPECT_THAT(help,
              HasSubstr("  oven.seconds=0.5\n      How long it bakes. Only if bake is true. (a number, above 0, at most 100)\n"));
}

TEST_F(Config, ListsWhatDiffersBetweenTwo) {
  const Json before = load("count: 1\n").values;
  Json after = before;
  after["count"] = 2;
  after["oven"].erase("heat");
  after["new"] = true;
  const std::vector<ConfigDifference> differences = diff_configs(before, after);
  ASSERT_EQ(differences.size(), 3u);
  EXPECT_EQ(differences[0].key, "count");
  EXPECT_EQ(differences[0].right, Json(2));
  EXPECT_EQ(differences[1].key, "oven.heat");
  EXPECT_TRUE(differences[1].right.is_null());
  EXPECT_EQ(differences[2].key, "new");
}

TEST_F(Config, ListsNothingForEqualOnes) {
  const Json values = load("count: 1\n").values;
  EXPECT_TRUE(diff_configs(values, values).empty());
}

}  // namespace
}  // namespace microemo
