#include <gtest/gtest.h>

#include "golden.h"
#include "microemo/model/decoder.h"
#include "microemo/nn/init.h"
#include "microemo/nn/loss.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using test::expect_error;

DecoderOptions golden_options() {
  return {.width = 32,
          .layers = 2,
          .heads = 4,
          .key_value_heads = 2,
          .hidden = 48,
          .max_tokens = 64,
          .utterance_embedding = false,
          .lora = {}};
}

TEST(Decoder, EqualsTransformersHiddenStatesAndLogits) {
  const Golden golden("decoder");
  Decoder decoder(golden_options(), 61);
  golden.load_into(decoder);
  const at::Tensor hidden = decoder.forward(decoder.embed(golden["in.ids"]));
  EXPECT_LT(difference(hidden, golden["out.hidden"]), 3e-6);
  EXPECT_LT(difference(decoder.logits(hidden), golden["out.logits"]), 3e-6);
}

TEST(Decoder, EqualsTransformersLossAndGradients) {
  const Golden golden("decoder");
  Decoder decoder(golden_options(), 61);
  golden.load_into(decoder);
  const at::Tensor hidden = decoder.forward(decoder.embed(golden["in.ids"]));
  const at::Tensor loss =
      nn::linear_cross_entropy_sum(hidden.flatten(0, 1), decoder.output_weight(), golden["in.labels"].flatten(), 4);
  EXPECT_NEAR(loss.item<double>(), golden["out.loss"].item<double>(), 1e-4);
  loss.backward();
  for (const auto& item : decoder.named_parameters())
    EXPECT_LT(difference(item.value().grad(), golden["grad." + item.key()]), 1e-5) << item.key();
}

TEST(Decoder, WritesTheSameTokensAsTransformersWithItsCache) {
  const Golden golden("decoder");
  const at::NoGradGuard no_grad;
  Decoder decoder(golden_options(), 61);
  golden.load_into(decoder);
  KeyValueCache cache;
  at::Tensor next_R1 = decoder.logits(decoder.forward(decoder.embed(golden["in.ids"]), &cache).slice(1, -1)).argmax(-1);
  std::vector<at::Tensor> written;
  for (int i = 0; i < 12; ++i) {
    written.push_back(next_R1);
    next_R1 = decoder.logits(decoder.forward(decoder.embed(next_R1), &cache)).argmax(-1);
  }
  EXPECT_TRUE(at::equal(at::cat(written, 1), golden["out.greedy"]));
}

TEST(Decoder, PaddingOnTheRightChangesNothingBeforeIt) {
  const Golden golden("decoder");
  Decoder decoder(golden_options(), 61);
  golden.load_into(decoder);
  const at::Tensor padded = at::constant_pad_nd(golden["in.ids"], {0, 5}, 7);
  const at::Tensor hidden = decoder.forward(decoder.embed(padded)).slice(1, 0, 9);
  EXPECT_LT(difference(hidden, golden["out.hidden"]), 3e-6);
}

TEST(Decoder, AttachingLoraChangesNothingUntilItIsTrained) {
  const Golden golden("decoder");
  Decoder decoder(golden_options(), 61);
  golden.load_into(decoder);
  decoder.attach_lora({.rank = 4, .alpha = 8, .targets = {"query", "down"}});
  {
    const at::NoGradGuard no_grad;
    for (auto& item : decoder.named_parameters())
      if (item.key().find("lora_A") != std::string::npos) item.value().normal_();
  }
  EXPECT_LT(difference(decoder.forward(decoder.embed(golden["in.ids"])), golden["out.hidden"]), 3e-6);
}

TEST(Decoder, LoraAddsTheScaledProductOfItsMatrices) {
  nn::Linear linear(3, 5, false);
  linear.attach_lora(2, 6);
  const at::NoGradGuard no_grad;
  for (auto& item : linear.named_parameters()) item.value().normal_();
  const auto parameters = linear.named_parameters();
  const at::Tensor x = at::randn({4, 3});
  const at::Tensor merged = parameters["weight"] + 3.0 * at::mm(parameters["lora_B"], parameters["lora_A"]);
  EXPECT_LT(difference(linear.forward(x), at::mm(x, merged.t())), 2e-6);
}

TEST(Decoder, RefusesAnUnknownLoraTarget) {
  expect_error(
      ErrorKind::config, [] { Decoder(golden_options(), 61).attach_lora({.rank = 4, .targets = {"q_proj"}}); }, "q_proj");
  for (const char* target : {"block9.query", "block?.q*y_", "*.*.*", "", "query.lora_A"})
    expect_error(
        ErrorKind::config,
        [&] {
          Decoder(golden_options(), 61).attach_lora({.rank = 4, .targets = {"query", target}});
        },
        fmt::format("no projection '{}'", target));
}

TEST(Lora, TargetsMayBePatternsOfBlocks) {
  const auto adapters = [](const std::vector<std::string>& targets) {
    model::DecoderOptions options = golden_options();
    options.layers = 3;
    options.lora = {.rank = 4, .targets = targets};
    return Decoder(options, 61).adapters_text();
  };
  EXPECT_EQ(adapters({"query", "value"}), "adapters of rank 4 on query of every block, value of every block");
  EXPECT_EQ(adapters({"block[01].query", "down"}), "adapters of rank 4 on query of blocks 0 1, down of every block");
  EXPECT_EQ(adapters({"block2.[gu]*", "block2.gate"}), "adapters of rank 4 on gate of blocks 2, up of blocks 2");
  EXPECT_EQ(Decoder(golden_options(), 61).adapters_text(), "");
}

TEST(Decoder, RefusesALoraRankThatDoesNotFit) {
  expect_error(
      ErrorKind::config, [] { Decoder(golden_options(), 61).attach_lora({.rank = 17, .targets = {"key"}}); }, "rank of 17");
}

TEST(Decoder, RefusesHeadsThatDoNotDivideTheWidth) {
  DecoderOptions options = golden_options();
  options.heads = 5;
  expect_error(
      ErrorKind::config, [&] { Decoder(options, 61); }, "5 heads");
}

TEST(Decoder, RefusesKeyHeadsThatDoNotDivideTheQueryHeads) {
  DecoderOptions options = golden_options();
  options.key_value_heads = 3;
  expect_error(
      ErrorKind::config, [&] { Decoder(options, 61); }, "3 key/value heads");
}

TEST(Decoder, UtteranceZeroAddsNothing) {
  DecoderOptions options = golden_options();
  options.utterance_embedding = true;
  Decoder decoder(options, 61);
  nn::initialise(decoder, 3);
  const at::Tensor tokens = at::randn({1, 2, 32});
  const at::Tensor out = decoder.add_utterances(tokens, at::tensor({0, 2}, at::kLong).view({1, 2}));
  EXPECT_TRUE(at::equal(out[0][0], tokens[0][0]));
  EXPECT_TRUE(at::allclose(out[0][1] - tokens[0][1], decoder.named_parameters()["utterances.weight"][1], 1e-5, 1e-6));
}

}  // namespace
}  // namespace microemo::model
