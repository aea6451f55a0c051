#include "microemo/eval/wheel.h"

#include <map>

#include "formats/support.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/formats/csv.h"
#include "microemo/formats/zip.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;

const std::filesystem::path own_file = std::filesystem::path(MICROEMO_SOURCE_DIR) / "data" / "wheels" / "microemo.csv";

class WheelFileTest : public testing::Test {
 protected:
  void expect_refused(const std::string& rows, const std::string& reason, const std::string& line) {
    const auto path = test::write(folder_.path() / "wheel.csv", "# head\n# more\nword,group,sector,intensity,forms\n" + rows);
    expect_error(
        ErrorKind::data, [&] { load_wheel(path); }, reason, path.string() + line);
  }
  TemporaryFolder folder_;
};

TEST(OwnWheel, SynonymsAreTheSameAnswer) {
  const EmotionWheel wheel = load_wheel(own_file);
  EXPECT_THAT(classes_of({"happy", "delighted", "joy", " Joyful "}, wheel.grouping("group")), ElementsAre("joyful"));
  EXPECT_THAT(classes_of({"irony", "mocking", "sarcastic"}, wheel.grouping("group")), ElementsAre("ironic"));
}

TEST(OwnWheel, NeighboursAreOtherAnswers) {
  const EmotionWheel wheel = load_wheel(own_file);
  EXPECT_THAT(classes_of({"sad", "disappointed", "hurt", "annoyed", "angry", "amazed", "shocked"}, wheel.grouping("group")),
              ElementsAre("amazed", "angry", "annoyed", "disappointed", "hurt", "sad", "shocked"));
}

TEST(OwnWheel, HasEightSectorsOfThreeIntensities) {
  std::map<std::string, std::set<int>> sectors;
  for (const WheelWord& word : read_wheel_words(own_file)) sectors[word.sector].insert(word.intensity);
  EXPECT_EQ(sectors.size(), 8u);
  for (const auto& [sector, intensities] : sectors) EXPECT_THAT(intensities, testing::Contains(2)) << sector;
}

TEST(OwnWheel, SectorsAreCoarserThanGroups) {
  const EmotionWheel wheel = load_wheel(own_file);
  std::map<std::string, std::set<std::string>> sectors;
  for (const auto& [word, group] : wheel.grouping("group").class_of)
    sectors[group].insert(wheel.grouping("sector").class_of.at(word));
  for (const auto& [group, found] : sectors) EXPECT_EQ(found.size(), 1u) << group;
}

TEST(OwnWheel, NamesItsFileAndHash) {
  const EmotionWheel wheel = load_wheel(own_file);
  EXPECT_EQ(wheel.name, "microemo");
  EXPECT_EQ(wheel.hash, sha256_file(own_file));
  EXPECT_THAT(wheel.headline, ElementsAre("group"));
}

TEST(OwnWheel, IsFoundBesideTheProgram) { EXPECT_EQ(read_file(own_wheel_path()), read_file(own_file)); }

TEST(OwnWheel, DropsWordsThatItDoesNotKnow) {
  EXPECT_TRUE(classes_of({"neutral", "", "not happy"}, load_wheel(own_file).grouping("group")).empty());
}

TEST(OwnWheel, AnUnknownGroupingListsThoseThereAre) {
  const EmotionWheel wheel = load_wheel(own_file);
  expect_error(
      ErrorKind::config, [&] { wheel.grouping("M1"); }, "no grouping 'M1'", "group, sector");
}

TEST_F(WheelFileTest, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [&] { load_wheel(folder_.path() / "absent.csv"); }, "absent.csv");
}

TEST_F(WheelFileTest, RefusesAWordThatStandsTwice) {
  expect_refused("sad,sad,sadness,2,\nblue,sad,sadness,1,sad\n", "'sad' stands on line 4 already", ", line 5");
}

