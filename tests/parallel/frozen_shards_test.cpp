#include "microemo/parallel/frozen_shards.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "parallel/ranks.h"
#include "support/errors.h"

namespace microemo::parallel {
namespace {

using test::run_ranks;

at::Tensor numbers(at::IntArrayRef shape, at::ScalarType type, int64_t from) {
  int64_t count = 1;
  for (const int64_t length : shape) count *= length;
  return at::arange(from, from + count).view(shape).remainder(101).to(type);
}

/// Blocks of different sizes and types, none of which is a whole number of pieces.
std::vector<FrozenShards::Block> make_blocks(int64_t count = 5) {
  std::vector<FrozenShards::Block> blocks;
  for (int64_t i = 0; i < count; ++i) {
    const std::string prefix = "block" + std::to_string(i) + ".";
    blocks.push_back({{prefix + "weight", numbers({7 + i, 13}, at::kBFloat16, 100 * i)},
                      {prefix + "scales", numbers({3}, at::kFloat, 100 * i + 7)},
                      {prefix + "bytes", numbers({1000 + 100 * i}, at::kByte, 100 * i + 9)}});
  }
  return blocks;
}

/// Those of one rank, with copies to compare with.
struct Held {
  explicit Held(Group& group, int64_t count = 5)
      : blocks(make_blocks(count)), copies(make_blocks(count)), shards(blocks, group.rank(), group.world()) {
    shards.store_rest();
    shards.connect(group);
  }
  void expect_there(int64_t block) const {
    for (size_t i = 0; i < blocks[size_t(block)].size(); ++i)
      EXPECT_TRUE(blocks[size_t(block)][i].second.equal(copies[size_t(block)][i].second)) << block << ", " << i;
  }
  int64_t present() const {
    return std::count_if(blocks.begin(), blocks.end(),
                         [](const auto& block) { return block.front().second.storage().nbytes() > 0; });
  }

