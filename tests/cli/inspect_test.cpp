#include "cli/checkpoint_commands.h"
#include "cli/tiny_run.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/folder.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;

using InspectCommand = test::CheckpointCommand;

TEST_F(InspectCommand, ShowsControlCharactersOfNamesInsteadOfSendingThemToTheTerminal) {
  const std::string header = R"({"a\u001b[31mb":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string bytes(8, '\0');
  bytes[0] = char(header.size());
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "odd.safetensors", bytes + header + std::string(4, '\0'));
  const test::CommandResult result = test::run_command({MICROEMO_BINARY, "inspect", folder.path() / "odd.safetensors"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, testing::HasSubstr("a\\x1b[31mb"));
  EXPECT_THAT(result.standard_output, testing::Not(testing::HasSubstr("\x1b")));
}

TEST_F(InspectCommand, ShowsATreeWithAlikeLayersOnce) {
  const test::CommandResult result = microemo({"inspect", model("llama")});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output,
              HasSubstr("safetensors, 3 files\n21 tensors, 21.7 K parameters, 86.7 KB\nconfig.json: llama\nnames: llama\n"));
  EXPECT_THAT(result.standard_output,
              HasSubstr("    0 … 1                                       2 x 7.74 K parameters, 62.0 KB\n"));
  EXPECT_THAT(result.standard_output, HasSubstr("q_proj.weight"));
  EXPECT_THAT(result.standard_output, HasSubstr("F32   [32, 32]"));
}

TEST_F(InspectCommand, JsonHoldsEveryTensor) {
  const Json seen = json({"inspect", model("qwen2")});
  EXPECT_EQ(seen.at("family"), "llama");
  EXPECT_EQ(seen.at("model_type"), "qwen2");
  EXPECT_EQ(seen.at("tensors").size(), 26u);
  int64_t parameters = 0;
  for (const Json& tensor : seen.at("tensors")) parameters += tensor.at("bytes").get<int64_t>() / 4;
  EXPECT_EQ(seen.at("parameters"), parameters);
}

TEST_F(InspectCommand, ReadsShardedPicklesAndAdapters) {
  EXPECT_EQ(json({"inspect", model("mistral")}).at("files").size(), 3u);
  EXPECT_EQ(json({"inspect", model("adapter")}).at("family"), "peft");
}

TEST_F(InspectCommand, AFolderOfAnUnknownModelIsShownWithItsMistake) {
  std::filesystem::copy(models / "qwen2", place.path() / "copy");
  Json config = read_json(place.path() / "copy/config.json");
  config["model_type"] = "strange";
  write_json(place.path() / "copy/config.json", config);
  const test::CommandResult result = microemo({"inspect", "copy"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, HasSubstr("the model type 'strange' is not supported"));
}

TEST_F(InspectCommand, NamesOurOwnModelAndItsParts) {
  const test::TinyRun run;
  const std::vector<std::string> parts = run.parts();
  const std::string step = checkpoint::step_folder(run.run, 0);
  for (const std::string& path : {run.run.string(), step, step + "/model.safetensors"}) {
    const Json seen = json({"inspect", path});
    EXPECT_EQ(seen.at("family"), "microemo") << path;
    EXPECT_EQ(seen.at("parts"), Json(parts)) << path;
    EXPECT_FALSE(seen.contains("config_error")) << path;
  }
  EXPECT_THAT(microemo({"inspect", run.run}).standard_output, HasSubstr("names: microemo (" + parts.front() + ", "));
}

TEST_F(InspectCommand, ARunWithoutAWholeCheckpointIsAnError) {
  const test::TinyRun run;
  std::filesystem::remove(checkpoint::step_folder(run.run, 0) / "manifest.json");
  const test::CommandResult result = microemo({"inspect", run.run});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.standard_error, HasSubstr("no whole checkpoint was found"));
}

TEST_F(InspectCommand, AMissingFileIsAnError) {
  const test::CommandResult result = microemo({"inspect", "none.safetensors"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.standard_error, HasSubstr("none.safetensors"));
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(InspectCommand, ADamagedFileIsAnError) {
  write_file_atomic(place.path() / "a.safetensors", "nothing of the kind");
  EXPECT_EQ(microemo({"inspect", "a.safetensors"}).exit_code, 4);
}

TEST_F(InspectCommand, APartThatIsNotThereIsAnError) {
  EXPECT_EQ(microemo({"inspect", model("mistral/pytorch_model-00001-of-00003.bin"), "--part", "ema"}).exit_code, 4);
}

TEST_F(InspectCommand, APathIsNeeded) { EXPECT_EQ(microemo({"inspect"}).exit_code, 2); }

TEST_F(InspectCommand, CheckFiniteRefusesANan) { expect_check_finite({"inspect", ""}, "qwen2"); }

}  // namespace
}  // namespace microemo