TEST_F(WheelFileTest, RefusesAFormThatStandsTwice) {
  expect_refused("sad,sad,sadness,2,x;x\n", "'x' stands on line 4 already", ", line 4");
}

TEST_F(WheelFileTest, RefusesAnIntensityOfFour) { expect_refused("sad,sad,sadness,4,\n", "intensity is '4'", ", line 4"); }

TEST_F(WheelFileTest, RefusesCapitals) {
  expect_refused("Sad,sad,sadness,2,\n", "'Sad' is not spelled as labels are", ", line 4");
}

TEST_F(WheelFileTest, RefusesAnEmptyForm) { expect_refused("sad,sad,sadness,2,blue;;low\n", "'' is not spelled", ", line 4"); }

TEST_F(WheelFileTest, RefusesAWordWithoutSector) {
  expect_refused("sad,sad,,2,\n", "'sad' has no group or no sector", ", line 4");
}

TEST_F(WheelFileTest, RefusesAGroupInTwoSectors) {
  expect_refused("sad,sad,sadness,2,\nblue,sad,joy,2,\n", "group 'sad' lies in sector 'sadness' and in 'joy'", ", line 5");
}

TEST_F(WheelFileTest, RefusesAGroupThatIsNoWord) {
  expect_refused("blue,sad,sadness,2,\n", "group 'sad' is no word of its own", "");
}

TEST_F(WheelFileTest, RefusesAFileWithoutTheColumns) {
  const auto path = test::write(folder_.path() / "x.csv", "word,class\nsad,sadness\n");
  expect_error(
      ErrorKind::data, [&] { load_wheel(path); }, "no column 'group'", "word, class");
}

/// A release in miniature: wheel 1 has a word under two parents, and a form can stand for two words.
class MertoolsFolder : public testing::Test {
 protected:
  using Rows = std::vector<std::vector<std::string>>;

  MertoolsFolder() {
    for (int k = 2; k <= 5; ++k)
      sheet(fmt::format("wheel{}.xlsx", k), {{"level1", "level2", "level3"}, {"other", "thing", "else"}});
    sheet("wheel1.xlsx", {{"level1", "level2", "level3"},
                          {"sad", " Lost ", "alone"},
                          {"", "", "ashamed"},
                          {"", "down", "blue"},
                          {"mad", "bitter", "ashamed"}});
    Rows synonyms(1);
    for (int run = 1; run <= 8; ++run)
      synonyms[0].insert(synonyms[0].end(), {fmt::format("word_run{}", run), fmt::format("synonym_run{}", run)});
    for (const char* word : {"sad", "lost", "alone", "ashamed", "down", "blue", "mad", "bitter", "other", "thing", "else"}) {
      synonyms.emplace_back();
      for (int run = 1; run <= 8; ++run)
        synonyms.back().insert(synonyms.back().end(), {word, std::string(word) == "blue"    ? "['azure', 'low']"
                                                             : std::string(word) == "alone" ? "[low]"
                                                                                            : "[]"});
    }
    sheet("synonym.xlsx", synonyms);
    formats::write_csv(folder_.path() / "format.csv", {"name", "format"},
                       {{"sad", "sadly,sadness"},
                        {"ashamed", "shame"},
                        {"low", "lowly"},
                        {"bitter", "shame"},
                        {"azure", ""},
                        {"stray", "strays"}});
  }

  void sheet(const std::string& name, const Rows& rows) const {
    std::string cells;
    for (const auto& row : rows) {
      cells += "<row>";
      for (const std::string& text : row) cells += "<c t=\"str\"><v>" + text + "</v></c>";
      cells += "</row>";
    }
    cells = "<worksheet><sheetData>" + cells + "</sheetData></worksheet>";
    formats::write_zip(folder_.path() / name,
                       {{"xl/workbook.xml", R"(<workbook><sheets><sheet r:id="a"/></sheets></workbook>)", true},
                        {"xl/_rels/workbook.xml.rels",
                         R"(<Relationships><Relationship Id="a" Target="worksheets/s.xml"/></Relationships>)", true},
                        {"xl/worksheets/s.xml", cells, true}});
  }

