#include "microemo/checkpoint/peft.h"

#include <ATen/ATen.h>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const fs::path data = fs::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";
const std::string query = "model.layers.0.self_attn.q_proj", down = "model.layers.1.mlp.down_proj",
                  key = "model.layers.1.self_attn.k_proj";

double difference(const at::Tensor& a, const at::Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

/// Files of tests/reference/peft_adapters.py; the base is that of hf_decoders.py.
class Peft : public testing::Test {
 protected:
  at::Tensor base(const std::string& module) const { return TensorSource(data / "llama").tensor(module + ".weight"); }
  at::Tensor merged(const std::string& name) const { return TensorSource(data / "merged.safetensors").tensor(name); }
  std::map<std::string, std::vector<int64_t>> base_shapes() const {
    std::map<std::string, std::vector<int64_t>> shapes;
    const TensorSource source(data / "llama");
    for (const TensorEntry& entry : source.entries()) shapes[entry.name] = entry.shape;
    return shapes;
  }

  fs::path copy() const {
    fs::copy(data / "adapter", place_.path() / "adapter");
    return place_.path() / "adapter";
  }
  Error refusal(const std::string& from, const std::string& to, const std::string& part) const {
    const fs::path folder = copy();
    std::string text = read_file(folder / "adapter_config.json");
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    write_file_atomic(folder / "adapter_config.json", text.replace(at, from.size(), to));
    const Error error = expect_error(
        ErrorKind::checkpoint, [&] { read_adapter(folder); }, part);
    fs::remove_all(folder);
    return error;
  }

  TemporaryFolder place_;
};

TEST_F(Peft, MergesWhatPeftMerges) {
  const PeftAdapter adapter = read_adapter(data / "adapter");
  for (const std::string& module : {query, down})
    EXPECT_LT(difference(merge(adapter, module, base(module)), merged("default/" + module + ".weight")), 1e-6) << module;
  EXPECT_TRUE(adapted_module(adapter, key + ".weight").empty());
}

TEST_F(Peft, RanksAndScalesFollowTheirPatterns) {
  const PeftAdapter adapter = read_adapter(data / "adapter");
  EXPECT_EQ(adapter.scale(query), 10.0 / 4);
  EXPECT_EQ(adapter.scale(down), 6.0 / 2);
  EXPECT_EQ(adapter.scale("model.layers.0.mlp.down_proj"), 10.0 / 2);
}

TEST_F(Peft, UnmergingGivesTheBaseBack) {
  const PeftAdapter adapter = read_adapter(data / "adapter");
  const at::Tensor back = merge(adapter, query, merge(adapter, query, base(query)), -1);
  EXPECT_LT(difference(back, base(query)), 1e-6);
}

TEST_F(Peft, ReadsOneOfSeveralAdaptersFromTheStateOfAModel) {
  const TensorSource source(data / "adapters.safetensors");
  std::vector<std::string> names;
  for (const TensorEntry& entry : source.entries()) names.push_back(entry.name);
  EXPECT_THAT(adapters_in(names), ElementsAre("default", "second"));
  PeftConfig config;
  config.lora_alpha = 10;
  config.use_rslora = true;
  const PeftAdapter second = adapter_in(source, "second", config);
  EXPECT_EQ(second.config.r, 4);
  EXPECT_EQ(second.pairs.size(), 2u);
  EXPECT_EQ(second.scale(key), 5);
  EXPECT_LT(difference(merge(second, key, base(key)), merged("second/" + key + ".weight")), 1e-6);
}

TEST_F(Peft, RanksInTheStateOfAModelMayDiffer) {
  write_tensors(place_.path() / "state.safetensors", {{"q.lora_A.default.weight", at::ones({4, 8})},
                                                      {"q.lora_B.default.weight", at::ones({8, 4})},
                                                      {"k.lora_A.default.weight", at::ones({2, 8})},
                                                      {"k.lora_B.default.weight", at::ones({8, 2})}});
  PeftConfig config;
  config.lora_alpha = 8;
  const PeftAdapter adapter = adapter_in(TensorSource(place_.path() / "state.safetensors"), "default", config);
  EXPECT_EQ(adapter.scale("q"), 2);
  EXPECT_EQ(adapter.scale("k"), 4);
  write_adapter(place_.path() / "written", adapter);
  EXPECT_EQ(read_adapter(place_.path() / "written").scale("q"), 2);
}

TEST_F(Peft, AnAdapterThatIsNotThereNamesTheOthers) {
  const Error error = expect_error(
      ErrorKind::checkpoint, [] { adapter_in(TensorSource(data / "adapters.safetensors"), "third", {}); },
      "there is no adapter 'third'");
  EXPECT_EQ(error.next_step(), "adapters: default, second");
}

TEST_F(Peft, WritesWhatItReads) {
  const PeftAdapter adapter = read_adapter(data / "adapter");
  write_adapter(place_.path() / "written", adapter);
  const PeftAdapter again = read_adapter(place_.path() / "written");
  ASSERT_EQ(again.pairs.size(), adapter.pairs.size());
  for (const auto& [module, pair] : adapter.pairs) {
    EXPECT_TRUE(again.pairs.at(module).a.equal(pair.a)) << module;
    EXPECT_TRUE(again.pairs.at(module).b.equal(pair.b)) << module;
    EXPECT_EQ(again.scale(module), adapter.scale(module)) << module;
  }
  EXPECT_EQ(again.config.base_model_name_or_path, "tiny-llama");
  EXPECT_EQ(again.config.others, adapter.config.others);
}

TEST_F(Peft, WritesSortedKeysWithTheFieldsOfItsOldestReader) {
  PeftConfig config;
  config.target_modules = {"q_proj"};
  write_adapter(place_.path(), {config, {{query, {at::rand({8, 4}), at::rand({4, 8})}}}, {}});
  std::vector<std::string> keys;
  const Json written = read_json(place_.path() / "adapter_config.json");
  for (const auto& [name, value] : written.items()) keys.push_back(name);
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  for (const char* name : {"auto_mapping", "bias", "fan_in_fan_out", "inference_mode", "layers_to_transform", "modules_to_save",
                           "peft_type", "r", "revision", "target_modules", "task_type"})
    EXPECT_THAT(keys, testing::Contains(name));
  EXPECT_TRUE(TensorSource(place_.path()).contains("base_model.model." + query + ".lora_A.weight"));
}

TEST_F(Peft, KeepsWholeTensorsOfModulesToSave) {
  PeftConfig config;
  write_adapter(place_.path(), {config, {{query, {at::rand({8, 4}), at::rand({4, 8})}}}, {{"lm_head.weight", at::ones({2, 2})}}});
  EXPECT_TRUE(read_adapter(place_.path()).replaced.at("lm_head.weight").equal(at::ones({2, 2})));
}

TEST_F(Peft, FindsTheWrappedNameOfNewerVersions) {
  const PeftAdapter adapter = read_adapter(data / "adapter");
  EXPECT_EQ(adapted_module(adapter, "base_model.model." + query + ".base_layer.weight"), query);
  EXPECT_EQ(adapted_module(adapter, query + ".weight"), query);
  EXPECT_EQ(adapted_module(adapter, query + ".bias"), "");
}

TEST_F(Peft, FanInFanOutTransposesTheProduct) {
  PeftConfig config;
  config.fan_in_fan_out = true;
  const PeftAdapter adapter{config, {{"m", {at::ones({8, 2}), at::ones({3, 8})}}}, {}};
  EXPECT_EQ(merge(adapter, "m", at::zeros({2, 3})).sizes(), (std::vector<int64_t>{2, 3}));
}

TEST_F(Peft, ItsOwnBaseIsAccepted) { check_base(read_adapter(data / "adapter"), base_shapes(), data / "llama"); }

TEST_F(Peft, AnotherBaseIsAnErrorWithBothShapes) {
  auto shapes = base_shapes();
  shapes[query + ".weight"] = {64, 64};
  shapes.erase(down + ".weight");
  const Error error = expect_error(
      ErrorKind::checkpoint, [&] { check_base(read_adapter(data / "adapter"), shapes, "base"); },
      "the adapter is for another base:\n  " + query + ": base [64, 64], adapter [32, 32]\n  " + down + ": not in the base");
  EXPECT_EQ(error.place(), "base");
  EXPECT_EQ(error.next_step(), "it was trained on tiny-llama");
}

TEST_F(Peft, AFolderWithoutAConfigIsAnError) {
  expect_error(
      ErrorKind::checkpoint, [&] { read_adapter(place_.path()); }, "there is no adapter_config.json");
}

TEST_F(Peft, AWrongTypeIsAnErrorWithItsLine) {
  EXPECT_THAT(
      refusal("\"lora_alpha\": 10", "\"lora_alpha\": \"ten\"", "'lora_alpha' is the text \"ten\"; wanted: a number").place(),
      HasSubstr("adapter_config.json, line "));
}

TEST_F(Peft, WhatCannotBeMergedIsRefused) {
  refusal("\"peft_type\": \"LORA\"", "\"peft_type\": \"IA3\"", "of type IA3, and only LORA");
  refusal("\"use_dora\": false", "\"use_dora\": true", "DoRA");
  refusal("\"bias\": \"none\"", "\"bias\": \"all\"", "trained biases ('all')");
  refusal("\"layer_replication\": null", "\"layer_replication\": [[0, 1]]", "replicates layers");
  for (const char* start : {"pissa", "pissa_niter_16", "olora", "corda", "loftq"})
    refusal("\"init_lora_weights\": true", fmt::format("\"init_lora_weights\": \"{}\"", start), "changed its base when it began");
}

TEST_F(Peft, ARankThatTheTensorsDoNotHaveIsAnError) {
  refusal("\"r\": 4", "\"r\": 8", "has the rank 4, and adapter_config.json says 8");
}

TEST_F(Peft, APatternsValueThatIsNoRankOrScaleIsRefused) {
  for (const char* rank : {"2.7", "1e300", "-2", "0", "true", "null"})
    refusal("\"down_proj\": 2", fmt::format("\"down_proj\": {}", rank), "wanted: a whole number above 0");
  for (const char* alpha : {"-6", "0", "1e300", "\"six\""})
    refusal("\"layers.1.mlp.down_proj\": 6", fmt::format("\"layers.1.mlp.down_proj\": {}", alpha), "wanted: a number above 0");
  refusal("\"lora_alpha\": 10", "\"lora_alpha\": 1e300", "'lora_alpha' is 1e+300");
}

TEST_F(Peft, APatternThatIsMoreThanANameIsRefused) {
  refusal("\"down_proj\": 2", "\"(a+)+b\": 2", "the pattern '(a+)+b' is more than the end of a name");
}

TEST_F(Peft, ANameOfAMillionLettersIsReadToo) {
  PeftConfig config;
  const std::string module(1'000'000, 'x');
  write_adapter(place_.path(), {config, {{module, {at::ones({8, 4}), at::ones({4, 8})}}}, {}});
  EXPECT_EQ(read_adapter(place_.path()).pairs.begin()->first, module);
}

TEST_F(Peft, AnAWithoutItsBIsAnError) {
  const fs::path folder = copy();
  write_tensors(folder / "adapter_model.safetensors", {{"base_model.model." + query + ".lora_A.weight", at::ones({4, 32})}});
  expect_error(
      ErrorKind::checkpoint, [&] { read_adapter(folder); }, "the adapter of '" + query + "' has no lora_B");
}

TEST_F(Peft, AdaptersOfEmbeddingsAreRefused) {
  const fs::path folder = copy();
  write_tensors(folder / "adapter_model.safetensors",
                {{"base_model.model.model.embed_tokens.lora_embedding_A", at::ones({4, 32})}});
  expect_error(
      ErrorKind::checkpoint, [&] { read_adapter(folder); }, "is of a kind of adapter that is not supported");
}

TEST_F(Peft, OtherKindsOfAdaptersInTheStateOfAModelAreRefused) {
  const NamedTensors state = read_tensors(data / "adapters.safetensors");
  for (const std::string name : {"m.embed_tokens.lora_embedding_A.default", "m.q_proj.lora_magnitude_vector.default.weight",
                                 "m.q_proj.lora_B.default.bias"}) {
    NamedTensors more = state;
    more[name] = at::ones({4});
    write_tensors(place_.path() / "state.safetensors", more);
    const TensorSource source(place_.path() / "state.safetensors");
    expect_error(
        ErrorKind::checkpoint, [&] { adapter_in(source, "default", {}); },
        "'" + name + "' is of a kind of adapter that is not supported");
    EXPECT_FALSE(adapter_in(source, "second", {}).pairs.empty());
  }
}

TEST_F(Peft, HalvesThatAreNoFloatingPointNumbersAreRefused) {
  const fs::path folder = copy();
  NamedTensors tensors = read_tensors(folder / "adapter_model.safetensors");
  at::Tensor& half = tensors.at("base_model.model." + query + ".lora_A.weight");
  half = half.to(at::kInt);
  write_tensors(folder / "adapter_model.safetensors", tensors);
  expect_error(
      ErrorKind::checkpoint, [&] { read_adapter(folder); }, "are Int and Float; wanted: floating point");
}

TEST_F(Peft, AHalfThatStandsTwiceIsAnErrorWithItsPlace) {
  const fs::path folder = copy();
  NamedTensors tensors = read_tensors(folder / "adapter_model.safetensors");
  tensors["base_model.model." + query + ".lora_A.second.weight"] = at::ones({4, 32});
  write_tensors(folder / "adapter_model.safetensors", tensors);
  EXPECT_EQ(expect_error(
                ErrorKind::checkpoint, [&] { read_adapter(folder); }, "stands a second time")
                .place(),
            folder.string());
}

TEST_F(Peft, AFileWithoutAdaptersIsAnError) {
  const fs::path folder = copy();
  write_tensors(folder / "adapter_model.safetensors", {{"lm_head.weight", at::ones({4, 32})}});
  expect_error(
      ErrorKind::checkpoint, [&] { read_adapter(folder); }, "there are no tensors of a LoRA adapter");
}

}  // namespace
}  // namespace microemo::checkpoint
