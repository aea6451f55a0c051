#include <ATen/ATen.h>

#include "microemo/model/decoder.h"
#include "microemo/nn/init.h"
#include "public_reference.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using test::error_of;

DecoderOptions small_options() {
  DecoderOptions options{.width = 32, .layers = 3, .heads = 4, .key_value_heads = 2, .hidden = 48, .max_tokens = 16, .lora = {}};
  options.lora = {.rank = 3, .alpha = 6, .dropout = 0.3, .targets = {"query", "value", "output", "gate", "down"}};
  return options;
}

/// A decoder whose adapters alone are trained, and three rows of which the second is the longest.
class PackedDecoder : public testing::Test {
 protected:
  PackedDecoder() {
    nn::initialise(decoder_, 3);
    for (auto& item : decoder_.named_parameters()) {
      const at::NoGradGuard no_grad;
      const bool adapter = item.key().find("lora_") != std::string::npos;
      if (adapter) item.value().fill_(0.01).add_(at::arange(item.value().numel()).sin().view(item.value().sizes()), 0.1);
      item.value().requires_grad_(adapter);
    }
  }

  /// The packed tokens with zeros behind each row, [R, L, C].
  at::Tensor padded(const at::Tensor& tokens_NC) const {
    std::vector<at::Tensor> rows;
    for (const at::Tensor& row : tokens_NC.split_with_sizes(rows_.lengths))
      rows.push_back(at::constant_pad_nd(row, {0, 0, 0, 9 - row.size(0)}));
    return at::stack(rows);
  }
  at::Tensor packed_from(const at::Tensor& hidden_RLC) const {
    std::vector<at::Tensor> rows;
    for (size_t r = 0; r < rows_.lengths.size(); ++r) rows.push_back(hidden_RLC[int64_t(r)].slice(0, 0, rows_.lengths[r]));
    return at::cat(rows);
  }
  std::map<std::string, at::Tensor> gradients_after(const at::Tensor& hidden) {
    for (at::Tensor& parameter : decoder_.parameters()) parameter.mutable_grad() = at::Tensor();
    test::weighed_loss(hidden).backward();
    std::map<std::string, at::Tensor> gradients;
    for (const auto& item : decoder_.named_parameters())
      if (item.value().requires_grad()) gradients[item.key()] = item.value().grad();
    return gradients;
  }
  void expect_same(const std::map<std::string, at::Tensor>& expected, const std::map<std::string, at::Tensor>& actual) {
    for (const auto& [name, gradient] : expected) {
      ASSERT_TRUE(gradient.defined() && actual.at(name).defined()) << name;
      EXPECT_LT(((gradient - actual.at(name)).norm() / gradient.norm()).item<double>(), 5e-6) << name;
    }
  }

  Decoder decoder_{small_options(), 20};
  PackedRows rows_{{4, 9, 6}};
  const at::Tensor tokens_NC_ = at::randn({19, 32}), kept_n_ = at::tensor({2, 3, 11, 12, 18}, at::kLong);
  const nn::DropoutKeys keys_{{11, 12, 13}};
};

TEST_F(PackedDecoder, EqualsPaddedRowsWithAndWithoutDropout) {
  for (const nn::DropoutKeys& keys : {nn::DropoutKeys(), keys_}) {
    const at::Tensor whole_NC = packed_from(decoder_.forward(padded(tokens_NC_), nullptr, nullptr, keys));
    const at::Tensor wanted_nC = whole_NC.index_select(0, kept_n_);
    const at::Tensor hidden_nC = decoder_.forward_packed(tokens_NC_, rows_, kept_n_, keys);
    EXPECT_LT(error_of(hidden_nC, wanted_nC), 5e-6);
    expect_same(gradients_after(wanted_nC), gradients_after(hidden_nC));
  }
}

TEST_F(PackedDecoder, RowsOfOneLengthGoTogether) {
  const PackedRows even{{6, 6}};
  const at::Tensor tokens_NC = tokens_NC_.slice(0, 0, 12), all = at::arange(12);
  const at::Tensor wanted = decoder_.forward(tokens_NC.view({2, 6, 32})).flatten(0, 1);
  EXPECT_LT(error_of(decoder_.forward_packed(tokens_NC, even, all), wanted), 5e-6);
}

