#include <fstream>

#include "formats/support.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/eval/predictions.h"
#include "support/command.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;

const std::string small = test::data_folder() / "eval" / "wheels";

struct ImportCommand : ::testing::Test {
  TemporaryFolder place;
  test::CommandResult run(std::vector<std::string> words) const {
    words.insert(words.begin(), {MICROEMO_BINARY, "data", "import"});
    return test::run_command(words, {.folder = place.path()});
  }
};

TEST_F(ImportCommand, SaysWhenWheelsAreOfNoRelease) {
  const test::CommandResult result = run({"wheels", small, "--out", "copy"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_output, HasSubstr("wheel1.xlsx   " + sha256_file(small + "/wheel1.xlsx") + "  no known release"));
  EXPECT_FALSE(std::filesystem::exists(place.path() / "copy"));
}

TEST_F(ImportCommand, ChecksAndCopiesARelease) {
  MICROEMO_SKIP_WITHOUT_EMER();
  for (const std::string release : {"2025", "2026"}) {
    const std::string folder = test::emer_folder() / ("wheel" + release);
    const test::CommandResult result = run({"wheels", folder, "--out", "copy", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    EXPECT_EQ(parse_json(result.standard_output, "standard output").at("release"), release);
    EXPECT_EQ(sha256_file(place.path() / "copy" / ("wheel" + release) / "format.csv"), sha256_file(folder + "/format.csv"));
  }
}

TEST_F(ImportCommand, RefusesAFolderThatLacksAFile) {
  const test::CommandResult result = run({"wheels", "."});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("the folder of wheels has no wheel1.xlsx"));
}

TEST_F(ImportCommand, TurnsLabelsIntoThePublicForm) {
  test::write(place.path() / "l.jsonl", "{\"id\":\"a\",\"labels\":[\"happy\",\"sad\"]}\n{\"id\":\"b\",\"labels\":[]}\n");
  const test::CommandResult result = run({"labels", "l.jsonl", "--out", "x-openset.npz"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(result.standard_output, "2 items, 1 of them without labels; extractor given labels: x-openset.npz\n");
  EXPECT_EQ(eval::read_label_file(place.path() / "x-openset.npz").items[0].labels, (std::vector<std::string>{"happy", "sad"}));
}

TEST_F(ImportCommand, KeepsTheExtractorThroughEveryForm) {
  test::write(place.path() / "l.jsonl", "{\"id\":\"a\",\"labels\":[\"happy\"],\"extractor\":\"mertools-1:m@2\"}\n");
  std::string source = "l.jsonl";
  for (const std::string out : {"x-openset.npz", "x.csv", "x.jsonl"}) {
    const test::CommandResult result = run({"labels", source, "--out", out});
    ASSERT_EQ(result.exit_code, 0) << result.standard_error;
    EXPECT_EQ(result.standard_output, "1 items, 0 of them without labels; extractor mertools-1:m@2: " + out + "\n");
    source = out;
    const test::CommandResult scored =
        test::run_command({MICROEMO_BINARY, "score", out, "l.jsonl", "--json"}, {.folder = place.path()});
    EXPECT_EQ(parse_json(scored.standard_output, "standard output").at("extractor"), "mertools-1:m@2") << scored.standard_error;
  }
  test::write(place.path() / "answers.csv", "name,answer\na,She feels happy.\n");
  ASSERT_EQ(run({"labels", "answers.csv", "--out", "y.npz"}).exit_code, 0);
  EXPECT_THAT(eval::read_label_file(place.path() / "y.npz").extractors, testing::ElementsAre("rules-1"));
}

TEST_F(ImportCommand, RefusesAnExtractorThatIsNoName) {
  test::write(place.path() / "l.jsonl", "{\"id\":\"a\",\"labels\":[\"happy\"],\"extractor\":3}\n");
  test::write(place.path() / "l.csv", "name,openset,extractor\na,happy," + std::string(100'000, 'm') + "\n");
  for (const char* source : {"l.jsonl", "l.csv"}) {
    const test::CommandResult result = run({"labels", source, "--out", "x.npz"});
    EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data)) << source;
    EXPECT_LT(result.standard_error.size(), 1000u);
    EXPECT_FALSE(std::filesystem::exists(place.path() / "x.npz"));
  }
}

TEST_F(ImportCommand, RefusesLabelsThatTheFormCannotHold) {
  test::write(place.path() / "l.jsonl", "{\"id\":\"a\",\"labels\":[\"don't know\"]}\n");
  const test::CommandResult result = run({"labels", "l.jsonl", "--out", "x.npz"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("the labels of 'a' cannot be kept as a list in text"));
  EXPECT_FALSE(std::filesystem::exists(place.path() / "x.npz"));
}

TEST_F(ImportCommand, TellsWhatItLeavesOutOfLabels) {
  const auto told = [&](const std::string& more) {
    test::write(place.path() / "l.jsonl", "{\"id\":\"a\",\"labels\":[\"x\"]" + more + "}\n");
    return run({"labels", "l.jsonl", "--out", "m.csv"}).standard_error;
  };
  EXPECT_EQ(told(""), "");
  for (const char* more : {",\"speaker\":\"s\"", ",\"dialogue\":\"d\"", ",\"split\":\"test\""})
    EXPECT_THAT(told(more), HasSubstr("dialogues, speakers and splits are not kept"));
}

TEST_F(ImportCommand, KeepsTheLabelsThatItReads) {
  const std::string line = "{\"id\":\"a\",\"labels\":[\"x\"],\"answer\":\"It is x.\"}\n";
  test::write(place.path() / "l.jsonl", line);
  const test::CommandResult result = run({"labels", "l.jsonl", "--out", "./l.jsonl"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("--out would overwrite a file that is read"));
  EXPECT_EQ(read_file(place.path() / "l.jsonl"), line);
}

TEST_F(ImportCommand, RefusesAMissingFile) {
  EXPECT_EQ(run({"labels", "absent.csv", "--out", "x.npz"}).exit_code, exit_code(ErrorKind::data));
  EXPECT_EQ(run({"labels", "absent.csv"}).exit_code, exit_code(ErrorKind::config));
}

}  // namespace
}  // namespace microemo
