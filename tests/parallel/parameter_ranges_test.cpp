#include "microemo/parallel/parameter_ranges.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "microemo/parallel/gradient_reducer.h"
#include "parallel/ranks.h"
#include "support/errors.h"

namespace microemo::parallel {
namespace {

using test::run_ranks;

const std::vector<int64_t> sizes = {5, 1, 100, 3, 64};
constexpr int64_t elements_of_all = 173;

TEST(ParameterRanges, HoldEveryElementOnce) {
  for (const int64_t world : {1, 2, 3, 4, 7, 30}) {
    const ParameterRanges ranges(sizes, world);
    EXPECT_EQ(ranges.elements(), elements_of_all);
    for (size_t i = 0; i < sizes.size(); ++i) {
      int64_t next = 0;
      for (int64_t rank = 0; rank < world; ++rank) {
        const ElementRange range = ranges.of(rank, i);
        if (range.size() == 0) continue;
        EXPECT_EQ(range.begin, next) << "parameter " << i << ", rank " << rank;
        next = range.end;
      }
      EXPECT_EQ(next, sizes[i]) << world;
    }
  }
}

TEST(ParameterRanges, AreEqualButForHalfAPieceAtEachEnd) {
  constexpr int64_t half_a_piece = 8;
  for (const int64_t world : {2, 4, 5, 40}) {
    const ParameterRanges ranges(sizes, world);
    for (int64_t rank = 0; rank < world; ++rank) {
      int64_t own = 0;
      for (size_t i = 0; i < sizes.size(); ++i) own += ranges.of(rank, i).size();
      EXPECT_EQ(own, ranges.of(rank).size());
      EXPECT_LE(own, elements_of_all / world + 1 + 2 * half_a_piece);
      EXPECT_LE(own, ranges.longest());
    }
  }
}

TEST(ParameterRanges, BeginInAParameterAtWholePiecesOfIt) {
  for (const int64_t world : {2, 3, 4, 5, 40})
    for (int64_t rank = 0; rank < world; ++rank)
      for (size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(ParameterRanges(sizes, world).of(rank, i).begin % 16, 0);
}

std::vector<at::Tensor> parameters(double value) {
  std::vector<at::Tensor> made;
  for (const int64_t size : sizes) made.push_back(at::full({size}, value, at::kFloat).requires_grad_(true));
  return made;
}

TEST(SharedRanges, AreThoseOfTheRankThatHasThem) {
  constexpr double one_number = 1e-5, whole = 1;
  for (const int64_t world : {1, 2, 4, 25})
    for (const double piece_mb : {one_number, whole})
      run_ranks(world, [&](Group& group) {
        const auto own = parameters(double(group.rank()));
        const ParameterRanges ranges(sizes, world);
        share_ranges(group, own, ranges, piece_mb);
        for (size_t i = 0; i < sizes.size(); ++i)
          for (int64_t rank = 0; rank < world; ++rank) {
            const ElementRange range = ranges.of(rank, i);
            if (range.size() == 0) continue;
            EXPECT_TRUE(own[i].detach().narrow(0, range.begin, range.size()).eq(double(rank)).all().item<bool>());
          }
      });
}

TEST(SharedRanges, RefuseParametersOfAnotherLayoutOrType) {
  run_ranks(2, [](Group& group) {
    for (const at::Tensor& odd : {at::zeros({3, 7}).t(), at::zeros({21}, at::kDouble)})
      test::expect_error(
          ErrorKind::internal, [&] { share_ranges(group, {odd}, ParameterRanges({21}, 2), 1); }, "contiguous fp32");
    group.barrier();  // a rank that has ended is lost to one that is still meeting it
  });
}

/// What all connections of this process, in which the ranks are threads, have sent so far, without what was sent again.
double sent_by_all() {
  double bytes = 0;
  for (int descriptor = 0; descriptor < 1024; ++descriptor) {
    tcp_info facts{};
    socklen_t length = sizeof facts;
    if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &facts, &length) == 0)
      bytes += double(facts.tcpi_bytes_sent - facts.tcpi_bytes_retrans);
  }
  return bytes;
}

/// Bytes on the wire of one step of all ranks: gradients of `elements` numbers, and with ranges the updated parameters.
double measured(int64_t world, int64_t elements, bool with_ranges) {
  std::atomic<double> before = 0, after = 0;
  RankOptions options;
  options.beat_s = 60;
  run_ranks(
      world,
      [&](Group& group) {
        const at::Tensor parameter = at::zeros({elements}).requires_grad_(true);
        GradientReducer reducer(group, {parameter}, 4);
        const ParameterRanges ranges({elements}, world);
        group.barrier();
        if (group.first()) before = sent_by_all();
        group.barrier();
        reducer.last_pass();
        (parameter * 2.0).sum().backward();
        reducer.finish();
        if (with_ranges) share_ranges(group, {parameter}, ranges, 4);
        group.barrier();
        if (group.first()) after = sent_by_all();
        group.barrier();
      },
      options);
  return after - before;
}

TEST(BytesOfAStep, AreThoseOfTheFormula) {
  constexpr int64_t elements = 1'000'003;
  // Heads of messages, barriers and which parameters were used.
  constexpr double beside = 0.01;
  for (const int64_t world : {2, 4})
    for (const bool with_ranges : {false, true}) {
      const double formula = double(world) * bytes_sent_per_step(ParameterRanges({elements}, world), world, with_ranges);
      const double sent = measured(world, elements, with_ranges);
      EXPECT_GE(sent, formula);
      EXPECT_LE(sent, (1 + beside) * formula) << world << " ranks, ranges " << with_ranges;
    }
}

}  // namespace
}  // namespace microemo::parallel
