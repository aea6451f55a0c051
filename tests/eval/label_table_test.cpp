#include "microemo/eval/label_table.h"

#include "formats/support.h"
#include "microemo/base/hash.h"
#include "microemo/eval/metrics.h"
#include "microemo/formats/npy.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class LabelTables : public testing::Test {
 protected:
  LabelTable read(const std::string& name, const std::string& text, LabelContent content = LabelContent::labels) {
    return read_label_table(test::write(folder_.path() / name, text), words_, content);
  }
  LabelTable read_golden(const std::string& name, LabelContent content = LabelContent::labels) {
    return read_label_table(test::data_folder() / "eval" / name, words_, content);
  }
  std::vector<std::string> labels(const LabelTable& table, size_t item) const {
    std::vector<std::string> texts;
    for (const uint32_t word : table.labels_of(item)) texts.push_back(words_.text(word));
    return texts;
  }
  void expect_refused(const std::string& name, const std::string& text, const std::string& reason, const std::string& place) {
    expect_error(
        ErrorKind::data, [&] { read(name, text); }, reason, name + place);
  }
  Vocabulary words_;
  TemporaryFolder folder_;
};

TEST_F(LabelTables, LinesHaveAnIdOrANameAndLabelsInSeveralForms) {
  const LabelTable table = read("p.jsonl", R"({"id":"a","labels":["Happy","sad"]}
{"name":"b","openset":["calm"]}
{"name":"c","openset":"['happy', \"proud\"]"}
{"id":"d","answer":"The person feels tired."}
{"id":"e","emotion":"anger"}
{"id":"f","openset":null}
)");
  ASSERT_EQ(table.size(), 6u);
  EXPECT_THAT(labels(table, 0), ElementsAre("Happy", "sad"));
  EXPECT_THAT(labels(table, 1), ElementsAre("calm"));
  EXPECT_THAT(labels(table, 2), ElementsAre("happy", "proud"));
  EXPECT_THAT(labels(table, 3), ElementsAre("tired"));
  EXPECT_THAT(labels(table, 4), ElementsAre("anger"));
  EXPECT_THAT(labels(table, 5), IsEmpty());
  EXPECT_EQ(table.id(3), "d");
  EXPECT_EQ(table.lines[5], 6u);
  EXPECT_THAT(table.keys, UnorderedElementsAre("answer", "emotion", "labels", "openset"));
  EXPECT_EQ(table.hash, sha256_file(table.path));
}

TEST_F(LabelTables, NameWhatMadeTheirLabels) {
  EXPECT_THAT(read("a.jsonl", R"({"id":"a","labels":["x"],"extractor":"m:1"}
{"id":"b","labels":["x\n"],"extractor":"m:2"}
{"id":"c","labels":[]}
{"id":"d","answer":"happy","extractor":"none"}
{"id":"e","extractor":"whole","utterances":[{"labels":[]},{"labels":[],"extractor":"part"},{}]}
)")
                  .extractors,
              UnorderedElementsAre("given labels", "m:1", "m:2", "part", "rules-1", "whole"));
  EXPECT_THAT(read("a.csv", "name,openset,extractor\na,x,m\nb,y,\n").extractors, UnorderedElementsAre("given labels", "m"));
  EXPECT_THAT(read("b.csv", "name,answer\na,happy\n").extractors, UnorderedElementsAre("rules-1"));
  EXPECT_THAT(
      read("c.jsonl", "{\"id\":\"a\",\"sentiment\":\"positive\",\"extractor\":\"m\"}", LabelContent::sentiment).extractors,
      UnorderedElementsAre("m"));
  EXPECT_THAT(read_golden("objects-openset.npz").extractors, UnorderedElementsAre("given labels"));
  EXPECT_THAT(read_golden("answers.npz").extractors, UnorderedElementsAre("rules-1"));
}

