#include "cli/checkpoint_commands.h"
#include "microemo/base/json.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;

struct VerifyCommand : test::CheckpointCommand {
  test::CommandResult verify(const std::string& name, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"verify", model(name), "--reference", model("llama.reference.safetensors")};
    words.insert(words.end(), more.begin(), more.end());
    return microemo(words);
  }
};

TEST_F(VerifyCommand, EndsWithZeroWithinTheTolerance) {
  const test::CommandResult result = verify("llama");
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("hidden_states.2"));
  EXPECT_THAT(result.standard_output, HasSubstr("the same most likely token at 100.00 % of the positions"));
  EXPECT_THAT(result.standard_output, HasSubstr("4 outputs of a llama model, all within the tolerance of 1e-05"));
}

TEST_F(VerifyCommand, EndsWithFourBeyondTheTolerance) {
  const test::CommandResult result = verify("llama", {"--tolerance", "1e-12"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.standard_output, HasSubstr("differs"));
}

TEST_F(VerifyCommand, AToleranceThatIsNoNumberAboveZeroIsAnError) {
  for (const char* tolerance : {"nan", "inf", "0", "x"}) {
    const test::CommandResult result = verify("llama", {"--tolerance", tolerance});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.standard_error, HasSubstr(std::string(tolerance) + " is not a number above 0"));
  }
}

TEST_F(VerifyCommand, AnotherModelIsBeyond) { EXPECT_EQ(verify("mistral").exit_code, 4); }

TEST_F(VerifyCommand, JsonHoldsEveryOutputAlsoWhenTheyDiffer) {
  const test::CommandResult result = verify("mistral", {"--json"});
  EXPECT_EQ(result.exit_code, 4);
  const Json report = parse_json(result.standard_output, "standard output");
  EXPECT_FALSE(report.at("within").get<bool>());
  EXPECT_EQ(report.at("outputs").size(), 4u);
  EXPECT_GT(report.at("outputs").back().at("mean_kl").get<double>(), 0);
}

TEST_F(VerifyCommand, ComputesInTheStoredType) { EXPECT_EQ(verify("llama", {"--type", "stored"}).exit_code, 0); }

TEST_F(VerifyCommand, AFamilyThatCannotBeRunIsOneClearError) {
  write_file_atomic(place.path() / "gemma/config.json", R"({"model_type": "gemma2"})");
  const test::CommandResult result = microemo({"verify", "gemma", "--reference", model("llama.reference.safetensors")});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.standard_error, HasSubstr("the model type 'gemma2' is not supported"));
}

TEST_F(VerifyCommand, AFileThatIsNoRecordingIsAnError) {
  const test::CommandResult result = microemo({"verify", model("llama"), "--reference", model("merged.safetensors")});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.standard_error, HasSubstr("is neither input.NAME nor output.NAME"));
}

TEST_F(VerifyCommand, AReferenceIsNeeded) { EXPECT_EQ(microemo({"verify", model("llama")}).exit_code, 2); }

TEST_F(VerifyCommand, CheckFiniteRefusesANan) {
  expect_check_finite({"verify", "", "--reference", model("qwen2.reference.safetensors")}, "qwen2");
}

}  // namespace
}  // namespace microemo
