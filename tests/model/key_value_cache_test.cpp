#include "microemo/model/key_value_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "microemo/model/decoder.h"
#include "microemo/nn/init.h"
#include "support/errors.h"

// Shapes: R rows, L tokens, C width, G key/value heads, E head width.

namespace microemo::model {
namespace {

struct Cached : testing::Test {
  static DecoderOptions options() {
    DecoderOptions options;
    options.width = 32;
    options.layers = 2;
    options.heads = 4;
    options.key_value_heads = 2;
    options.hidden = 48;
    options.max_tokens = 200;
    return options;
  }
  Decoder decoder{options(), 61};
  const at::NoGradGuard no_grad;

  Cached() { nn::initialise(decoder, 5); }

  at::Tensor text(int64_t length, int64_t seed) const {
    return decoder.embed((at::arange(length, at::kLong) * (seed + 2) + seed).remainder(61).unsqueeze(0));
  }
  KeyValueCache read(const at::Tensor& tokens_1LC) const {
    KeyValueCache cache;
    decoder.forward(tokens_1LC, &cache);
    return cache;
  }
  static double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }
};

TEST_F(Cached, ReadsATextInPartsAsInOne) {
  const at::Tensor tokens_1LC = text(90, 1), whole_1LC = decoder.forward(tokens_1LC);
  KeyValueCache cache;
  int64_t first = 0;
  for (const int64_t length : {1, 30, 1, 7, 51}) {
    const at::Tensor part_1LC = decoder.forward(tokens_1LC.narrow(1, first, length), &cache);
    EXPECT_LT(difference(part_1LC, whole_1LC.narrow(1, first, length)), 1e-5) << "from " << first;
    first += length;
  }
  EXPECT_EQ(cache.length(), 90);
}

TEST_F(Cached, AddsATokenToTextsOfDifferentLengths) {
  std::vector<at::Tensor> texts{text(3, 1), text(66, 2), text(20, 3)};
  std::vector<KeyValueCache> caches;
  for (const at::Tensor& tokens_1LC : texts) caches.push_back(read(tokens_1LC));
  for (int64_t step = 0; step < 70; ++step) {
    const at::Tensor next_RC = text(4, step)[0];
    const at::Tensor hidden_RC = decoder.forward_next(next_RC, {&caches[0], &caches[1], &caches[2]});
    for (int64_t r = 0; r < 3; ++r) {
      texts[size_t(r)] = at::cat({texts[size_t(r)], next_RC[r].view({1, 1, -1})}, 1);
      ASSERT_LT(difference(hidden_RC[r], decoder.forward(texts[size_t(r)])[0][-1]), 1e-5) << "step " << step << ", text " << r;
    }
  }
  EXPECT_EQ(caches[1].length(), 136);
}

TEST_F(Cached, SharesABeginningAmongTextsThatGoOnDifferently) {
  const at::Tensor begun_1LC = text(40, 1);
  const KeyValueCache begun = read(begun_1LC);
  std::vector<KeyValueCache> caches{begun.continued(), begun.continued()};
  std::vector<at::Tensor> texts;
  for (const int64_t seed : {0, 1}) {
    const at::Tensor rest_1LC = text(6 + 5 * seed, 7 + seed);
    texts.push_back(at::cat({begun_1LC, rest_1LC}, 1));
    EXPECT_LT(difference(decoder.forward(rest_1LC, &caches[size_t(seed)])[0][-1], decoder.forward(texts.back())[0][-1]), 1e-5);
  }
  const at::Tensor next_RC = text(2, 9)[0], hidden_RC = decoder.forward_next(next_RC, {&caches[0], &caches[1]});
  for (int64_t r = 0; r < 2; ++r)
    EXPECT_LT(difference(hidden_RC[r], decoder.forward(at::cat({texts[size_t(r)], next_RC[r].view({1, 1, -1})}, 1))[0][-1]),
              1e-5);
  EXPECT_EQ(begun.length(), 40);
  EXPECT_EQ(begun.row(0)[0].keys_GSE.const_data_ptr(), caches[0].row(0)[0].keys_GSE.const_data_ptr());
}

TEST_F(Cached, GoesOnFromATextThatWentOn) {
  const KeyValueCache first = read(text(10, 1));
  KeyValueCache second = first.continued();
  decoder.forward(text(5, 2), &second);
  KeyValueCache third = second.continued();
  const at::Tensor rest_1LC = text(4, 3);
  const at::Tensor all_1LC = at::cat({text(10, 1), text(5, 2), rest_1LC}, 1);
  EXPECT_LT(difference(decoder.forward(rest_1LC, &third)[0][-1], decoder.forward(all_1LC)[0][-1]), 1e-5);
}

TEST_F(Cached, GivesATextTheSameBitsInEveryPlaceOfItsBatch) {
  const at::Tensor next_RC = text(1, 4)[0].repeat({16, 1});
  at::Tensor wanted;
  for (size_t place = 0; place < 16; ++place) {
    std::vector<KeyValueCache> caches;
    std::vector<KeyValueCache*> pointers;
    for (size_t i = 0; i <= place; ++i) caches.push_back(read(text(i == place ? 30 : int64_t(i) + 2, i == place ? 8 : 1)));
    for (KeyValueCache& cache : caches) pointers.push_back(&cache);
    const at::Tensor hidden_C = decoder.forward_next(next_RC, pointers)[int64_t(place)];
    if (place == 0) wanted = hidden_C;
    EXPECT_TRUE(hidden_C.equal(wanted)) << place;
  }
}

TEST_F(Cached, RefusesATokenBeyondTheLongestText) {
  KeyValueCache cache = read(text(200, 1));
  test::expect_error(
      ErrorKind::internal, [&] { decoder.forward_next(text(1, 1)[0], {&cache}); }, "position 200 lies beyond");
  test::expect_error(
      ErrorKind::internal, [&] { decoder.forward(text(2, 1), &cache); }, "position 201 lies beyond");
}

TEST_F(Cached, RefusesMoreTextsThanTokens) {
  KeyValueCache one = read(text(3, 1)), two = read(text(3, 1));
  test::expect_error(
      ErrorKind::internal,
      [&] {
        decoder.forward_next(text(1, 1)[0], {&one, &two});
      },
      "2 caches for 1 tokens");
}

TEST_F(Cached, RefusesToTreatSeveralRowsAsOne) {
  KeyValueCache cache = read(text(6, 1).repeat({2, 1, 1}));
  test::expect_error(
      ErrorKind::internal, [&] { cache.continued(); }, "a cache of 2 rows is not one row");
  test::expect_error(
      ErrorKind::internal, [&] { decoder.forward_next(text(1, 1)[0], {&cache}); }, "one token for a cache of 2 rows");
}

}  // namespace
}  // namespace microemo::model
