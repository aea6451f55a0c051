#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "support/command.h"

namespace microemo::test {

/// Runs `microemo` in a folder of its own; `models` holds the tiny public models of tests/reference/hf_decoders.py.
struct CheckpointCommand : ::testing::Test {
  TemporaryFolder place;
  const std::filesystem::path models = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";

  CommandResult microemo(std::vector<std::string> words) const {
    words.insert(words.begin(), MICROEMO_BINARY);
    return run_command(words, {.folder = place.path()});
  }
  Json json(std::vector<std::string> words) const {
    words.push_back("--json");
    const CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return parse_json(result.standard_output, "standard output");
  }
  std::string model(const std::string& name) const { return models / name; }

  /// A copy of a model of one safetensors file in which the last 4 bytes, a float of its last tensor, are a NaN.
  std::string model_with_nan(const std::string& name) const {
    const std::filesystem::path folder = place.path() / ("nan-" + name);
    std::filesystem::copy(models / name, folder, std::filesystem::copy_options::recursive);
    std::fstream file(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.exceptions(std::ios::failbit);
    file.seekp(-4, std::ios::end);
    file.write("\x00\x00\xc0\x7f", 4);
    return folder;
  }

  /// `words` run a command on the model that is named in words[1]: with --check-finite it refuses the one with a NaN alone.
  void expect_check_finite(std::vector<std::string> words, const std::string& name) const {
    words[1] = model_with_nan(name);
    EXPECT_THAT(microemo(words).standard_error, testing::Not(testing::HasSubstr("no finite numbers")));
    words.push_back("--check-finite");
    const CommandResult refused = microemo(words);
    EXPECT_EQ(refused.exit_code, 4);
    EXPECT_THAT(refused.standard_error, testing::HasSubstr("1 of 26 tensors hold values that are no finite numbers"));
    EXPECT_THAT(refused.standard_error, testing::HasSubstr("1 NaN, 0 infinite of "));
    EXPECT_THAT(refused.standard_output, testing::IsEmpty());
    words[1] = model(name);
    EXPECT_EQ(microemo(words).exit_code, 0);
  }
};

}  // namespace microemo::test
