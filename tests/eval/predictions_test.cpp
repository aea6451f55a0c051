#include "microemo/eval/predictions.h"

#include "formats/support.h"
#include "microemo/base/hash.h"
#include "microemo/formats/npy.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;
using testing::IsEmpty;

class LabelFiles : public testing::Test {
 protected:
  LabelFile read(const std::string& name, const std::string& text) const {
    return read_label_file(test::write(folder_.path() / name, text));
  }
  void expect_refused(const std::string& name, const std::string& text, const std::string& reason,
                      const std::string& place) const {
    expect_error(
        ErrorKind::data, [&] { read(name, text); }, reason, name + place);
  }
  TemporaryFolder folder_;
};

TEST_F(LabelFiles, JsonLinesHaveLabelsOrAnswers) {
  const LabelFile file = read("p.jsonl", R"({"id":"a","labels":["Happy"]}
{"id":"b/1","answer":"The person feels sad.","seconds":1}
)");
  ASSERT_EQ(file.items.size(), 2u);
  EXPECT_THAT(file.items[0].labels, ElementsAre("Happy"));
  EXPECT_THAT(file.items[1].labels, ElementsAre("sad"));
  EXPECT_EQ(file.items[1].clip, "b");
  EXPECT_EQ(file.hash, sha256_file(file.path));
}

TEST_F(LabelFiles, LabelsWinOverTheAnswer) {
  EXPECT_THAT(read("p.jsonl", R"({"id":"a","answer":"sad","labels":[]})").items[0].labels, IsEmpty());
}

TEST_F(LabelFiles, AManifestGivesItsUtterances) {
  const LabelFile file =
      read("m.jsonl", R"({"id":"c","labels":["x"],"utterances":[{"start_s":0,"labels":["a"]},{"start_s":1},{"answer":"b"}]})");
  ASSERT_EQ(file.items.size(), 3u);
  EXPECT_EQ(file.items[2].id, "c/2");
  EXPECT_EQ(file.items[2].clip, "c");
  EXPECT_THAT(file.items[1].labels, IsEmpty());
  EXPECT_THAT(file.items[2].labels, ElementsAre("b"));
}

TEST_F(LabelFiles, AManifestWithoutLabelledUtterancesGivesItsClips) {
  const LabelFile file = read("m.jsonl", R"({"id":"c","labels":["x"],"utterances":[{"start_s":0}]})");
  ASSERT_EQ(file.items.size(), 1u);
  EXPECT_EQ(file.items[0].id, "c");
}

TEST_F(LabelFiles, TablesHoldListsAsText) {
  const LabelFile file = read("p.csv", "name,openset\na,\"['happy', 'sad']\"\nb,nan\nc,\nd,[nan]\n");
  EXPECT_THAT(file.items.at(0).labels, ElementsAre("happy", "sad"));
  EXPECT_THAT(file.items.at(1).labels, IsEmpty());
  EXPECT_THAT(file.items.at(2).labels, IsEmpty());
  EXPECT_THAT(file.items.at(3).labels, ElementsAre("nan"));
}

TEST_F(LabelFiles, ArraysHoldListsAsText) {
  const auto path = folder_.path() / "p-openset.npz";
  formats::write_npz(path, {{"filenames", formats::make_npy(std::vector<std::string>{"a", "b"}, {2})},
                            {"fileitems", formats::make_npy(std::vector<std::string>{"[happy, sad]", "[]"}, {2})}});
  const LabelFile file = read_label_file(path);
  EXPECT_THAT(file.items.at(0).labels, ElementsAre("happy", "sad"));
  EXPECT_THAT(file.items.at(1).labels, IsEmpty());
}

TEST_F(LabelFiles, RefusesArraysOfTwoLengths) {
  const auto path = folder_.path() / "p.npz";
  formats::write_npz(path, {{"filenames", formats::make_npy(std::vector<std::string>{"a", "b"}, {2})},
                            {"fileitems", formats::make_npy(std::vector<std::string>{"[]"}, {1})}});
  expect_error(
      ErrorKind::data, [&] { read_label_file(path); }, "filenames holds 2 items and fileitems 1 items", "p.npz");
}

TEST_F(LabelFiles, RefusesAnIdThatStandsTwice) {
  expect_refused("p.jsonl", "{\"id\":\"a\",\"labels\":[]}\n\n{\"id\":\"a\",\"labels\":[]}\n",
                 "the id 'a' stands on line 1 already", ", line 3");
  expect_refused("p.csv", "name,openset\na,x\na,y\n", "the id 'a' stands on line 2 already", ", line 3");
}

TEST_F(LabelFiles, RefusesALineWithoutLabelsAndAnswer) {
  expect_refused("p.jsonl", "{\"id\":\"a\",\"lable\":[]}\n", "'a' has neither labels nor an answer", ", line 1");
}

TEST_F(LabelFiles, RefusesALineWithoutId) {
  expect_refused("p.jsonl", "{\"labels\":[]}\n", "the key 'id' is missing", ", line 1");
}

TEST_F(LabelFiles, RefusesAnEmptyId) { expect_refused("p.csv", "name,openset\n,x\n", "the id is empty", ", line 2"); }

TEST_F(LabelFiles, RefusesLabelsThatAreNoList) {
  expect_refused("p.jsonl", "{\"id\":\"a\",\"labels\":\"sad\"}\n", "'labels' is \"sad\"", ", line 1");
}

TEST_F(LabelFiles, RefusesALineThatIsNoObject) { expect_refused("p.jsonl", "[1]\n", "an object", ", line 1"); }

TEST_F(LabelFiles, RefusesATableWithOtherColumns) {
  expect_refused("p.csv", "clip,openset\n", "no column 'name'", "");
  expect_refused("p.csv", "name,words\n", "no column 'openset'", "");
}

TEST_F(LabelFiles, RefusesAFileWithoutItems) { expect_refused("p.jsonl", "\n", "the file holds no labels", ""); }

TEST_F(LabelFiles, RefusesOtherKindsOfFiles) { expect_refused("p.txt", "", "end with .jsonl, .csv or .npz, not '.txt'", ""); }

TEST_F(LabelFiles, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [&] { read_label_file(folder_.path() / "absent.jsonl"); }, "absent.jsonl");
}

TEST(Matching, FollowsTheOrderOfTheTruths) {
  const LabelFile predictions{{"p", "", {}, {}}, {{"b", "b", {"x"}, 1}, {"a", "a", {"y"}, 2}}},
      truths{{"t", "", {}, {}}, {{"a", "a", {"1"}, 1}, {"b", "b", {"2"}, 2}}};
  const auto pairs = match_labels(predictions, truths);
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_EQ(pairs[0].id, "a");
  EXPECT_THAT(pairs[0].predicted, ElementsAre("y"));
  EXPECT_THAT(pairs[1].truth, ElementsAre("2"));
}

TEST(Matching, RefusesMissingAndExtraIdsAndListsThem) {
  LabelFile predictions{{"p.jsonl", "", {}, {}}, {{"extra", "extra", {}, 1}}}, truths{{"t.csv", "", {}, {}}, {}};
  for (int i = 0; i < 12; ++i) truths.items.push_back({"id" + std::to_string(i), "", {}, i});
  expect_error(
      ErrorKind::data, [&] { match_labels(predictions, truths); }, "12 of 12 truths have no prediction: id0, id1",
      "id9 and 2 more", "1 of 1 predictions have no truth: extra", "p.jsonl against t.csv");
}

}  // namespace
}  // namespace microemo::eval
