#include "cli/checkpoint_commands.h"
#include "microemo/base/json.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct ConvertCommand : test::CheckpointCommand {
  void convert(std::vector<std::string> words) const {
    words.insert(words.begin(), "convert");
    const test::CommandResult result = microemo(words);
    ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  }
  void refuse(std::vector<std::string> words, int code, const std::string& part) const {
    words.insert(words.begin(), "convert");
    const test::CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, code) << result.standard_error;
    EXPECT_THAT(result.standard_error, HasSubstr(part));
  }
  /// True when a folder computes what was recorded of the public model.
  bool verifies(const std::string& folder, const std::string& reference) const {
    return microemo({"verify", folder, "--reference", model(reference + ".reference.safetensors")}).exit_code == 0;
  }
  bool is_empty() const { return fs::is_empty(place.path()); }
};

TEST_F(ConvertCommand, ThereAndBackAgainIsTheSameModel) {
  convert({model("llama"), "ours", "--to", "microemo"});
  EXPECT_EQ(json({"inspect", "ours"}).at("family"), "microemo");
  EXPECT_TRUE(verifies("ours", "llama"));
  convert({"ours", "public", "--to", "llama", "--shard-size", "30KB"});
  EXPECT_EQ(json({"inspect", "public"}).at("files").size(), 4u);
  EXPECT_TRUE(verifies("public", "llama"));
}

TEST_F(ConvertCommand, PicklesBecomeSafetensorsAndPicklesAgain) {
  convert({model("mistral"), "one", "--to", "safetensors"});
  EXPECT_TRUE(fs::exists(place.path() / "one/model.safetensors"));
  EXPECT_TRUE(verifies("one", "mistral"));
  convert({"one", "one.pth", "--to", "pth"});
  EXPECT_EQ(json({"inspect", "one.pth"}).at("format"), "pth");
  EXPECT_EQ(json({"inspect", "one.pth"}).at("parameters"), json({"inspect", "one"}).at("parameters"));
}

TEST_F(ConvertCommand, MergesAnAdapterAndTakesItOut) {
  convert({model("llama"), "merged", "--to", "safetensors", "--merge", model("adapter")});
  EXPECT_FALSE(verifies("merged", "llama"));
  convert({"merged", "back", "--to", "safetensors", "--unmerge", model("adapter")});
  EXPECT_TRUE(verifies("back", "llama"));
}

TEST_F(ConvertCommand, PutsMetasFilesTogether) {
  EXPECT_EQ(json({"inspect", model("meta2")}).at("family"), "llama");
  EXPECT_EQ(json({"inspect", model("meta2")}).at("files").size(), 2u);
  convert({model("meta2"), "whole.safetensors", "--to", "llama"});
  convert({model("meta2.expected.safetensors"), "expected.safetensors", "--to", "safetensors"});
  EXPECT_EQ(read_file(place.path() / "whole.safetensors"), read_file(place.path() / "expected.safetensors"));
  convert({model("meta3"), "ours.safetensors", "--to", "microemo"});
  EXPECT_EQ(json({"inspect", "ours.safetensors"}).at("parts"), Json({"decoder"}));
}

TEST_F(ConvertCommand, MetasFilesHaveNoPartsAndAreNotWrittenOver) {
  refuse({model("meta2"), "out", "--to", "microemo", "--part", "model"}, 2, "--part has no effect");
  fs::copy(models / "meta2", place.path() / "copy");
  refuse({"copy", "copy/consolidated.01.pth", "--to", "microemo"}, 2, "would be written over");
}

TEST_F(ConvertCommand, TakesOneOfSeveralAdapters) {
  convert({model("adapters.safetensors"), "second.safetensors", "--to", "microemo", "--adapter", "second"});
  const Json tensors = json({"inspect", "second.safetensors"}).at("tensors");
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[0].at("name"), "decoder.block0.key.lora_A");
  EXPECT_EQ(tensors[0].at("shape"), Json({4, 32}));
  convert({model("adapters.safetensors"), "default.pth", "--to", "pth", "--adapter", "default"});
  EXPECT_EQ(json({"inspect", "default.pth"}).at("tensors").size(), 8u);
}