TEST_F(LabelTables, EveryItemKnowsWhatMadeItsLabels) {
  const auto makers = [](const LabelTable& table) {
    std::vector<std::string> names;
    for (const uint32_t maker : table.made_by) names.push_back(maker == no_number ? "-" : table.names.text(maker));
    return names;
  };
  EXPECT_THAT(makers(read("a.jsonl", R"({"id":"a","labels":["x"],"extractor":"m:1","dialogue":"m:1"}
{"id":"b","answer":"happy","extractor":"m:1"}
{"id":"c","labels":["\u0041"]}
{"id":"d","extractor":"whole","utterances":[{"labels":[]},{},{"labels":[],"extractor":"part"}]}
)")),
              ElementsAre("m:1", "rules-1", "given labels", "whole", "-", "part"));
  EXPECT_THAT(makers(read("a.csv", "name,openset,extractor\na,x,m\nb,y,\nc,z,m\n")), ElementsAre("m", "given labels", "m"));
  EXPECT_THAT(makers(read_golden("answers.npz")), ElementsAre("rules-1", "rules-1"));
}

TEST_F(LabelTables, AnArchiveMayNameOneExtractorOrOneForEveryItem) {
  EXPECT_THAT(read_golden("extractor-openset.npz").extractors, UnorderedElementsAre("mertools-1:m"));
  EXPECT_THAT(labels(read_golden("extractor-openset.npz"), 0), ElementsAre("happy", "sad"));
  EXPECT_THAT(read_golden("extractors-openset.npz").extractors, UnorderedElementsAre("given labels", "mertools-1:m", "rules-1"));
}

TEST_F(LabelTables, RefuseAnArchiveWhoseExtractorIsNoText) {
  const std::string message = "the array 'extractor' must be one text, or one for each of the ";
  expect_error(
      ErrorKind::data, [&] { read_golden("bad-extractor-openset.npz"); }, message + "3 items", "bad-extractor-openset.npz");
  const auto path = folder_.path() / "x.npz";
  const auto texts = [](std::vector<std::string> values, std::vector<int64_t> shape) {
    return formats::make_npy(std::move(values), std::move(shape));
  };
  for (const formats::NpyArray& extractor :
       {formats::make_npy(std::vector<double>{1}, {}), formats::make_npy(std::vector<int64_t>{1, 2}, {2}), texts({}, {0}),
        texts({"a", "b", "c"}, {3}), texts({"a", "b"}, {1, 2}), texts({"a", "b"}, {2, 1})}) {
    formats::write_npz(
        path, {{"filenames", texts({"a", "b"}, {2})}, {"fileitems", texts({"[x]", "[]"}, {2})}, {"extractor", extractor}});
    expect_error(
        ErrorKind::data, [&] { read_label_table(path, words_); }, message + "2 items", "x.npz");
  }
}

TEST_F(LabelTables, RefuseAnExtractorThatNoResultCouldName) {
  const std::string longest(1000, 'm');
  EXPECT_THAT(read("a.csv", "name,openset,extractor\na,x," + longest + "\n").extractors, UnorderedElementsAre(longest));
  expect_refused("a.csv", "name,openset,extractor\na,x," + longest + "m\n", "the extractor's name has 1001 bytes", ", line 2");
  expect_refused("a.jsonl", "{\"id\":\"a\",\"labels\":[],\"extractor\":\"" + longest + "m\"}", "has 1001 bytes", ", line 1");
  expect_refused("a.jsonl", "{\"id\":\"a\",\"emo\":\"x\",\"extractor\":\"" + longest + "m\"}", "has 1001 bytes", ", line 1");
  const auto path = folder_.path() / "x.npz";
  formats::write_npz(path, {{"filenames", formats::make_npy({"a"}, {1})},
                            {"fileitems", formats::make_npy({"[x]"}, {1})},
                            {"extractor", formats::make_npy({longest + "m"}, {})}});
  expect_error(
      ErrorKind::data, [&] { read_label_table(path, words_); }, "has 1001 bytes", "x.npz");
}

TEST_F(LabelTables, RefuseTwoExtractorsOfOneItem) {
  expect_refused("a.csv", "name,openset,extractor,extractor\na,x,m,n\n", "two columns are called 'extractor'", ", line 1");
  expect_refused("a.jsonl", R"({"id":"a","labels":["x"],"extractor":"m","extractor":"n"})", "a second time", ", line 1");
  expect_refused("a.jsonl", R"({"id":"a","labels":["x"],"extractor":["m","n"]})", "'extractor' is", ", line 1");
}

TEST_F(LabelTables, NameTheirSplits) {
  EXPECT_THAT(read("a.jsonl",
                   "{\"id\":\"a\",\"labels\":[],\"split\":\"test\"}\n{\"id\":\"b\",\"emotion\":\"x\",\"split\":\"dev\"}\n"
                   "{\"id\":\"c\",\"labels\":[]}")
                  .splits,
              UnorderedElementsAre("dev", "test"));
  EXPECT_THAT(read("a.csv", "name,openset,split\na,x,test\n").splits, UnorderedElementsAre("test"));
  EXPECT_THAT(read("b.csv", "name,openset\na,x\n").splits, IsEmpty());
}

TEST_F(LabelTables, RefuseExtractorsAndSplitsThatAreNoText) {
  expect_refused("a.jsonl", "{\"id\":\"a\",\"labels\":[],\"extractor\":[\"m\"]}", "'extractor' is", ", line 1");
  expect_refused("a.jsonl", "{\"id\":\"a\",\"labels\":[],\"split\":3}", "'split' is", ", line 1");
}

TEST_F(LabelTables, TakeTheAnswersOfAnEvaluation) {
  const LabelTable table = read("answers.jsonl", "{\"clip\":\"a\",\"utterance\":3,\"answer\":\"She feels sad.\"}");
  EXPECT_EQ(table.id(0), "a/3");
  EXPECT_THAT(labels(table, 0), ElementsAre("sad"));
  expect_refused("b.jsonl", "{\"clip\":\"a\",\"answer\":\"\"}", "the key 'id' is missing", ", line 1");
  expect_refused("c.jsonl", "{\"clip\":\"a\",\"utterance\":\"0\",\"answer\":\"\"}", "'utterance' is", ", line 1");
}

TEST_F(LabelTables, PlainLinesAndLinesWithEscapesReadAlike) {
  const LabelTable plain = read("a.jsonl", "{\"id\":\"a\",\"labels\":[\"高兴\",\"\"],\"dialogue\":\"d\"}");
  const LabelTable escaped = read("b.jsonl", "{\"id\":\"a\",\"labels\":[\"\\u9ad8\\u5174\",\"\"],\"dialogue\":\"d\"}");
  EXPECT_THAT(labels(plain, 0), ElementsAre("高兴", ""));
  EXPECT_EQ(labels(plain, 0), labels(escaped, 0));
  EXPECT_EQ(plain.dialogues.size(), escaped.dialogues.size());
}

TEST_F(LabelTables, ElementsOfAListStayAsTheyAre) {
  EXPECT_THAT(labels(read("p.jsonl", R"({"id":"a","labels":["happy, sad"," x "]})"), 0), ElementsAre("happy, sad", " x "));
}

TEST_F(LabelTables, DialoguesAndSpeakersAreNamedWhereTheLineHasThem) {
  const LabelTable table =
      read("m.jsonl", R"({"id":"c","speaker":"ann","utterances":[{"labels":["a"]},{"labels":["b"],"speaker":"bob"}]}
{"id":"d","labels":[]}
)");
  ASSERT_EQ(table.speakers.size(), 3u);
  EXPECT_EQ(table.names.text(table.speakers[0]), "ann");
  EXPECT_EQ(table.names.text(table.speakers[1]), "bob");
  EXPECT_EQ(table.speakers[2], no_number);
  EXPECT_THAT(table.dialogues, IsEmpty());
}

TEST_F(LabelTables, TablesMayUseOtherNamesForTheirColumns) {
  const LabelTable table = read("g.csv", "names,emotions,subtitles\na,angry,\"no, never\"\nb,\"happy, sad\",\n");
  EXPECT_EQ(table.id(0), "a");
  EXPECT_THAT(labels(table, 0), ElementsAre("angry"));
  EXPECT_THAT(labels(table, 1), ElementsAre("happy", "sad"));
}

TEST_F(LabelTables, PickledListsAreReadAsData) {
  const LabelTable table = read_golden("objects-openset.npz");
  ASSERT_EQ(table.size(), 3u);
  EXPECT_THAT(labels(table, 0), ElementsAre("happy", "sad"));
  EXPECT_THAT(labels(table, 1), IsEmpty());
  EXPECT_THAT(labels(table, 2), ElementsAre("Angry"));
}

TEST_F(LabelTables, ListsOfOneLengthAreAMatrix) {
  EXPECT_THAT(labels(read_golden("matrix-openset.npz"), 1), ElementsAre("calm", "proud"));
}

TEST_F(LabelTables, PickledTextsListsAndNothingMayBeMixed) {
  const LabelTable table = read_golden("mixed-openset.npz");
  EXPECT_THAT(labels(table, 0), ElementsAre("happy", "sad"));
  EXPECT_THAT(labels(table, 1), ElementsAre("calm", "proud"));
  EXPECT_THAT(labels(table, 2), IsEmpty());
}

TEST_F(LabelTables, ADictionaryOfAnswersGivesTheirLabels) {
  const LabelTable table = read_golden("answers.npz");
  EXPECT_EQ(table.id(1), "b");
  EXPECT_THAT(labels(table, 1), ElementsAre("sad", "tired"));
}

TEST_F(LabelTables, ASentimentIsTakenAsItStands) {
  const LabelTable lines = read("s.jsonl",
                                "{\"id\":\"a\",\"sentiment\":\"[positive]\"}\n{\"id\":\"b\",\"sentiment\":\"positive,\"}\n{"
                                "\"id\":\"c\",\"sentiment\":\"\"}",
                                LabelContent::sentiment);
  EXPECT_THAT(labels(lines, 0), ElementsAre("[positive]"));
  EXPECT_THAT(labels(lines, 1), ElementsAre("positive,"));
  EXPECT_THAT(labels(lines, 2), IsEmpty());
  const LabelTable table = read("s.csv", "name,sentiment\na,'positive'\nb,NA\n", LabelContent::sentiment);
  EXPECT_THAT(labels(table, 0), ElementsAre("'positive'"));
  EXPECT_THAT(labels(table, 1), IsEmpty());
  EXPECT_THAT(labels(read("o.csv", "name,openset\na,['positive']\n", LabelContent::sentiment), 0), ElementsAre("positive"));
}

TEST_F(LabelTables, SentimentPrefersItsOwnKeys) {
  const LabelTable table =
      read("s.jsonl", "{\"id\":\"a\",\"labels\":[\"happy\"],\"val\":-0.4}\n{\"id\":\"b\",\"sentiment\":\"positive\"}",
           LabelContent::sentiment);
  EXPECT_THAT(labels(table, 0), ElementsAre("-0.4"));
  EXPECT_THAT(labels(table, 1), ElementsAre("positive"));
  EXPECT_THAT(labels(read_golden("valences.npz", LabelContent::sentiment), 1), ElementsAre("-0.25"));
}

TEST_F(LabelTables, RefuseAPickledObjectByItsName) {
  expect_error(
      ErrorKind::data, [&] { read_golden("stranger.npz"); }, "Stranger", "stranger.npz");
}

TEST_F(LabelTables, RefuseAnArchiveWithoutTheArrays) {
  const auto path = folder_.path() / "x.npz";
  formats::write_npz(path, {{"names", formats::make_npy(std::vector<std::string>{"a"}, {1})}});
  expect_error(
      ErrorKind::data, [&] { read_label_table(path, words_); }, "filenames.npy", "x.npz");
}

TEST_F(LabelTables, RefuseBrokenFiles) {
  expect_refused("x.npz", "PK\x03\x04 and no more", "zip", "");
  expect_refused("p.csv", "name,openset\na,[happy, sad]\n", "the record has 3 fields, the header has 2", ", line 2");
  expect_refused("p.csv", "name,openset\na\n", "the record has 1 fields", ", line 2");
  expect_refused("p.csv", "name,openset\na,\"[happy]\n", "does not end", ", line 2");
  expect_refused("p.csv", "name,openset\na,\xff\n", "not UTF-8", ", line 2");
  expect_refused("p.jsonl", "{\"id\":\"a\",\"labels\":[\"x\"]\n", "broken JSON", ", line 1");
  expect_refused("p.jsonl", "{\"id\":\"a\",\"labels\":[\"\xff\"]}\n", "broken JSON", ", line 1");
  expect_refused("p.jsonl", "{\"id\":\"a\",\"openset\":{\"x\":1}}\n", "neither text, a number, nor a list of them", ", line 1");
  expect_refused("p.jsonl", "{\"id\":\"a\",\"openset\":true}\n", "neither text, a number, nor a list of them", ", line 1");
  expect_refused("p.jsonl", "{\"id\":\"a\",\"openset\":[[]]}\n", "neither text, a number, nor a list of them", ", line 1");
  expect_refused("p.jsonl", "{\"id\":\"a\",\"labels\":[],\"labels\":[]}\n", "a second time", ", line 1");
  expect_refused("p.jsonl", "{\"id\":1,\"labels\":[]}\n", "'id' is 1", ", line 1");
}

TEST_F(LabelTables, RefuseACutArchive) {
  const std::string whole = read_file(test::data_folder() / "eval" / "matrix-openset.npz");
  for (size_t size = 0; size < whole.size(); size += 7)
    expect_error(
        ErrorKind::data, [&] { read("d.npz", whole.substr(0, size)); }, "d.npz");
}

TEST_F(LabelTables, AnArchiveWithADamagedByteIsReadRightOrRefused) {
  const std::string whole = read_file(test::data_folder() / "eval" / "matrix-openset.npz");
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(~damaged[at]);
    try {
      EXPECT_THAT(labels(read("d.npz", damaged), 1), ElementsAre("calm", "proud")) << at;
    } catch (const Error& mistake) {
      EXPECT_EQ(mistake.kind(), ErrorKind::data) << at;
    }
  }
}

