#include "microemo/checkpoint/convert.h"

#include <ATen/ATen.h>

#include "microemo/base/files.h"
#include "microemo/base/log.h"
#include "support/errors.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using ::testing::HasSubstr;

const fs::path data = fs::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";

class Convert : public testing::Test {
 protected:
  static LazyTensors read(const fs::path& path) { return lazy_tensors(TensorSource(path)); }
  static LazyTensor tensor(const std::string& name, const at::Tensor& value) {
    return {name, at::empty(value.sizes(), value.options().device(at::kMeta)), [value] { return value; }};
  }
  static at::Tensor value(const LazyTensors& tensors, const std::string& name) {
    for (const LazyTensor& one : tensors)
      if (one.name == name) return one.make();
    ADD_FAILURE() << "there is no " << name;
    return {};
  }
  static LazyTensors without(LazyTensors tensors, const std::string& name) {
    std::erase_if(tensors, [&](const LazyTensor& one) { return one.name == name; });
    return tensors;
  }
  std::vector<fs::path> write(Container container, const fs::path& path, const LazyTensors& tensors,
                              uint64_t shard_bytes = 1 << 30, const fs::path& beside = {}) const {
    return write_tensors_as({container, path, shard_bytes, beside}, tensors, [](const LazyTensor&) {});
  }

  TemporaryFolder place_;
};

TEST_F(Convert, ShapesAndTypesAreKnownBeforeATensorIsMade) {
  for (const LazyTensor& one : read(data / "llama")) {
    EXPECT_EQ(one.meta.sizes(), one.make().sizes()) << one.name;
    EXPECT_EQ(one.meta.scalar_type(), one.make().scalar_type()) << one.name;
  }
}

TEST_F(Convert, RenamesThereAndBackWithEveryBit) {
  const LazyTensors original = read(data / "llama");
  const Renaming ours = rename(original, "", "microemo", "x");
  EXPECT_EQ(ours.from, "llama");
  EXPECT_TRUE(
      value(ours.tensors, "decoder.block1.query.weight").equal(value(original, "model.layers.1.self_attn.q_proj.weight")));
  const Renaming back = rename(ours.tensors, "", "llama", "x");
  EXPECT_EQ(back.from, "microemo");
  ASSERT_EQ(back.tensors.size(), original.size());
  for (const LazyTensor& one : original) EXPECT_TRUE(value(back.tensors, one.name).equal(one.make())) << one.name;
}

TEST_F(Convert, AnAdaptersFileHasOurNamesToo) {
  const Renaming ours = rename(read(data / "adapter"), "", "microemo", "x");
  EXPECT_EQ(ours.from, "peft");
  EXPECT_TRUE(value(ours.tensors, "decoder.block0.query.lora_A").defined());
}

TEST_F(Convert, NamesOfNoFamilyAreAnError) {
  expect_error(
      ErrorKind::checkpoint, [&] { rename({tensor("strange", at::ones({1}))}, "", "microemo", "x.pth"); }, "of no family");
}

TEST_F(Convert, NamesNearAFamilyShowWhatItLacks) {
  LazyTensors tensors = read(data / "llama");
  tensors[0].name += "s";
  expect_error(
      ErrorKind::checkpoint, [&] { rename(tensors, "", "microemo", "x"); },
      "the names are not those of 'llama'\n  1 without a rule");
}

TEST_F(Convert, AnUnknownFamilyIsAnErrorOfTheWords) {
  expect_error(
      ErrorKind::config, [&] { rename(read(data / "llama"), "", "lama", "x"); }, "did you mean 'llama'?");
}

TEST_F(Convert, AddsADifferenceToItsBase) {
  LazyTensors delta = read(data / "llama");
  for (LazyTensor& one : delta) one.make = [meta = one.meta] { return at::full(meta.sizes(), 0.25); };
  const LazyTensors sum = add_delta(delta, read(data / "llama"), "x");
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  EXPECT_TRUE(value(sum, name).equal(value(read(data / "llama"), name) + 0.25));
}

TEST_F(Convert, ADifferenceOfAnotherShapeIsAnErrorBeforeAnythingIsMade) {
  LazyTensors delta = read(data / "llama");
  for (LazyTensor& one : delta) {
    if (one.name == "model.norm.weight") one.meta = at::empty({33}, at::TensorOptions(at::kMeta));
    one.make = []() -> at::Tensor { throw std::logic_error("made"); };
  }
  expect_error(
      ErrorKind::checkpoint, [&] { add_delta(delta, read(data / "llama"), "x"); },
      "'model.norm.weight' has the shape [33] in the difference and [32] in the base");
}