TEST_F(ConvertCommand, MergesOneOfSeveralAdaptersOfAFile) {
  const std::vector<std::string> chosen{model("adapters.safetensors"), "--adapter", "second", "--alpha", "20"};
  convert({model("llama"), "merged", "--to", "safetensors", "--merge", chosen[0], chosen[1], chosen[2], chosen[3], chosen[4]});
  EXPECT_FALSE(verifies("merged", "llama"));
  convert({"merged", "back", "--to", "safetensors", "--unmerge", chosen[0], chosen[1], chosen[2], chosen[3], chosen[4]});
  EXPECT_TRUE(verifies("back", "llama"));
}

TEST_F(ConvertCommand, AnAdapterThatIsNotThereIsAnErrorThatNamesTheOthers) {
  const std::string adapters = model("adapters.safetensors"), others = "adapters: default, second";
  for (const char* name : {"third", "secon", "second.weight", "Default"}) {
    refuse({adapters, "out", "--to", "microemo", "--adapter", name}, 4, others);
    refuse({model("llama"), "out", "--to", "safetensors", "--alpha", "8", "--merge", adapters, "--adapter", name}, 4, others);
  }
  refuse({model("llama"), "out", "--to", "safetensors", "--adapter", "default"}, 4, "the file holds no adapters");
  EXPECT_TRUE(is_empty());
}

TEST_F(ConvertCommand, AChoiceOfAdaptersHasToBeMadeAndToHaveAnEffect) {
  const std::string adapters = model("adapters.safetensors");
  refuse({model("llama"), "out", "--to", "safetensors", "--alpha", "8", "--merge", adapters}, 2,
         "holds the adapters default, second");
  refuse({model("llama"), "out", "--to", "safetensors", "--merge", adapters, "--adapter", "second"}, 2, "give it with --alpha");
  refuse({model("llama"), "out", "--to", "safetensors", "--merge", model("adapter"), "--adapter", "second"}, 2,
         "--adapter has no effect");
  refuse({model("llama"), "out", "--to", "safetensors", "--alpha", "8", "--merge", model("exported.pth")}, 4,
         "the file holds no adapters");
  EXPECT_TRUE(is_empty());
}

TEST_F(ConvertCommand, AddsADifference) {
  // The difference to a model is the model itself where the base is zero; here base and difference are halves.
  convert({model("llama"), "a", "--to", "safetensors"});
  convert({"a", "sum", "--to", "safetensors", "--delta", model("llama")});
  EXPECT_EQ(json({"inspect", "sum"}).at("tensors"), json({"inspect", "a"}).at("tensors"));
  EXPECT_FALSE(verifies("sum", "llama"));
}

TEST_F(ConvertCommand, KeepsTheMetadataOfSafetensors) {
  const std::string header = R"({"__metadata__":{"license":"mine"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string bytes(8, '\0');
  bytes[0] = char(header.size());
  write_file_atomic(place.path() / "one.safetensors", bytes + header + std::string(4, '\0'));
  convert({"one.safetensors", "two.safetensors", "--to", "safetensors"});
  convert({"two.safetensors", "folder", "--to", "safetensors"});
  const Json wanted = {{"license", "mine"}, {"format", "pt"}};
  for (const std::string copy : {"two.safetensors", "folder"}) {
    const Json metadata = json({"inspect", copy}).at("metadata");
    for (const auto& [key, value] : wanted.items()) EXPECT_EQ(metadata.at(key), value) << copy;
  }
}

TEST_F(ConvertCommand, TheOutputMayNotBeTheInput) {
  fs::copy(models / "llama", place.path() / "copy");
  refuse({"copy", "copy", "--to", "safetensors"}, 2, "the output would be written over 'copy', which is read");
  refuse({"copy", "./copy/../copy", "--to", "microemo"}, 2, "would be written over");
  refuse({"copy", "copy/model-00001-of-00003.safetensors", "--to", "microemo"}, 2, "would be written over");
  EXPECT_TRUE(verifies("copy", "llama"));
}

