#include "microemo/train/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "microemo/base/error.h"

namespace microemo::train {
namespace {

std::vector<int64_t> clips_of_steps(uint64_t seed, int64_t clips, int64_t batch, int64_t steps) {
  std::vector<int64_t> all;
  for (int64_t step = 0; step < steps; ++step)
    for (const int64_t clip : clips_of_step(seed, clips, batch, step)) all.push_back(clip);
  return all;
}

TEST(Batches, EveryClipComesOnceAnEpochThoughTheBatchDoesNotDivideIt) {
  const auto all = clips_of_steps(1, 10, 4, 10);
  for (size_t epoch = 0; epoch < 4; ++epoch) {
    std::vector<int64_t> clips(all.begin() + static_cast<std::ptrdiff_t>(10 * epoch),
                               all.begin() + static_cast<std::ptrdiff_t>(10 * epoch + 10));
    EXPECT_THAT(clips, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
}

TEST(Batches, EveryEpochHasAnOrderOfItsOwn) { EXPECT_NE(clips_of_step(1, 30, 30, 0), clips_of_step(1, 30, 30, 1)); }

TEST(Batches, TheOrderDependsOnTheSeed) { EXPECT_NE(clips_of_step(1, 30, 30, 0), clips_of_step(2, 30, 30, 0)); }

TEST(Batches, AStepNeedsNoStepsBeforeIt) {
  EXPECT_EQ(clips_of_step(1, 10, 4, 7), clips_of_step(1, 10, 4, 7));
  EXPECT_EQ(clips_of_steps(1, 10, 4, 8).back(), clips_of_step(1, 10, 4, 7).back());
}

TEST(Batches, TheOrderDoesNotDependOnTheBatchSize) { EXPECT_EQ(clips_of_steps(1, 10, 4, 6), clips_of_steps(1, 10, 6, 4)); }

TEST(Batches, ABatchMayBeLargerThanTheData) { EXPECT_EQ(clips_of_step(1, 3, 7, 0).size(), 7u); }

TEST(Batches, RefusesAnEmptySet) { EXPECT_THROW(clips_of_step(1, 0, 4, 0), Error); }

/// Clip c is lengths[c] long.
class Buckets : public testing::Test {
 protected:
  Buckets() {
    for (int64_t clip = 0; clip < 40; ++clip) lengths_.push_back(double(clip * 17 % 40));
  }
  std::vector<int64_t> clips(int64_t buckets, int64_t step, uint64_t seed = 1) const {
    return bucketed_clips_of_step(seed, lengths_, 4, buckets, step);
  }
  double spread(const std::vector<int64_t>& of) const {
    const auto [least, most] = std::ranges::minmax(of, {}, [&](int64_t clip) { return lengths_[static_cast<size_t>(clip)]; });
    return lengths_[static_cast<size_t>(most)] - lengths_[static_cast<size_t>(least)];
  }
  std::vector<double> lengths_;
};

TEST_F(Buckets, OneLeavesTheOrderAsItIs) {
  for (int64_t step = 0; step < 25; ++step) EXPECT_EQ(clips(1, step), clips_of_step(1, 40, 4, step));
}

TEST_F(Buckets, HoldEveryClipOnceAnEpoch) {
  std::vector<int64_t> all;
  for (int64_t step = 0; step < 10; ++step)
    for (const int64_t clip : clips(5, step)) all.push_back(clip);
  std::ranges::sort(all);
  for (int64_t clip = 0; clip < 40; ++clip) EXPECT_EQ(all[static_cast<size_t>(clip)], clip);
}

TEST_F(Buckets, HoldClipsOfSimilarLength) {
  // All 40 clips in ten batches of four: neighbours in length, which are 0 to 39.
  for (int64_t step = 0; step < 10; ++step) EXPECT_EQ(spread(clips(10, step)), 3);
}

TEST_F(Buckets, ComeInAnOrderThatIsDrawn) {
  std::vector<double> first;
  for (int64_t step = 0; step < 10; ++step) first.push_back(lengths_[static_cast<size_t>(clips(10, step).front())]);
  EXPECT_FALSE(std::ranges::is_sorted(first));
  EXPECT_NE(clips(10, 0), clips(10, 0, 2));
  EXPECT_NE(clips(10, 0), clips(10, 10));
}

TEST_F(Buckets, OfAnEpochThatTheyDoNotDivideStillDropNoClip) {
  std::map<int64_t, int64_t> times;
  for (int64_t step = 0; step < 30; ++step)
    for (const int64_t clip : clips(3, step)) ++times[clip];
  for (const auto& [clip, count] : times) EXPECT_EQ(count, 3) << clip;
  EXPECT_EQ(times.size(), 40u);
}

TEST(Questions, AllAreAskedWithoutACap) {
  EXPECT_EQ(questions_of_step(1, 0, 5, {0, 2, 3}, 0), (std::vector<int64_t>{0, 2, 3}));
  EXPECT_EQ(questions_of_step(1, 0, 5, {0, 2, 3}, 3), (std::vector<int64_t>{0, 2, 3}));
}

TEST(Questions, ACapDrawsSomeInAscendingOrder) {
  const auto drawn = questions_of_step(1, 0, 5, {0, 2, 3, 7, 8}, 3);
  EXPECT_EQ(drawn.size(), 3u);
  EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
  EXPECT_THAT(drawn, testing::IsSubsetOf({0, 2, 3, 7, 8}));
}

TEST(Questions, OverTheStepsEveryQuestionIsDrawn) {
  std::vector<bool> asked(5);
  for (int64_t step = 0; step < 60; ++step)
    for (const int64_t question : questions_of_step(1, step, 5, {0, 1, 2, 3, 4}, 2)) asked[static_cast<size_t>(question)] = true;
  EXPECT_THAT(asked, testing::Each(true));
}

TEST(Augmentation, HasAnotherSeedInEveryStep) { EXPECT_NE(augmentation_draw(1, 0), augmentation_draw(1, 1)); }

TEST(Cut, KeepsTheOrderAndTheRest) {
  EXPECT_EQ(cut({1, 2, 3, 4, 5}, 2), (std::vector<std::vector<int64_t>>{{1, 2}, {3, 4}, {5}}));
}

TEST(Cut, ZeroGivesOnePiece) { EXPECT_EQ(cut({1, 2, 3}, 0), (std::vector<std::vector<int64_t>>{{1, 2, 3}})); }

}  // namespace
}  // namespace microemo::train
