#include "microemo/nn/cached_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "support/errors.h"

// Shapes: R rows, H query heads, G key/value heads, S positions, E width of a head.

namespace microemo::nn {
namespace {

struct Shape {
  int64_t heads, groups, width;
};

/// Random queries and the keys and values of rows of different lengths, each in one piece with room behind it.
struct Rows {
  at::Tensor query_RHE;
  std::vector<CachedRow> rows;

  explicit Rows(const Shape& shape, const std::vector<int64_t>& lengths = {1, 70, 8, 33, 9}) {
    at::manual_seed(1);
    query_RHE = at::randn({int64_t(lengths.size()), shape.heads, shape.width});
    for (const int64_t length : lengths)
      rows.push_back(
          {{at::randn({shape.groups, length + 5, shape.width}), at::randn({shape.groups, length + 5, shape.width}), length}});
  }
  at::Tensor attended() const { return cached_attention(query_RHE, rows); }
};

/// The formula, written out in double.
at::Tensor formula(const at::Tensor& query_HE, const CachedPiece& piece) {
  const int64_t repeats = query_HE.size(0) / piece.keys_GSE.size(0);
  const auto of_heads = [&](const at::Tensor& t_GSE) {
    return t_GSE.narrow(1, 0, piece.length).to(at::kDouble).repeat_interleave(repeats, 0);
  };
  const at::Tensor scores_H1S = query_HE.to(at::kDouble).unsqueeze(1).matmul(of_heads(piece.keys_GSE).transpose(1, 2));
  return (scores_H1S / std::sqrt(double(query_HE.size(1)))).softmax(-1).matmul(of_heads(piece.values_GSE)).squeeze(1);
}

class CachedAttention : public testing::TestWithParam<Shape> {};

TEST_P(CachedAttention, EqualsTheFormulaInRowsOfDifferentLengths) {
  const Rows given(GetParam());
  const at::Tensor got = given.attended();
  for (size_t r = 0; r < given.rows.size(); ++r) {
    const at::Tensor wanted = formula(given.query_RHE[int64_t(r)], given.rows[r][0]);
    EXPECT_LT((got[int64_t(r)] - wanted).abs().max().item<double>(), 2e-6) << "row " << r;
  }
}

TEST_P(CachedAttention, GivesARowTheSameBitsAloneAsAmongOthers) {
  const Rows given(GetParam());
  const at::Tensor together = given.attended();
  for (size_t r = 0; r < given.rows.size(); ++r)
    EXPECT_TRUE(
        cached_attention(given.query_RHE.slice(0, int64_t(r), int64_t(r) + 1), {given.rows[r]})[0].equal(together[int64_t(r)]))
        << "row " << r;
}

TEST_P(CachedAttention, DoesNotDependOnHowPositionsAreCutIntoPieces) {
  Rows given(GetParam());
  const at::Tensor whole = given.attended();
  for (CachedRow& row : given.rows) {
    const CachedPiece all = row[0];
    const int64_t first = all.length / 3;
    row = {{all.keys_GSE.narrow(1, 0, first), all.values_GSE.narrow(1, 0, first), first},
           {all.keys_GSE.slice(1, first), all.values_GSE.slice(1, first), all.length - first}};
  }
  EXPECT_TRUE(given.attended().equal(whole));
}

INSTANTIATE_TEST_SUITE_P(Shapes, CachedAttention,
                         testing::Values(Shape{4, 4, 32}, Shape{8, 2, 48}, Shape{4, 1, 12}, Shape{2, 2, 5}, Shape{1, 1, 128}));

TEST(CachedAttention, DoesNotDependOnTheNumberOfThreads) {
  const Rows given({8, 2, 64}, std::vector<int64_t>(200, 40));
  const at::Tensor one = given.attended();
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  EXPECT_TRUE(given.attended().equal(one));
  at::set_num_threads(before);
}

TEST(CachedAttention, ReadsPositionsWhereverTheyLie) {
  Rows given({4, 2, 16});
  const at::Tensor plain = given.attended();
  for (CachedRow& row : given.rows) {
    row[0].keys_GSE = row[0].keys_GSE.transpose(0, 1).contiguous().transpose(0, 1);
    row[0].values_GSE = row[0].values_GSE.transpose(1, 2).contiguous().transpose(1, 2);
  }
  EXPECT_LT((given.attended() - plain).abs().max().item<double>(), 1e-6);
}

TEST(CachedAttention, GivesZerosBehindItsRows) {
  Rows given({4, 2, 16});
  given.rows.resize(2);
  EXPECT_TRUE(given.attended().slice(0, 2).eq(0).all().item<bool>());
}

TEST(CachedAttention, LeavesHugeScoresFinite) {
  Rows given({2, 1, 16}, {20});
  given.query_RHE.mul_(1e18);
  EXPECT_TRUE(given.attended().isfinite().all().item<bool>());
}

TEST(CachedAttention, ComputesInOtherTypes) {
  Rows given({4, 2, 16});
  const at::Tensor plain = given.attended();
  given.query_RHE = given.query_RHE.to(at::kDouble);
  for (CachedRow& row : given.rows)
    for (at::Tensor* t : {&row[0].keys_GSE, &row[0].values_GSE}) *t = t->to(at::kDouble);
  EXPECT_LT((given.attended() - plain).abs().max().item<double>(), 2e-6);
}

TEST(CachedAttention, RefusesShapesThatDisagree) {
  const auto refused = [](const Rows& given, const char* says) {
    test::expect_error(
        ErrorKind::internal, [&] { given.attended(); }, says);
  };
  Rows too_many({4, 2, 16});
  too_many.query_RHE = too_many.query_RHE.slice(0, 0, 2);
  refused(too_many, "5 cached rows for 2 queries");
  Rows heads({4, 2, 16});
  heads.query_RHE = heads.query_RHE.slice(1, 0, 3);
  refused(heads, "for 3 heads of 16");
  Rows width({4, 2, 16});
  width.query_RHE = width.query_RHE.slice(2, 0, 8);
  refused(width, "for 4 heads of 8");
  Rows longer({4, 2, 16});
  longer.rows[1][0].length = 76;
  refused(longer, "76 of 2 x 75 x 16 cached positions");
  Rows empty({4, 2, 16});
  empty.rows[3].clear();
  refused(empty, "attention over no position");
}

}  // namespace
}  // namespace microemo::nn
