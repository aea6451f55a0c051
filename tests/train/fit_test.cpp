#include "microemo/train/fit.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "microemo/checkpoint/load.h"
#include "microemo/model/decoder.h"
#include "microemo/nn/frozen_weight.h"
#include "microemo/nn/init.h"
#include "microemo/nn/on_meta.h"
#include "microemo/train/optimizer.h"
#include "support/errors.h"

namespace microemo::train {
namespace {

using Chosen = std::vector<bool>;

TEST(RecomputedParts, AreThoseThatAreNamed) {
  EXPECT_EQ(recomputed_parts("none", 3, {1}, 0).blocks, Chosen({false, false, false}));
  EXPECT_FALSE(recomputed_parts("none", 3, {1}, 0).pictures);
  EXPECT_EQ(recomputed_parts("all", 3, {1}, 0).blocks, Chosen({true, true, true}));
  EXPECT_TRUE(recomputed_parts("all", 3, {1}, 0).pictures);
  EXPECT_EQ(recomputed_parts("0,2-3", 5, {1}, 0).blocks, Chosen({true, false, true, true, false}));
  EXPECT_FALSE(recomputed_parts("0,2-3", 5, {1}, 0).pictures);
  EXPECT_EQ(recomputed_parts("1,pictures", 2, {1}, 0).blocks, Chosen({false, true}));
  EXPECT_TRUE(recomputed_parts("1,pictures", 2, {1}, 0).pictures);
  EXPECT_EQ(recomputed_parts("pictures", 2, {1}, 0).blocks, Chosen({false, false}));
}

TEST(RecomputedParts, AutoTakesTheLeastThatFits) {
  EXPECT_EQ(recomputed_parts("auto", 4, {100}, 400).blocks, Chosen({false, false, false, false}));
  EXPECT_EQ(recomputed_parts("auto", 4, {100}, 399).blocks, Chosen({false, false, false, true}));
  EXPECT_EQ(recomputed_parts("auto", 4, {100}, 250).blocks, Chosen({false, false, true, true}));
  EXPECT_EQ(recomputed_parts("auto", 4, {100}, 10).blocks, Chosen({true, true, true, true}));
  EXPECT_EQ(recomputed_parts("auto", 4, {100}, 0).blocks, Chosen({false, false, false, false}));  // nothing is known
}

TEST(RecomputedParts, AutoTakesThePicturesWhereAllBlocksAreNotEnough) {
  const auto chosen = [](double pictures, double free) {
    const Recomputed parts = recomputed_parts("auto", 2, {.block = 100, .pictures = pictures}, free);
    return std::pair{std::count(parts.blocks.begin(), parts.blocks.end(), true), parts.pictures};
  };
  EXPECT_EQ(chosen(1000, 1200), std::pair(0l, false));
  EXPECT_EQ(chosen(1000, 1150), std::pair(1l, false));
  EXPECT_EQ(chosen(1000, 1000), std::pair(2l, false));
  EXPECT_EQ(chosen(1000, 999), std::pair(0l, true));
  EXPECT_EQ(chosen(1000, 150), std::pair(1l, true));
  EXPECT_EQ(chosen(1000, 10), std::pair(2l, true));
  EXPECT_EQ(chosen(0, 10), std::pair(2l, false));  // frozen: nothing is kept of them
}

TEST(KeptByPictures, CountsEveryNumberOfEveryBlock) {
  // 9 tokens of 3 x 3 patches and the class token; 8 x 16 + 2 x 32 numbers in each of two blocks.
  const model::VitShape shape{
      .picture_height = 12, .picture_width = 12, .patch = 4, .width = 16, .layers = 2, .hidden = 32, .class_token = true};
  EXPECT_EQ(kept_by_pictures(shape, 5), 192.0 * 10 * 2 * 5 * 4);
}

TEST(RecomputedParts, NamesLayersOfOtherParts) {
  const std::map<std::string, int64_t> others{{"faces", 1}, {"video_qformer", 3}};
  const auto layers = [&](const std::string& text) { return recomputed_parts(text, 2, {1}, 0, others).layers; };
  using Layers = std::map<std::string, Chosen>;
  EXPECT_EQ(layers("video_qformer"), (Layers{{"video_qformer", {true, true, true}}}));
  EXPECT_EQ(layers("1,video_qformer.1-2,pictures"), (Layers{{"video_qformer", {false, true, true}}}));
  EXPECT_EQ(layers("video_qformer.0,video_qformer.2,faces"), (Layers{{"faces", {true}}, {"video_qformer", {true, false, true}}}));
  EXPECT_EQ(layers("all"), (Layers{{"faces", {true}}, {"video_qformer", {true, true, true}}}));
  EXPECT_EQ(layers("none"), (Layers{{"faces", {false}}, {"video_qformer", {false, false, false}}}));
  EXPECT_TRUE(layers("auto").empty());
  const auto refused = [&](const std::string& text, const std::string& part) {
    return test::expect_error(
        ErrorKind::config, [&] { layers(text); }, part);
  };
  for (const char* text :
       {"audio_qformer", "video_qformer.", "video_qformer.x", "video_qformer.-1", "video_qformers", "faces.0-"})
    refused(text, "is no list of blocks");
  refused("video_qformer.3", "names block 3, and video_qformer has 3");
  refused("video_qformer.2-1", "runs backwards");
  EXPECT_NE(refused("x", "").next_step().find("pictures (the ViT), faces, video_qformer"), std::string::npos);
}

TEST(RecomputedParts, RefusesWhatIsNoneOfThese) {
  const auto refused = [](const std::string& text, const std::string& part) {
    test::expect_error(
        ErrorKind::config, [&] { recomputed_parts(text, 4, {1}, 0); }, part);
  };
  for (const char* text : {"", "every", "1,,2", "1,", "-1", "1-", "2.5", "1 2", "99999999999999999999"})
    refused(text, "is no list of blocks");
  refused("4", "names block 4, and the decoder has 4");
  refused("0-7", "names block 7");
  refused("3-1", "runs backwards");
}

TEST(AvailableMemory, IsSomeOfThisMachine) { EXPECT_GT(available_memory(), 1e6); }

/// A decoder in the place that it has in the model, with adapters on queries.
struct Small : torch::nn::Module {
  explicit Small(bool filled = true) {
    decoder = register_module("decoder", std::make_shared<model::Decoder>(options(), 40));
    projection = register_module("projection", std::make_shared<nn::Linear>(8, 32));
    if (filled) nn::initialise(*this, 4);
    select_trainable(*this, trained());
  }
  static model::DecoderOptions options() {
    model::DecoderOptions o{.width = 32, .layers = 2, .heads = 2, .hidden = 64, .max_tokens = 32, .lora = {}};
    o.lora = {.rank = 2, .alpha = 4, .dropout = 0, .targets = {"query"}};
    return o;
  }
  static TrainOptions trained() {
    TrainOptions options;
    options.trainable = {"*lora*", "decoder.block0.down.weight"};
    return options;
  }
  at::Tensor logits() const { return decoder->logits(decoder->forward(decoder->embed(at::arange(10).view({2, 5})))); }
  at::Tensor parameter(const std::string& name) const { return named_parameters()[name]; }