TEST_F(Convert, ADifferenceAndItsBaseHaveTheSameNames) {
  const LazyTensors whole = read(data / "llama");
  expect_error(
      ErrorKind::checkpoint, [&] { add_delta(whole, without(whole, "lm_head.weight"), "x"); },
      "the base has no 'lm_head.weight'");
  expect_error(
      ErrorKind::checkpoint, [&] { add_delta(without(whole, "lm_head.weight"), whole, "x"); },
      "the difference has no 'lm_head.weight', which the base has");
}

TEST_F(Convert, MergesAnAdapterAndTakesItOutAgain) {
  const PeftAdapter adapter = read_adapter(data / "adapter");
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const LazyTensors base = read(data / "llama"), merged = apply_adapter(base, adapter, 1, "x");
  const at::Tensor expected = TensorSource(data / "merged.safetensors").tensor("default/" + name);
  EXPECT_TRUE(at::allclose(value(merged, name), expected, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(value(apply_adapter(merged, adapter, -1, "x"), name), value(base, name), 1e-5, 1e-6));
  EXPECT_TRUE(value(merged, "model.norm.weight").equal(value(base, "model.norm.weight")));
}

TEST_F(Convert, AnAdapterForAnotherBaseIsAnError) {
  expect_error(
      ErrorKind::checkpoint,
      [&] {
        apply_adapter(
            read(data / "qwen2"),
            [] {
              PeftAdapter adapter = read_adapter(data / "adapter");
              adapter.pairs["model.layers.7.self_attn.q_proj"] = adapter.pairs.begin()->second;
              return adapter;
            }(),
            1, "x");
      },
      "the adapter is for another base:\n  model.layers.7.self_attn.q_proj: not in the base");
}

TEST_F(Convert, AnAdapterIsNotAddedToWholeNumbers) {
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  LazyTensors base = without(read(data / "llama"), name);
  for (const at::ScalarType type : {at::kChar, at::kBool, at::kComplexFloat}) {
    LazyTensors changed = base;
    changed.push_back(tensor(name, at::ones({32, 32}, type)));
    expect_error(
        ErrorKind::checkpoint, [&] { apply_adapter(changed, read_adapter(data / "adapter"), 1, "x"); },
        "and an adapter is added to floating-point weights");
  }
}

TEST_F(Convert, LeavesOneOfSeveralAdaptersUnderTheUsualName) {
  const LazyTensors all = read(data / "adapters.safetensors"), second = only_adapter(all, "second", "x");
  const std::string module = "llama_model.base_model.model.model.layers.1.self_attn.k_proj.lora_B.";
  EXPECT_EQ(second.size(), 4u);
  EXPECT_TRUE(value(second, module + "default.weight").equal(value(all, module + "second.weight")));
}

TEST_F(Convert, AnAdapterThatIsNotThereCannotBeLeft) {
  const Error error = expect_error(
      ErrorKind::checkpoint, [] { only_adapter(read(data / "adapters.safetensors"), "third", "x"); },
      "there is no adapter 'third'");
  EXPECT_EQ(error.next_step(), "adapters: default, second");
}

TEST_F(Convert, WhatAnAdapterReplacedCannotBeTakenOut) {
  PeftAdapter adapter = read_adapter(data / "adapter");
  adapter.replaced["lm_head.weight"] = at::ones({96, 32});
  EXPECT_TRUE(value(apply_adapter(read(data / "llama"), adapter, 1, "x"), "lm_head.weight").equal(at::ones({96, 32})));
  expect_error(
      ErrorKind::checkpoint, [&] { apply_adapter(read(data / "llama"), adapter, -1, "x"); }, "which cannot be undone");
}

TEST_F(Convert, WritesEveryContainerWithTheSameTensors) {
  const LazyTensors original = read(data / "llama");
  write(Container::safetensors, place_.path() / "a.safetensors", original);
  write(Container::pth, place_.path() / "a.pth", original);
  EXPECT_EQ(write(Container::folder, place_.path() / "folder", original, 30000).size(), 4u);
  for (const char* name : {"a.safetensors", "a.pth", "folder"}) {
    const TensorSource source(place_.path() / name);
    EXPECT_EQ(source.entries().size(), original.size()) << name;
    for (const LazyTensor& one : original) EXPECT_TRUE(source.tensor(one.name).equal(one.make())) << name << " " << one.name;
  }
}

TEST_F(Convert, WhatTheFormCannotHoldIsAnErrorOfTheCheckpoint) {
  expect_error(
      ErrorKind::checkpoint, [&] { write(Container::pth, place_.path() / "a.pth", read(data / "rare_types.safetensors")); },
      "the type F4, which .pth files do not hold");
  for (const Container container : {Container::safetensors, Container::folder})
    expect_error(
        ErrorKind::checkpoint,
        [&] { write(container, place_.path() / "a.safetensors", {tensor("__metadata__", at::ones({1}))}); },
        "the name '__metadata__', which safetensors files keep for themselves");
  EXPECT_TRUE(fs::is_empty(place_.path()));
}

TEST_F(Convert, AFolderTakesWhatStandsBesideTheWeights) {
  write(Container::folder, place_.path() / "folder", read(data / "llama"), 1 << 30, data / "llama");
  EXPECT_EQ(read_file(place_.path() / "folder/config.json"), read_file(data / "llama/config.json"));
  EXPECT_FALSE(fs::exists(place_.path() / "folder/model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(place_.path() / "folder/model-00001-of-00003.safetensors"));
}

TEST_F(Convert, AFolderMayBeNamedWithASlashAtTheEnd) {
  fs::create_directory(place_.path() / "there");
  for (const char* name : {"new/", "there/"}) {
    write(Container::folder, place_.path() / name, read(data / "llama"));
    EXPECT_TRUE(fs::exists(place_.path() / name / "model.safetensors")) << name;
  }
}

TEST_F(Convert, WhatIsNotReadIsToldOf) {
  open_log(LogLevel::warning, place_.path() / "log.jsonl");
  read(data.parent_path() / "formats/pth/unknown.pth");
  close_log();
  EXPECT_THAT(read_file(place_.path() / "log.jsonl"), HasSubstr("'args' is not read: argparse.Namespace"));
}

TEST_F(Convert, AFolderThatIsNotEmptyIsNotTouched) {
  write_file_atomic(place_.path() / "folder/mine.txt", "mine");
  expect_error(
      ErrorKind::environment, [&] { write(Container::folder, place_.path() / "folder", read(data / "llama")); },
      "the output exists already and is not empty");
  EXPECT_EQ(read_file(place_.path() / "folder/mine.txt"), "mine");
}

TEST_F(Convert, WhatStandsWhereTheFolderIsMadeIsNotTouched) {
  write_file_atomic(place_.path() / "folder.partial/mine.txt", "mine");
  write_file_atomic(place_.path() / "other.partial", "mine");
  for (const std::string name : {"folder", "other"})
    expect_error(
        ErrorKind::environment, [&] { write(Container::folder, place_.path() / name, read(data / "llama")); },
        "no interrupted conversion left it");
  EXPECT_EQ(read_file(place_.path() / "folder.partial/mine.txt"), "mine");
  EXPECT_EQ(read_file(place_.path() / "other.partial"), "mine");
}

TEST_F(Convert, WhatAnInterruptedConversionLeftIsReplaced) {
  LazyTensors tensors = read(data / "llama");
  const fs::path left = place_.path() / "left", partial = place_.path() / "folder.partial";
  tensors[3].make = [&]() -> at::Tensor {
    fs::copy(partial, left, fs::copy_options::recursive);
    throw DataError("broken");
  };
  EXPECT_THROW(write(Container::folder, place_.path() / "folder", tensors), Error);
  fs::rename(left, partial);
  write(Container::folder, place_.path() / "folder", read(data / "llama"));
  EXPECT_FALSE(fs::exists(partial));
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(place_.path() / "folder")) names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::ElementsAre("model.safetensors"));
}

TEST_F(Convert, NothingRemainsOfAnOutputThatFailed) {
  LazyTensors tensors = read(data / "llama");
  tensors[3].make = []() -> at::Tensor { throw DataError("broken"); };
  EXPECT_THROW(write(Container::folder, place_.path() / "folder", tensors), Error);
  EXPECT_THROW(write(Container::safetensors, place_.path() / "a.safetensors", tensors), Error);
  EXPECT_TRUE(fs::is_empty(place_.path()));
}

TEST_F(Convert, AnOutputThatCannotBeWrittenIsAnError) {
  write_file_atomic(place_.path() / "file", "a file");
  for (const Container container : {Container::safetensors, Container::pth, Container::folder})
    expect_error(
        ErrorKind::environment, [&] { write(container, place_.path() / "file/out", read(data / "llama")); }, "file");
}

}  // namespace
}  // namespace microemo::checkpoint