  std::vector<FrozenShards::Block> blocks, copies;
  FrozenShards shards;
};

TEST(FrozenShards, BringEveryBlockTogether) {
  for (const int64_t world : {2, 3, 4})
    run_ranks(world, [](Group& group) {
      Held held(group);
      for (const int64_t block : {0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 3, 0, 4}) {
        held.shards.need(block, -1);
        held.expect_there(block);
      }
      group.barrier();
    });
}

TEST(FrozenShards, KeepTwoBlocksAtMostAndFetchTheNext) {
  run_ranks(2, [](Group& group) {
    Held held(group);
    EXPECT_EQ(held.present(), 0);
    for (const int64_t block : {0, 1, 2, 3, 4, 3, 2, 1, 0}) {
      held.shards.need(block, block + 1);
      held.expect_there(block);
      EXPECT_LE(held.present(), 2);
    }
    group.barrier();
  });
}

TEST(FrozenShards, AreThoseOfThePiecesOfAllRanks) {
  for (const int64_t world : {2, 4}) {
    std::atomic<int64_t> pieces = 0, all = 0;
    run_ranks(world, [&](Group& group) {
      const Held held(group);
      pieces += held.shards.bytes_held();
      all = held.shards.bytes_of_all();
      group.barrier();
    });
    // Each rank has two buffers of the largest block, and blocks end at whole lines of 64 bytes for every rank.
    const int64_t largest = 2 * 11 * 13 + 12 + 1400, padding = 64 * (3 + world);
    EXPECT_GE(pieces, all + world * 2 * largest);
    EXPECT_LE(pieces, all + world * 2 * (largest + padding) + 5 * padding);
  }
}

TEST(FrozenShards, GiveRanksWhatTheyAskForWhateverTheOthersDo) {
  run_ranks(3, [](Group& group) {
    Held held(group);
    for (int64_t turn = 0; turn < 20 * group.rank(); ++turn) {
      const int64_t block = (turn * (group.rank() + 1)) % 5;
      held.shards.need(block, turn % 5);
      held.expect_there(block);
    }
    group.barrier();
  });
}

TEST(FrozenShards, GiveWholeTensorsToAnotherThreadMeanwhile) {
  run_ranks(2, [](Group& group) {
    Held held(group);
    std::jthread other([&held] {
      for (int turn = 0; turn < 5; ++turn)
        for (const auto& block : held.copies)
          for (const auto& [name, copy] : block) EXPECT_TRUE(held.shards.whole(name).equal(copy)) << name;
    });
    for (int64_t turn = 0; turn < 50; ++turn) held.shards.need(turn % 5, (turn + 1) % 5);
    other.join();
    group.barrier();
  });
}

TEST(FrozenShards, ATensorIsStoredAgainWithOtherValues) {
  run_ranks(2, [](Group& group) {
    auto blocks = make_blocks();
    FrozenShards shards(blocks, group.rank(), group.world());
    shards.store_rest();
    const at::Tensor other = numbers({8, 13}, at::kBFloat16, 55);
    shards.store("block1.weight", other);
    shards.connect(group);
    shards.need(1, -1);
    EXPECT_TRUE(blocks[1][0].second.equal(other));
    group.barrier();
  });
}

TEST(FrozenShards, RefuseWhatDoesNotFit) {
  auto blocks = make_blocks();
  FrozenShards shards(blocks, 0, 2);
  const auto refused = [&](const at::Tensor& values) {
    test::expect_error(
        ErrorKind::internal, [&] { shards.store("block0.weight", values); }, "another shape or type");
  };
  refused(at::zeros({7, 12}, at::kBFloat16));
  refused(at::zeros({7, 13}, at::kFloat));
  blocks[1][0].first = "block0.weight";
  test::expect_error(
      ErrorKind::internal, [&] { FrozenShards(blocks, 0, 2); }, "'block0.weight' is in two blocks");
  test::expect_error(
      ErrorKind::internal,
      [] {
        FrozenShards({{{"a", at::zeros({3}).requires_grad_(true)}}}, 0, 2);
      },
      "'a' is cut over ranks");
  test::expect_error(
      ErrorKind::internal, [&] { shards.need(0, 1); }, "have not met");
}

TEST(FrozenShards, ARankThatIsGoneIsAnErrorOfLostRanks) {
  std::atomic<int> lost = 0;
  run_ranks(2, [&](Group& group) {
    auto held = std::make_unique<Held>(group);
    group.barrier();
    if (group.first()) held.reset();
    group.barrier();
    if (group.first()) return;
    test::expect_error(
        ErrorKind::environment, [&] { held->shards.need(3, -1); }, "rank 1 lost the other ranks");
    EXPECT_TRUE(group.lost());
    test::expect_error(
        ErrorKind::environment, [&] { held->shards.whole("block2.bytes"); }, "'block2.bytes' cannot be brought together");
    ++lost;
  });
  EXPECT_EQ(lost, 1);
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

/// Forward and backward, as the decoder asks for its blocks.
void pass(FrozenShards& shards) {
  const int64_t blocks = shards.blocks();
  for (int64_t i = 0; i < blocks; ++i) shards.need(i, i + 1 < blocks ? i + 1 : -1);
  for (int64_t i = blocks - 1; i >= 0; --i) shards.need(i, i - 1);
}

TEST(FrozenShards, SendTheBytesOfTheFormula) {
  // Requests, heads of messages and barriers.
  constexpr double beside = 0.01;
  for (const int64_t world : {2, 4}) {
    std::atomic<double> before = 0, after = 0, formula = 0;
    RankOptions options;
    options.beat_s = 60;
    run_ranks(
        world,
        [&](Group& group) {
          std::vector<FrozenShards::Block> blocks;
          for (int64_t i = 0; i < 6; ++i) blocks.push_back({{"w" + std::to_string(i), at::zeros({500'003 + i}, at::kFloat)}});
          FrozenShards shards(blocks, group.rank(), group.world());
          shards.store_rest();
          shards.connect(group);
          pass(shards);  // the first one begins with empty buffers
          group.barrier();
          if (group.first()) before = sent_by_all();
          group.barrier();
          for (int turn = 0; turn < 3; ++turn) pass(shards);
          group.barrier();
          if (group.first()) after = sent_by_all();
          if (group.first()) formula = 3 * double(world) * shards.bytes_sent_per_pass();
          group.barrier();
        },
        options);
    EXPECT_GE(after - before, formula);
    EXPECT_LE(after - before, (1 + beside) * formula) << world;
  }
}

}  // namespace
}  // namespace microemo::parallel
