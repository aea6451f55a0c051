#include "microemo/parallel/group.h"

#include <atomic>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "microemo/parallel/same.h"
#include "parallel/ranks.h"
#include "support/errors.h"

namespace microemo::parallel {
namespace {

using test::expect_error;
using test::run_ranks;

TEST(Group, OfOneProcessLeavesEverythingAsItIs) {
  Group group;
  const at::Tensor values = at::full({3}, 2.0);
  group.sum(values);
  EXPECT_EQ(values.sum().item<double>(), 6);
  EXPECT_EQ(group.world(), 1);
  EXPECT_EQ(group.texts("a"), std::vector<std::string>{"a"});
  EXPECT_TRUE(group.any(true));
  EXPECT_FALSE(group.any(false));
  group.barrier();
}

TEST(Group, SumsOverTheRanks) {
  for (const int64_t world : {2, 3, 4})
    run_ranks(world, [world](Group& group) {
      const at::Tensor values = at::arange(5, at::kDouble) + group.rank();
      group.sum(values);
      const double ranks = double(world * (world - 1)) / 2;
      for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(values[i].item<double>(), double(i * world) + ranks);
    });
}

TEST(Group, SumsThatWereBegunTogetherEndInTheirOwnTensors) {
  run_ranks(2, [](Group& group) {
    std::vector<at::Tensor> all;
    std::vector<std::function<void()>> waits;
    for (int i = 0; i < 20; ++i) all.push_back(at::full({1000}, double(i + group.rank())));
    for (const at::Tensor& one : all) waits.push_back(group.sum_later(one));
    for (int i = 0; i < 20; ++i) {
      waits[size_t(i)]();
      EXPECT_TRUE(all[size_t(i)].eq(2 * i + 1).all().item<bool>()) << i;
    }
  });
}

TEST(Group, GathersTensorsAndTexts) {
  run_ranks(3, [](Group& group) {
    const at::Tensor own = at::full({2}, float(group.rank())), all = at::zeros({6});
    group.gather(all, own);
    for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(all[i].item<float>(), float(i / 2));
    const std::string text(size_t(group.rank() * 3), char('a' + group.rank()));
    EXPECT_EQ(group.texts(text), (std::vector<std::string>{"", "bbb", "cccccc"}));
    EXPECT_EQ(group.from_first(group.first() ? "from zero" : "other"), "from zero");
    EXPECT_TRUE(group.any(group.rank() == 2));
    EXPECT_FALSE(group.any(false));
  });
}

TEST(Group, NamesRanksThatDoNotCome) {
  const Host host(3);
  RankOptions options;
  options.start_limit_s = 0.5;
  const Error error = expect_error(
      ErrorKind::environment, [&] { Group(host.context(1), options); }, "2 of 3 ranks did not come within");
  EXPECT_THAT(error.message(), testing::HasSubstr("rank 0, 2"));
}

TEST(Group, SaysThatNobodyIsAtTheMeetingPlace) {
  LaunchContext context;
  context.rank = 1;
  context.world = 2;
  context.address = "127.0.0.1";
  context.port = 1;
  RankOptions options;
  options.start_limit_s = 0.5;
  const Error error = expect_error(
      ErrorKind::environment, [&] { Group(context, options); },
      "the place where the ranks meet cannot be reached: Connection refused");
  EXPECT_EQ(error.place(), "127.0.0.1:1");
}

TEST(Group, ARankThatLeavesIsNoticed) {
  std::atomic<bool> lost = false;
  EXPECT_THROW(run_ranks(2,
                         [&](Group& group) {
                           group.barrier();  // both have met
                           if (group.rank() == 1) return;
                           try {
                             group.barrier();
                           } catch (const Error& error) {
                             lost = group.lost();
                             EXPECT_THAT(error.what(), testing::HasSubstr("rank 0 lost the other ranks"));
                             throw;
                           }
                         }),
               Error);
  EXPECT_TRUE(lost);
}

TEST(Group, WhatHasToBeTheSameIsComparedOnEveryRank) {
  std::atomic<int> refused = 0;
  run_ranks(3, [&](Group& group) {
    require_same(group, {{"the manifest", "m"}, {"the configuration", "c"}});
    try {
      require_same(group, {{"the manifest", "m"}, {"the configuration", group.rank() == 2 ? "d" : "c"}});
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "the configuration of rank 2 is another than that of rank 0");
      ++refused;
    }
  });
  EXPECT_EQ(refused, 3);
}

TEST(Group, SignsOfLifeTellStepAndPhaseAndAVerdictIsHeard) {
  Host host(2);
  RankOptions options;
  options.beat_s = 0.05;
  std::atomic<int> heard = 0;
  std::vector<std::jthread> ranks;
  for (int64_t rank = 0; rank < 2; ++rank)
    ranks.emplace_back([&, rank] {
      std::atomic<bool> told = false;
      Group group(host.context(rank), options, [&](const std::string& verdict) {
        heard += verdict == "rank 1 is dead" ? 1 : 100;
        told = true;
      });
      group.enter(Phase::step, 7 + rank);
      if (rank == 0) group.publish("run", "runs/one");
      while (!told) std::this_thread::yield();
    });
  const auto in_step = [&](int64_t rank) {
    const auto beat = host.beat(rank);
    return beat && beat->phase == Phase::step && beat->step == 7 + rank && beat->limit_s == 60;
  };
  while (!in_step(0) || !in_step(1)) std::this_thread::yield();
  while (host.told("run").empty()) std::this_thread::yield();
  EXPECT_EQ(host.told("run"), "runs/one");
  host.announce("rank 1 is dead");
  ranks.clear();
  EXPECT_EQ(heard, 2);
}

TEST(Group, VariablesOfAContextAreReadBack) {
  const Host host(4, 2);
  const LaunchContext context = launch_context(variables_of(host.context(3)));
  EXPECT_EQ(context.rank, 3);
  EXPECT_EQ(context.world, 4);
  EXPECT_EQ(context.attempt, 2);
  EXPECT_TRUE(context.hosted && context.watched);
  EXPECT_EQ(context.port, host.context(0).port);
}

}  // namespace
}  // namespace microemo::parallel
