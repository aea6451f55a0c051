// A model that is built with its frozen matrices in fewer bytes from the start.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "infer/tiny_model.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/nn/absent.h"
#include "microemo/train/fit.h"
#include "microemo/train/load_run.h"
#include "microemo/train/optimizer.h"
#include "support/errors.h"
#include "support/tensor_memory.h"

namespace microemo::train {
namespace {

class BuiltModel : public testing::Test {
 protected:
  BuiltModel() {
    options_.model = tiny_.options;
    options_.prepare = tiny_.prepare;
    options_.train.seed = 11;
    options_.train.frozen = {"decoder.block*.weight", "visual_encoder.*"};
  }
  /// The model whole in fp32 first, and frozen then.
  checkpoint::NamedTensors whole_first() const {
    model::MicroEmo model(options_.model, data::input_shapes(options_.prepare, tiny_.tokenizer->size()));
    nn::initialise(model, uint64_t(options_.train.seed));
    select_trainable(model, options_.train);
    freeze_weights(model, options_.train.frozen_dtype, false);
    return checkpoint::tensors_of(model);
  }
  static void expect_equal(const checkpoint::NamedTensors& a, const checkpoint::NamedTensors& b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [name, tensor] : a) {
      EXPECT_EQ(tensor.scalar_type(), b.at(name).scalar_type()) << name;
      EXPECT_TRUE(tensor.equal(b.at(name))) << name;
    }
  }

  /// The folder of a run with this checkpoint.
  std::string saved(const model::MicroEmo& model) {
    const std::filesystem::path run = folder_.path() / std::to_string(++runs_);
    checkpoint::PendingFolder pending(checkpoint::step_folder(run, 1));
    checkpoint::write_tensors(pending.path() / "model.safetensors", checkpoint::tensors_of(model), {{"format", "pt"}});
    pending.commit();
    return run.string();
  }

  const test::TinyModel tiny_;
  RunOptions options_;
  TemporaryFolder folder_;
  int runs_ = 0;
};

constexpr std::array all_choices = {FrozenChoice::automatic, FrozenChoice::bf16, FrozenChoice::int8, FrozenChoice::nf4};

TEST_F(BuiltModel, HasTheBitsOfOneThatWasWholeFirst) {
  for (const FrozenChoice choice : all_choices) {
    options_.train.frozen_dtype = choice;
    expect_equal(whole_first(), checkpoint::tensors_of(*build_model(options_, *tiny_.tokenizer)));
  }
}

TEST_F(BuiltModel, TakesTheWeightsOfARunMatrixByMatrix) {
  options_.train.frozen_dtype = FrozenChoice::fp32;
  const auto start = build_model(options_, *tiny_.tokenizer);
  options_.train.init_from = {saved(*start)};
  options_.train.seed = 12;
  for (const FrozenChoice choice : all_choices) {
    options_.train.frozen_dtype = choice;
    const auto built = build_model(options_, *tiny_.tokenizer);
    model::MicroEmo whole(options_.model, data::input_shapes(options_.prepare, tiny_.tokenizer->size()));
    checkpoint::load_into(whole, checkpoint::tensors_of(*start), {});
    select_trainable(whole, options_.train);
    freeze_weights(whole, choice, false);
    expect_equal(checkpoint::tensors_of(whole), checkpoint::tensors_of(*built));
  }
}

TEST_F(BuiltModel, ThatIsResumedHasTheStructureAlone) {
  options_.train.frozen_dtype = FrozenChoice::nf4;
  const auto built = build_model(options_, *tiny_.tokenizer),
             empty = build_for_training(options_, *tiny_.tokenizer, {.resumed = true}).model;
  const auto expected = checkpoint::tensors_of(*built);
  for (const auto& [name, tensor] : checkpoint::tensors_of(*empty)) {
    EXPECT_FALSE(nn::is_absent(tensor)) << name;
    EXPECT_EQ(tensor.sizes(), expected.at(name).sizes()) << name;
    EXPECT_EQ(tensor.scalar_type(), expected.at(name).scalar_type()) << name;
  }
}

TEST_F(BuiltModel, RefusesAPatternThatMatchesNothing) {
  options_.train.frozen = {"decoder.blok*"};
  test::expect_error(
      ErrorKind::config, [&] { build_model(options_, *tiny_.tokenizer); },
      "'decoder.blok*' of train.frozen matches no parameter");
}

/// A decoder of some 40 MB in fp32, of which the blocks are nearly all.
class MemoryOfABuild : public BuiltModel {
 protected:
  MemoryOfABuild() {
    options_.model.visual.enabled = options_.model.local.enabled = options_.model.audio.enabled = false;
    options_.model.decoder.width = 256;
    options_.model.decoder.hidden = 1024;
    options_.model.decoder.layers = 10;
    options_.model.decoder.heads = options_.model.decoder.key_value_heads = 4;
    options_.train.frozen = {"decoder.block*.weight"};
  }
  /// fp32, of the largest matrix.
  static constexpr int64_t matrix_bytes = 256 * 1024 * 4;

  struct Bytes {
    int64_t peak = 0, final = 0;
  };
  Bytes build() const {
    const test::TensorMemory memory;
    const auto model = build_model(options_, *tiny_.tokenizer);
    int64_t tensors = 0;
    for (const auto& [name, tensor] : checkpoint::tensors_of(*model)) tensors += int64_t(tensor.nbytes());
    EXPECT_GE(memory.bytes(), tensors);
    return {memory.peak(), memory.bytes()};
  }
};

/// Beside the finished model: a matrix in fp32, what its bytes are made from, and these.
TEST_F(MemoryOfABuild, IsThatOfTheFinishedModelAndAFewMatrices) {
  int64_t before = build().final;
  for (const FrozenChoice choice : {FrozenChoice::bf16, FrozenChoice::int8, FrozenChoice::nf4}) {
    options_.train.frozen_dtype = choice;
    const Bytes bytes = build();
    EXPECT_LT(bytes.final, before);
    EXPECT_LE(bytes.peak, bytes.final + 4 * matrix_bytes) << int(choice);
    before = bytes.final;
  }
}

TEST_F(MemoryOfABuild, IsTheSameFromARunHoweverItIsFrozen) {
  for (const FrozenChoice from : {FrozenChoice::fp32, FrozenChoice::nf4}) {
    options_.train.init_from.clear();
    options_.train.frozen_dtype = from;
    options_.train.init_from = {saved(*build_model(options_, *tiny_.tokenizer))};
    for (const FrozenChoice choice : {FrozenChoice::bf16, FrozenChoice::nf4}) {
      options_.train.frozen_dtype = choice;
      const Bytes bytes = build();
      EXPECT_LE(bytes.peak, bytes.final + 4 * matrix_bytes) << int(from) << " to " << int(choice);
    }
  }
}

}  // namespace
}  // namespace microemo::train