  std::shared_ptr<model::Decoder> decoder;
  std::shared_ptr<nn::Linear> projection;
};

TEST(FreezeWeights, TakesMatricesThatAreNotTrained) {
  Small small;
  freeze_weights(small, FrozenChoice::bf16, false);
  EXPECT_EQ(small.parameter("decoder.block0.query.weight").scalar_type(), at::kBFloat16);
  EXPECT_EQ(small.parameter("projection.weight").scalar_type(), at::kBFloat16);
  for (const char* name : {"decoder.block0.down.weight", "decoder.block0.query.lora_A", "decoder.tokens.weight",
                           "decoder.norm.weight", "projection.bias"})
    EXPECT_EQ(small.parameter(name).scalar_type(), at::kFloat) << name;
}

TEST(FreezeWeights, SmallKindsAreForTheDecodersBlocks) {
  Small small;
  const at::Tensor before = small.logits();
  freeze_weights(small, FrozenChoice::nf4, false);
  EXPECT_EQ(small.parameter("decoder.block1.gate.weight").scalar_type(), at::kByte);
  EXPECT_EQ(small.parameter("decoder.block0.down.weight").scalar_type(), at::kFloat);
  EXPECT_EQ(small.parameter("projection.weight").scalar_type(), at::kFloat);
  const double distance = ((small.logits() - before).norm() / before.norm()).item<double>();
  EXPECT_GT(distance, 1e-3);
  EXPECT_LT(distance, 0.3);
}

TEST(CheckFinite, RefusesWhatASmallKindWouldHide) {
  const char* name = "decoder.block1.up.weight";
  for (const double value : {NAN, -INFINITY}) {
    Small small;
    small.parameter(name).detach()[3][7] = value;
    for (const FrozenChoice choice : {FrozenChoice::int8, FrozenChoice::nf4})
      test::expect_error(
          ErrorKind::checkpoint, [&] { check_finite(small, choice); }, "'decoder.block1.up.weight' holds NaN or infinite values");
    for (const FrozenChoice choice : {FrozenChoice::automatic, FrozenChoice::fp32, FrozenChoice::bf16})
      EXPECT_NO_THROW(check_finite(small, choice));
    freeze_weights(small, FrozenChoice::bf16, false);
    EXPECT_FALSE(at::isfinite(small.parameter(name)[3][7]).item<bool>());  // and stays
  }
}

TEST(CheckFinite, TakesWhatIsTrainedKeptElsewhereOrFrozenAlready) {
  Small small;
  small.parameter("decoder.block0.down.weight").detach()[0][0] = NAN;  // trained
  small.parameter("projection.weight").detach()[0][0] = NAN;           // in no block of the decoder
  EXPECT_NO_THROW(check_finite(small, FrozenChoice::nf4));
  freeze_weights(small, FrozenChoice::nf4, false);
  EXPECT_NO_THROW(check_finite(small, FrozenChoice::nf4));
}

TEST(FreezeWeights, AChoiceWithoutAMatrixForItIsAnError) {
  for (const FrozenChoice choice : {FrozenChoice::bf16, FrozenChoice::int8, FrozenChoice::nf4}) {
    Small small;
    freeze_weights(small, choice, false);
    EXPECT_NO_THROW(check_frozen(small, choice));
  }
  TrainOptions options;
  for (const FrozenChoice choice : {FrozenChoice::bf16, FrozenChoice::int8, FrozenChoice::nf4}) {
    Small whole;
    select_trainable(whole, options);
    freeze_weights(whole, choice, false);
    const Error error = test::expect_error(
        ErrorKind::config, [&] { check_frozen(whole, choice); }, "it has no effect: every matrix");
    EXPECT_EQ(error.place(), "train.frozen_dtype");
  }
  options.frozen = {"projection.weight"};
  Small projection;
  select_trainable(projection, options);
  freeze_weights(projection, FrozenChoice::int8, false);
  test::expect_error(
      ErrorKind::config, [&] { check_frozen(projection, FrozenChoice::int8); },
      "every matrix of the decoder's blocks is trained");
  for (const FrozenChoice choice : {FrozenChoice::automatic, FrozenChoice::fp32})
    EXPECT_NO_THROW(check_frozen(projection, choice));
}

TEST(FreezeWeights, AutoLeavesACpuAsItIs) {
  Small small;
  freeze_weights(small, FrozenChoice::automatic, false);
  for (const auto& item : small.named_parameters()) EXPECT_EQ(item.value().scalar_type(), at::kFloat) << item.key();
  freeze_weights(small, FrozenChoice::automatic, /*gpu=*/true);
  EXPECT_EQ(small.parameter("decoder.block0.query.weight").scalar_type(), at::kBFloat16);
}

/// Weights of `frozen` as a run would hold them, loaded into `module`.
void load_frozen(const Small& frozen, Small& module) {
  auto tensors = checkpoint::tensors_of(frozen);
  auto targets = frozen_targets(module);
  thaw_when_taken(tensors, targets, module, "run");
  checkpoint::load_into(module, tensors, {.instead = targets});
}

TEST(ThawedWeights, BringFrozenOnesBackIntoAModelThatIsNot) {
  for (const FrozenChoice choice : {FrozenChoice::int8, FrozenChoice::nf4}) {
    Small frozen, plain;
    freeze_weights(frozen, choice, false);
    load_frozen(frozen, plain);
    EXPECT_TRUE(at::allclose(frozen.logits(), plain.logits(), 1e-5, 1e-5));
  }
}

TEST(ThawedWeights, GoIntoAModelThatIsFrozenOtherwise) {
  for (const FrozenChoice from : {FrozenChoice::int8, FrozenChoice::nf4})
    for (const FrozenChoice to : {FrozenChoice::bf16, FrozenChoice::int8, FrozenChoice::nf4}) {
      Small frozen, whole, other;
      freeze_weights(frozen, from, false);
      load_frozen(frozen, whole);
      freeze_weights(whole, to, false);
      freeze_weights(other, to, false);
      load_frozen(frozen, other);
      for (const auto& [name, tensor] : checkpoint::tensors_of(whole))
        EXPECT_TRUE(tensor.equal(checkpoint::tensors_of(other).at(name))) << name;
    }
}

TEST(ThawedWeights, RefusesBytesOfAnotherShape) {
  Small frozen, plain;
  freeze_weights(frozen, FrozenChoice::nf4, false);
  auto tensors = checkpoint::tensors_of(frozen);
  tensors["decoder.block1.up.weight"] = tensors["decoder.block1.up.weight"].slice(0, 1).clone();
  std::map<std::string, checkpoint::OtherTarget> targets;
  test::expect_error(
      ErrorKind::checkpoint, [&] { thaw_when_taken(tensors, targets, plain, "run"); }, "'decoder.block1.up.weight'");
}

TEST(FrozenTargets, TakeMatricesInTheBytesOfTheirKind) {
  for (const FrozenChoice choice : {FrozenChoice::bf16, FrozenChoice::int8, FrozenChoice::nf4}) {
    Small whole, before, after;
    nn::initialise(whole, 9);
    freeze_weights(after, choice, false);
    std::vector<std::string> filled;
    checkpoint::load_into(after, checkpoint::tensors_of(whole),
                          {.instead = frozen_targets(after, [&](const std::string& name) { filled.push_back(name); })});
    freeze_weights(whole, choice, false);
    for (const auto& [name, tensor] : checkpoint::tensors_of(whole))
      EXPECT_TRUE(tensor.equal(checkpoint::tensors_of(after).at(name))) << name;
    EXPECT_EQ(filled.size(), choice == FrozenChoice::bf16 ? 14u : 13u);  // the projection lies in no block
  }
}

TEST(FrozenTargets, RefuseWhatASmallKindWouldHideAndAnotherShape) {
  Small given, taking;
  freeze_weights(taking, FrozenChoice::int8, false);
  given.parameter("decoder.block1.up.weight").detach()[3][7] = NAN;
  test::expect_error(
      ErrorKind::checkpoint,
      [&] { checkpoint::load_into(taking, checkpoint::tensors_of(given), {.instead = frozen_targets(taking)}); },
      "'decoder.block1.up.weight' holds NaN or infinite values");
  auto tensors = checkpoint::tensors_of(given);
  tensors["decoder.block1.up.weight"] = at::zeros({64, 31});
  test::expect_error(
      ErrorKind::checkpoint, [&] { checkpoint::load_into(taking, tensors, {.instead = frozen_targets(taking)}); },
      "decoder.block1.up.weight: file [64, 31], model [64, 32]");
}

TEST(FreezeWeights, TheStructureNeedsNoMemory) {
  const nn::OnMeta on_meta;
  Small small(/*filled=*/false);
  freeze_weights(small, FrozenChoice::nf4, false);
  EXPECT_TRUE(small.parameter("decoder.block1.gate.weight").is_meta());
  EXPECT_EQ(small.parameter("decoder.block1.gate.weight").numel(), 64 * 32 / 2);
}

TEST(KeptByBlock, CountsWhatABlockWithAdaptersEverywhereKeeps) {
  const model::DecoderOptions options = Small::options();
  // Per token: five times the width, three times queries, keys and values, three times the hidden width.
  EXPECT_EQ(kept_by_block(options, 10), 10 * 4 * (5.0 * 32 + 3.0 * (2 + 4) * 16 + 3.0 * 64));
}

}  // namespace
}  // namespace microemo::train