  std::string map(const std::string& label, const std::string& grouping) const {
    const auto classes = classes_of({label}, load_wheel(folder_.path()).grouping(grouping));
    return classes.empty() ? "" : *classes.begin();
  }

  TemporaryFolder folder_;
};

TEST_F(MertoolsFolder, AFormStandsForTheFirstOfItsBasesInOrderOfSpelling) {
  EXPECT_EQ(map("sadness", "M1"), "sad");
  EXPECT_EQ(map("shame", "M1"), "ashamed");
}

TEST_F(MertoolsFolder, ASynonymStandsForTheFirstOfItsWords) { EXPECT_EQ(map("lowly", "M2"), "alone"); }

TEST_F(MertoolsFolder, ABlankCellRepeatsTheOneAbove) {
  EXPECT_EQ(map("low", "W1-L1"), "sad");
  EXPECT_EQ(map("low", "W1-L2"), "lost");
}

TEST_F(MertoolsFolder, AWordUnderTwoParentsBelongsToTheLater) {
  EXPECT_EQ(map("shame", "W1-L1"), "mad");
  EXPECT_EQ(map("shame", "W1-L2"), "bitter");
}

TEST_F(MertoolsFolder, AnInnerWordHasTheFirstOfItsOuterRing) { EXPECT_EQ(map("sadly", "W1-L2"), "down"); }

TEST_F(MertoolsFolder, AWordOfNoWheelIsDropped) {
  EXPECT_EQ(map("strays", "M1"), "stray");
  EXPECT_EQ(map("strays", "M2"), "");
  EXPECT_EQ(map("sadness", "W2-L1"), "");
  EXPECT_EQ(map("neutral", "M1"), "");
}

TEST_F(MertoolsFolder, AChangedReleaseIsCalledUnknown) {
  EXPECT_EQ(load_wheel(folder_.path()).name, "MERTools (unknown release)");
}

TEST_F(MertoolsFolder, TheHashDependsOnEveryFile) {
  const std::string before = load_wheel(folder_.path()).hash;
  sheet("wheel5.xlsx", {{"level1", "level2", "level3"}, {"other", "thing", "thing"}});
  EXPECT_NE(load_wheel(folder_.path()).hash, before);
}

TEST_F(MertoolsFolder, RefusesAFolderThatLacksAFile) {
  std::filesystem::remove(folder_.path() / "wheel3.xlsx");
  expect_error(
      ErrorKind::data, [&] { load_wheel(folder_.path()); }, "has no wheel3.xlsx", folder_.path().string());
}

TEST_F(MertoolsFolder, RefusesASynonymOfAWordInNoWheel) {
  sheet("wheel2.xlsx", {{"level1", "level2", "level3"}, {"a", "b", "c"}});
  sheet("wheel1.xlsx", {{"level1", "level2", "level3"}, {"a", "b", "c"}});
  expect_error(
      ErrorKind::data, [&] { load_wheel(folder_.path()); }, "'sad' is a word of no wheel", "synonym.xlsx, line 2");
}

TEST_F(MertoolsFolder, RefusesAWheelThatStartsWithABlank) {
  sheet("wheel4.xlsx", {{"level1", "level2", "level3"}, {"other", "", "else"}});
  expect_error(
      ErrorKind::data, [&] { load_wheel(folder_.path()); }, "first row of the wheel is not complete", "wheel4.xlsx, line 2");
}

TEST_F(MertoolsFolder, RefusesAWheelWithoutItsColumns) {
  sheet("wheel4.xlsx", {{"ring1", "ring2", "ring3"}, {"a", "b", "c"}});
  expect_error(
      ErrorKind::data, [&] { load_wheel(folder_.path()); }, "no column 'level1'", "wheel4.xlsx");
}

}  // namespace
}  // namespace microemo::eval
