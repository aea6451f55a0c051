#include "microemo/eval/label_writer.h"

#include "formats/support.h"
#include "microemo/formats/npy.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;

const std::vector<LabelledItem> items = {{"a", "a", {"happy", "let down"}}, {"b/0", "b", {}}, {"c", "c", {"高兴", "[odd]"}}};

class WrittenLabels : public testing::TestWithParam<std::string> {
 protected:
  TemporaryFolder folder_;
};

TEST_P(WrittenLabels, AreReadBack) {
  const auto path = folder_.path() / ("x-openset" + GetParam());
  write_label_file(path, items);
  const LabelFile file = read_label_file(path);
  ASSERT_EQ(file.items.size(), items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(file.items[i].id, items[i].id);
    EXPECT_EQ(file.items[i].labels, items[i].labels);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, WrittenLabels, testing::Values(".npz", ".csv", ".jsonl"),
                         [](const auto& form) { return form.param.substr(1); });

TEST_P(WrittenLabels, KeepWhatMadeThem) {
  const auto path = folder_.path() / ("x-openset" + GetParam());
  const auto extractors = [&](const std::vector<std::string>& names) {
    std::vector<LabelledItem> made = items;
    for (size_t i = 0; i < made.size(); ++i) made[i].extractor = names[i];
    write_label_file(path, made);
    const LabelFile file = read_label_file(path);
    for (size_t i = 0; i < made.size(); ++i) EXPECT_EQ(file.items[i].extractor, names[i]);
    return file.extractors;
  };
  EXPECT_THAT(extractors({"mertools-1:a, \"b\"", "mertools-1:a, \"b\"", "mertools-1:a, \"b\""}),
              ElementsAre("mertools-1:a, \"b\""));
  EXPECT_THAT(extractors({"rules-1", "", "模型-2"}), ElementsAre("given labels", "rules-1", "模型-2"));
  EXPECT_THAT(extractors({"", "", "m"}), ElementsAre("given labels", "m"));
  EXPECT_THAT(extractors({"", "", ""}), ElementsAre("given labels"));
}

class LabelWriter : public testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(LabelWriter, ArraysAreTextsAsThePublicCodeWritesThem) {
  write_label_file(folder_.path() / "x.npz", items);
  const formats::NpzFile file(folder_.path() / "x.npz");
  EXPECT_THAT(file.names(), ElementsAre("filenames", "fileitems"));
  EXPECT_EQ(file.read("fileitems").texts[0], "[happy, let down]");
}

TEST_F(LabelWriter, AnExtractorIsAnArrayBesideThem) {
  write_label_file(folder_.path() / "x.npz", {{"a", "a", {"happy"}, 1, "m:1"}, {"b", "b", {}, 2, "m:1"}});
  const formats::NpzFile file(folder_.path() / "x.npz");
  EXPECT_THAT(file.names(), ElementsAre("filenames", "fileitems", "extractor"));
  EXPECT_EQ(file.read("fileitems").texts[0], "[happy]");
  EXPECT_THAT(file.read("extractor").shape, testing::IsEmpty());
  EXPECT_THAT(file.read("extractor").texts, ElementsAre("m:1"));
  write_label_file(folder_.path() / "x.csv", items);
  EXPECT_THAT(read_file(folder_.path() / "x.csv"), testing::StartsWith("name,openset\n"));
}

TEST_F(LabelWriter, RefusesLabelsThatTextCannotHold) {
  for (const std::string label : {"don't know", "a, b", " x", "", "\"x\""})
    for (const char* name : {"x.npz", "x.csv"})
      expect_error(
          ErrorKind::data,
          [&] {
            write_label_file(folder_.path() / name, {{"a", "a", {label}}});
          },
          "the labels of 'a' cannot be kept", name);
}

TEST_F(LabelWriter, LinesHoldAnyLabel) {
  write_label_file(folder_.path() / "x.jsonl", {{"a", "a", {"don't know", " x, y"}}});
  EXPECT_THAT(read_label_file(folder_.path() / "x.jsonl").items[0].labels, ElementsAre("don't know", " x, y"));
}

TEST_F(LabelWriter, RefusesOtherEnds) {
  expect_error(
      ErrorKind::data, [&] { write_label_file(folder_.path() / "x.txt", items); }, "not '.txt'", "x.txt");
}

TEST_F(LabelWriter, RefusesAPlaceThatCannotBeWritten) {
  test::write(folder_.path() / "file", "");
  expect_error(
      ErrorKind::environment, [&] { write_label_file(folder_.path() / "file" / "x.jsonl", items); }, "file");
}

}  // namespace
}  // namespace microemo::eval
