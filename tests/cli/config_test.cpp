#include "microemo/base/config.h"
#include "microemo/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/command.h"
#include "support/errors.h"

namespace microemo {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct ConfigCommand : ::testing::Test {
  TemporaryFolder place;

  test::CommandResult config(std::vector<std::string> more) const {
    more.insert(more.begin(), {MICROEMO_BINARY, "config"});
    return test::run_command(more, {.folder = place.path()});
  }
  void file(const std::string& name, const std::string& text) const { write_file_atomic(place.path() / name, text); }
};

TEST_F(ConfigCommand, AcceptsEveryShippedConfiguration) {
  const std::filesystem::path folder = std::filesystem::path(MICROEMO_SOURCE_DIR) / "configs";
  int found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    ++found;
    const std::string command = entry.path().filename().string().starts_with("synth") ? "synth" : "train";
    const std::filesystem::path shared = entry.path().parent_path() / "train.yaml";  // a stage is read after it
    std::vector<std::string> words = {"check", "--for", command, entry.path()};
    if (command == "train" && entry.path() != shared) words.insert(words.end() - 1, shared);
    const test::CommandResult result = config(words);
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  }
  EXPECT_GT(found, 0);
}

TEST_F(ConfigCommand, RefusesAnUnknownKeyWithItsPlaceAndTheNearestName) {
  file("a.yaml", "train:\n  setps: 3\n");
  const test::CommandResult result = config({"check", "a.yaml"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.standard_error,
              HasSubstr("there is no key 'train.setps'; did you mean 'train.steps'?\n  where  a.yaml, line 2, column 3"));
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(ConfigCommand, RefusesFaceWindowsThatLeaveGaps) {
  const test::CommandResult result = config({"check", "model.local.window_s=0.01"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.standard_error, HasSubstr("leave gaps"));
}

TEST_F(ConfigCommand, RefusesAKeyWithoutEffectAndNamesItsSwitch) {
  const test::CommandResult result = config({"check", "model.local.enabled=false", "model.local.window_s=0.3"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.standard_error, HasSubstr("'model.local.window_s' has no effect unless model.local.enabled is true"));
}

TEST_F(ConfigCommand, RefusesAWrongType) { EXPECT_EQ(config({"check", "train.steps=many"}).exit_code, 2); }

TEST_F(ConfigCommand, RefusesAFileThatDoesNotExist) {
  const test::CommandResult result = config({"check", "none.yaml"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.standard_error, HasSubstr("where  none.yaml"));
}

TEST_F(ConfigCommand, RefusesBrokenYaml) {
  file("a.yaml", "train: [1\n");
  const test::CommandResult result = config({"print", "a.yaml"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.standard_error, StartsWith("error (config): broken YAML"));
}

TEST_F(ConfigCommand, RefusesACommandWithoutConfiguration) { EXPECT_EQ(config({"check", "--for", "score"}).exit_code, 2); }

TEST_F(ConfigCommand, PrintsOriginsAndLoadsItsOwnOutput) {
  file("a.yaml", "train:\n  steps: 7\n");
  const test::CommandResult first = config({"print", "a.yaml", "train.seed=5"});
  ASSERT_EQ(first.exit_code, 0) << first.standard_error;
  EXPECT_THAT(first.standard_output, HasSubstr("  steps: 7  # a.yaml:2\n"));
  EXPECT_THAT(first.standard_output, HasSubstr("  seed: 5  # command line\n"));
  file("b.yaml", first.standard_output);
  EXPECT_EQ(config({"print", "--json", "b.yaml"}).standard_output,
            config({"print", "--json", "a.yaml", "train.seed=5"}).standard_output);
}

TEST_F(ConfigCommand, ListsDifferences) {
  file("a.yaml", "train: {steps: 7}\n");
  file("b.json", "{\"train\": {\"steps\": 8}}");
  EXPECT_EQ(config({"diff", "a.yaml", "b.json"}).standard_output, "train.steps: 7 -> 8\n");
  EXPECT_EQ(config({"diff", "a.yaml", "a.yaml"}).standard_output, "no difference\n");
}

TEST_F(ConfigCommand, ComparesRunFoldersByWhatTheyRecorded) {
  file("one/config.json", "{\"train\": {\"steps\": 7}}");
  file("two/config.json", "{\"train\": {\"steps\": 9}}");
  const Json rows = parse_json(config({"diff", "--json", "one", "two"}).standard_output, "standard output");
  EXPECT_EQ(rows, (Json::array({{{"key", "train.steps"}, {"left", 7}, {"right", 9}}})));
}

TEST_F(ConfigCommand, WritesTheReferencePage) {
  ASSERT_EQ(config({"reference", "--output", "page.md"}).exit_code, 0);
  EXPECT_THAT(read_file(place.path() / "page.md"),
              HasSubstr("| `train.steps` | a whole number | `1000` | at least 1, at most 1000000000 |"));
}

TEST_F(ConfigCommand, ThePageInTheDocumentationIsUpToDate) {
  EXPECT_EQ(config({"reference"}).standard_output, read_file(std::string(MICROEMO_SOURCE_DIR) + "/docs/configuration.md"))
      << "run: microemo config reference --output docs/configuration.md";
}

}  // namespace
}  // namespace microemo