TEST_F(LabelTables, RefuseATwinAmongManyIds) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += fmt::format("{{\"id\":\"clip{}\",\"labels\":[]}}\n", i);
  EXPECT_EQ(read("many.jsonl", lines).size(), 1000u);
  expect_refused("many.jsonl", lines + "{\"name\":\"clip500\",\"openset\":[]}\n", "the id 'clip500' stands on line 501 already",
                 ", line 1001");
}

TEST_F(LabelTables, RefuseATwinInAnyOrderOfIds) {
  const auto lines = [](const std::vector<std::string>& ids) {
    std::string text = "name,openset\n";
    for (const std::string& id : ids) text += id + ",x\n";
    return text;
  };
  expect_refused("p.csv", lines({"a", "a"}), "'a' stands on line 2 already", ", line 3");
  expect_refused("p.csv", lines({"a", "b", "a"}), "'a' stands on line 2 already", ", line 4");
  expect_refused("p.csv", lines({"b", "a", "c", "c"}), "'c' stands on line 4 already", ", line 5");
  expect_refused("p.csv", lines({"c", "b", "a", "c"}), "'c' stands on line 2 already", ", line 5");
  expect_refused("p.csv", lines({"b", "a", "b", "c", "a", "b"}),
                 "the id 'b' stands on line 2 already; 2 more stand twice: a (line 6), b (line 7)", ", line 4");
  EXPECT_EQ(read("p.csv", lines({"b", "c", "a", "d"})).size(), 4u);
}