TEST_F(PackedDecoder, RowsOfOneTokenAndRowsThatTeachNothingEqualPaddedRows) {
  rows_ = {{1, 9, 1, 8}};
  for (const at::Tensor& kept_n : {at::tensor({0, 4, 10}, at::kLong), at::tensor({9}, at::kLong), at::arange(19)})
    for (const nn::DropoutKeys& keys : {nn::DropoutKeys(), nn::DropoutKeys({11, 12, 13, 14})}) {
      const at::Tensor wanted_nC =
          packed_from(decoder_.forward(padded(tokens_NC_), nullptr, nullptr, keys)).index_select(0, kept_n);
      const at::Tensor hidden_nC = decoder_.forward_packed(tokens_NC_, rows_, kept_n, keys);
      EXPECT_LT(error_of(hidden_nC, wanted_nC), 5e-6);
      expect_same(gradients_after(wanted_nC), gradients_after(hidden_nC));
    }
}

TEST_F(PackedDecoder, GradientsOfWhatItReadsEqualThoseOfPaddedRows) {
  const auto gradient = [&](bool packed) {
    const at::Tensor tokens_NC = tokens_NC_.clone().requires_grad_(true);
    test::weighed_loss(packed
                           ? decoder_.forward_packed(tokens_NC, rows_, kept_n_, keys_)
                           : packed_from(decoder_.forward(padded(tokens_NC), nullptr, nullptr, keys_)).index_select(0, kept_n_))
        .backward();
    return tokens_NC.grad();
  };
  const at::Tensor wanted_NC = gradient(false), found_NC = gradient(true);
  EXPECT_LT(((found_NC - wanted_NC).norm() / wanted_NC.norm()).item<double>(), 5e-6);
}

TEST_F(PackedDecoder, ARowSeesNothingOfTheOthers) {
  const at::Tensor changed = tokens_NC_.clone();
  changed.slice(0, 0, 4).fill_(7);
  const at::Tensor before = decoder_.forward_packed(tokens_NC_, rows_, kept_n_),
                   after = decoder_.forward_packed(changed, rows_, kept_n_);
  EXPECT_TRUE(before.slice(0, 2).equal(after.slice(0, 2)));
  EXPECT_GT(error_of(before.slice(0, 0, 2), after.slice(0, 0, 2)), 0.1);
}

TEST_F(PackedDecoder, NothingToLearnGivesNothing) {
  for (const nn::DropoutKeys& keys : {nn::DropoutKeys(), keys_}) {
    const at::Tensor hidden_nC = decoder_.forward_packed(tokens_NC_, rows_, at::empty({0}, at::kLong), keys);
    EXPECT_EQ(hidden_nC.sizes(), at::IntArrayRef({0, 32}));
    for (const auto& [name, gradient] : gradients_after(hidden_nC)) EXPECT_TRUE(gradient.eq(0).all().item<bool>()) << name;
  }
}

TEST_F(PackedDecoder, RecomputedBlocksGiveTheSameBits) {
  const at::Tensor plain = decoder_.forward_packed(tokens_NC_, rows_, kept_n_, keys_);
  const auto expected = gradients_after(plain);
  for (const std::vector<bool>& chosen :
       std::vector<std::vector<bool>>{{true, true, true}, {false, true}, {true}, {false, false, true}}) {
    decoder_.recompute_blocks(chosen);
    const at::Tensor again = decoder_.forward_packed(tokens_NC_, rows_, kept_n_, keys_);
    EXPECT_TRUE(again.equal(plain));
    for (const auto& [name, gradient] : gradients_after(again)) EXPECT_TRUE(gradient.equal(expected.at(name))) << name;
  }
}

TEST_F(PackedDecoder, RefusesRowsThatAreNotTheTokens) {
  test::expect_error(
      ErrorKind::internal,
      [&] {
        decoder_.forward_packed(tokens_NC_, {{4, 9, 5}}, kept_n_);
      },
      "19 tokens for rows of 18");
  test::expect_error(
      ErrorKind::internal,
      [&] {
        decoder_.forward_packed(at::randn({17, 32}), {{17}}, at::arange(17));
      },
      "position 16 lies beyond");
  test::expect_error(
      ErrorKind::internal,
      [&] {
        decoder_.forward_packed(tokens_NC_, {{10, 0, 9}}, kept_n_);
      },
      "a row of no tokens");
  test::expect_error(
      ErrorKind::internal, [&] { decoder_.forward_packed(tokens_NC_.slice(0, 0, 0), {}, kept_n_); }, "0 tokens for rows of 0");
}

}  // namespace
}  // namespace microemo::model