TEST_F(ConvertCommand, AnAdapterMayNotBeWrittenOverEither) {
  fs::copy(models / "adapter", place.path() / "adapter");
  refuse({model("llama"), "adapter", "--to", "safetensors", "--merge", "adapter"}, 2, "would be written over 'adapter'");
  refuse({model("llama"), "adapter/adapter_model.safetensors", "--to", "safetensors", "--merge", "adapter"}, 2,
         "would be written over 'adapter'");
  fs::copy(models / "llama", place.path() / "base");
  refuse({model("llama"), "base/model-00002-of-00003.safetensors", "--to", "safetensors", "--delta", "base"}, 2,
         "would be written over 'base'");
  EXPECT_TRUE(verifies("base", "llama"));
}

TEST_F(ConvertCommand, AnUnknownFormNamesTheNearest) {
  refuse({model("llama"), "out", "--to", "lama"}, 2, "there is no family of checkpoints 'lama'; did you mean 'llama'?");
  EXPECT_TRUE(is_empty());
}

TEST_F(ConvertCommand, NamesOfAnotherFamilyAreAnErrorThatListsThem) {
  refuse({model("llama"), "out", "--to", "microemo", "--from", "hubert"}, 4,
         "21 without a rule:\n    model.embed_tokens.weight; nearest: '");
  refuse({model("llama"), "out", "--to", "hubert"}, 4, "the names are not those of 'hubert'");
  EXPECT_TRUE(is_empty());
}

TEST_F(ConvertCommand, ADifferenceToAnotherBaseIsAnError) {
  refuse({model("mistral"), "out", "--to", "safetensors", "--delta", model("llama")}, 4,
         "'model.layers.0.self_attn.q_proj.weight' has the shape [48, 32] in the difference and [32, 32] in the base");
  EXPECT_TRUE(is_empty());
}

TEST_F(ConvertCommand, AnAdapterForAnotherBaseIsAnError) {
  refuse({model("mistral"), "out", "--to", "safetensors", "--merge", model("adapter")}, 4,
         "the adapter is for another base:\n  model.layers.0.self_attn.q_proj: base [48, 32], adapter [32, 32]");
}

TEST_F(ConvertCommand, AnOutputThatCannotBeWrittenIsAnErrorOfTheEnvironment) {
  write_file_atomic(place.path() / "file", "mine");
  refuse({model("llama"), "file/out.safetensors", "--to", "microemo"}, 5, "file");
  refuse({model("llama"), "file/out", "--to", "microemo"}, 5, "file");
  EXPECT_EQ(read_file(place.path() / "file"), "mine");
}

TEST_F(ConvertCommand, AFolderThatIsNotEmptyIsNotTouched) {
  write_file_atomic(place.path() / "out/mine", "mine");
  refuse({model("llama"), "out", "--to", "safetensors"}, 5, "the output exists already and is not empty");
}

TEST_F(ConvertCommand, OptionsWithoutEffectAreErrors) {
  refuse({model("llama"), "a.safetensors", "--to", "safetensors", "--shard-size", "1MB"}, 2, "--shard-size has no effect");
  refuse({model("llama"), "a", "--to", "safetensors", "--from", "llama"}, 2, "--from has no effect");
  refuse({model("llama"), "a", "--to", "safetensors", "--alpha", "3"}, 2, "--alpha has no effect");
  refuse({model("llama"), "a", "--to", "pth"}, 2, "let OUT end in .pth");
  refuse({model("llama"), "a.pth", "--to", "safetensors"}, 2, "is named like a file of torch.save");
}

TEST_F(ConvertCommand, AnAlphaThatIsNoNumberAboveZeroIsAnError) {
  for (const char* alpha : {"nan", "inf", "0", "-1", "x"})
    refuse({model("llama"), "a", "--to", "safetensors", "--merge", model("adapter"), "--alpha", alpha}, 2,
           std::string(alpha) + " is not a number above 0");
}

TEST_F(ConvertCommand, ASizeThatIsNoneIsAnError) {
  for (const char* size : {"five", "-1GB", "0", "5XB", "1e30GB", "nan"})
    refuse({model("llama"), "a", "--to", "safetensors", "--shard-size", size}, 2, "--shard-size is");
}

}  // namespace
}  // namespace microemo