TEST_F(LabelTables, RefuseMoreLabelsThanAnyoneNames) {
  std::string line = "{\"id\":\"a\",\"labels\":[\"x\"";
  for (int i = 0; i < 65'535; ++i) line += ",\"x\"";
  expect_refused("p.jsonl", line + "]}", "'a' has 65536 labels", ", line 1");
}

TEST_F(LabelTables, MatchInTheOrderOfTheTruths) {
  const LabelTable predictions = read("p.csv", "name,openset\na,x\nb,y\nc,z\n"),
                   truths = read("t.csv", "name,openset\nc,z\na,x\n");
  const TableMatch match = match_tables(predictions, truths);
  EXPECT_THAT(match.prediction_of, ElementsAre(2u, 0u));
  EXPECT_THAT(match.extra, ElementsAre(1u));
}

TEST_F(LabelTables, ATruthWithoutPredictionIsListedBesideWhatIsTooMuch) {
  const LabelTable predictions = read("p.csv", "name,openset\na,x\nq,y\n"), truths = read("t.csv", "name,openset\nc,z\na,x\n");
  expect_error(
      ErrorKind::data, [&] { match_tables(predictions, truths); },
      "1 of 2 truths have no prediction: c; 1 of 2 predictions have no truth: q", "p.csv against");
}

TEST_F(LabelTables, IdsThatDifferInCaseOrBlanksAreToldAndNotTakenForOneAnother) {
  for (const auto& [truth, prediction] :
       {std::pair("Clip1", "clip1"), std::pair("clip1", "clip1 "), std::pair("Ä", "ä"), std::pair("clip1", "\u3000clip1")})
    expect_error(
        ErrorKind::data,
        [&, truth = truth, prediction = prediction] {
          match_tables(read("p.csv", fmt::format("name,openset\nb,x\n{},y\n", prediction)),
                       read("t.csv", fmt::format("name,openset\n{},x\nb,y\n", truth)));
        },
        "1 of 2 truths have no prediction", fmt::format("'{}' and '{}' differ in the case of letters", truth, prediction));
  expect_error(
      ErrorKind::data, [&] { match_tables(read("p.csv", "name,openset\nb,x\n"), read("t.csv", "name,openset\na,x\n")); },
      "have no prediction", "score files of the same ids");
}

TEST(ClipIds, AreWhatStandsBeforeTheNumberOfAnUtterance) {
  EXPECT_EQ(clip_of_id("a/b/12"), "a/b");
  for (const char* id : {"a", "a/", "/1", "a/x1", "a/1x", ""}) EXPECT_EQ(clip_of_id(id), id);
}

}  // namespace
}  // namespace microemo::eval
