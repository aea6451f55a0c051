// Clips whose decoders do not come back.
#include <thread>

#include "media/clips.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/data/prepared.h"
#include "support/errors.h"
#include "support/held_file.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::HeldFile;
using testing::ElementsAre;
using testing::HasSubstr;

/// Clips a, b and c; the file system holds a back. Every content is known, as a preparation with other options was there before.
class PrepareHangs : public testing::Test {
 protected:
  void SetUp() override {
    for (const std::string id : {"a", "b", "c"}) {
      clips_.make(id + ".mp4", {"-metadata", "title=" + id});
      all_.push_back({.id = id, .video = clips_.path(id + ".mp4"), .line = int64_t(all_.size()) + 1});
    }
    prepare_manifest(manifest(), cache(), {.frame_width = 32, .faces = false}, {.workers = 1});
    hold();
    if (!held_->is_held()) GTEST_SKIP() << "no leases on this file system";
    run_.max_skipped = 1.0;
    // In a program it would end the process; here the file comes back instead, too late for its deadline.
    run_.on_hang = [this](const PrepareReport& report, const std::exception_ptr& failure) {
      ++ends_;
      report_ = report;
      failure_ = failure;
      at_the_end_ = done();
      held_->release();
    };
  }
  void hold() {
    // Nobody else may have it open, the one before included.
    held_.reset();
    held_ = std::make_unique<HeldFile>(clips_.path("a.mp4"));
  }
  Manifest manifest() const { return {clips_.path("m.jsonl"), "", all_}; }
  fs::path cache() const { return clips_.path("cache"); }
  PrepareReport prepare(int workers) {
    run_.workers = workers;
    return prepare_manifest(manifest(), cache(), options_, run_);
  }
  /// Clips that are in the cache.
  std::vector<std::string> done() const {
    std::vector<std::string> ids;
    for (const Clip& clip : all_)
      if (fs::exists(cache_file(cache(), clip, options_))) ids.push_back(clip.id);
    return ids;
  }
  std::vector<Json> skipped() const {
    std::vector<Json> lines;
    if (fs::exists(cache() / "skipped.jsonl"))
      read_jsonl(cache() / "skipped.jsonl", [&](const Json& line, int64_t) { lines.push_back(line); });
    return lines;
  }

  test::Clips clips_;
  std::vector<Clip> all_;
  PrepareOptions options_{.faces = false, .limits = {.stall_seconds = 0.2}};
  PrepareRun run_;
  std::unique_ptr<HeldFile> held_;
  int ends_ = 0;
  PrepareReport report_;
  std::exception_ptr failure_;
  std::vector<std::string> at_the_end_;
};

TEST_F(PrepareHangs, TheOnlyWorkerLeavesTheOthersForTheNextRun) {
  prepare(1);
  EXPECT_EQ(ends_, 1);
  EXPECT_TRUE(report_.stopped);
  EXPECT_FALSE(failure_);
  EXPECT_EQ(report_.reasons, (std::map<std::string, int64_t>{{"hang", 1}}));
  EXPECT_THAT(at_the_end_, ElementsAre());
}

TEST_F(PrepareHangs, AnotherWorkerGoesOnWithTheRest) {
  prepare(2);
  EXPECT_EQ(ends_, 1);
  EXPECT_FALSE(report_.stopped);
  EXPECT_EQ(report_.skipped, 1);
  EXPECT_EQ(report_.done, 2);
  EXPECT_THAT(at_the_end_, ElementsAre("b", "c"));
}

TEST_F(PrepareHangs, TheClipIsListedBeforeTheProcessEnds) {
  std::vector<Json> listed;
  const auto end = run_.on_hang;
  run_.on_hang = [&](const PrepareReport& report, const std::exception_ptr& failure) {
    listed = skipped();
    end(report, failure);
  };
  prepare(1);
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0]["id"], "a");
  EXPECT_EQ(listed[0]["reason"], "hang");
  EXPECT_THAT(listed[0]["where"].get<std::string>(), HasSubstr("a.mp4"));
}

TEST_F(PrepareHangs, MoreThanIsAllowedIsAFailure) {
  run_.max_skipped = std::nullopt;
  EXPECT_THROW(prepare(2), Error);
  ASSERT_TRUE(failure_);
  const Error error = expect_error(
      ErrorKind::data, [&] { std::rethrow_exception(failure_); }, "1 of 3 clips cannot be prepared (hang 1)");
  EXPECT_THAT(error.next_step(), HasSubstr("convert these videos"));
}

TEST_F(PrepareHangs, ALimitThatItExceedsEndsTheRun) {
  run_.max_skipped_clips = 0;
  EXPECT_THROW(prepare(1), Error);
  ASSERT_TRUE(failure_);
  EXPECT_FALSE(report_.stopped);
  EXPECT_THAT(done(), ElementsAre()) << "b and c were begun behind the end";
}

TEST_F(PrepareHangs, WhatComesBackAfterAllStaysOnTheListOfThisRun) {
  const PrepareReport report = prepare(1);
  EXPECT_EQ(report.skipped, 1);
  EXPECT_EQ(report.done, 2);
  ASSERT_EQ(skipped().size(), 1u);
  EXPECT_EQ(prepare(1).done, 1);
  EXPECT_TRUE(skipped().empty());
}

TEST_F(PrepareHangs, TheNextRunTriesItLast) {
  prepare(2);
  for (const Clip& clip : all_) fs::remove(cache_file(cache(), clip, options_));
  hold();
  ASSERT_TRUE(held_->is_held());
  prepare(1);
  EXPECT_EQ(ends_, 2);
  EXPECT_THAT(at_the_end_, ElementsAre("b", "c"));
  EXPECT_FALSE(report_.stopped) << "no clip is left";
}

TEST_F(PrepareHangs, ThoseBehindItThatHungBeforeStaySkipped) {
  HeldFile second(clips_.path("b.mp4"));
  ASSERT_TRUE(second.is_held());
  run_.on_hang = [&](const PrepareReport& report, const std::exception_ptr&) {
    report_ = report;
    held_->release();
    second.release();
  };
  prepare(2);
  EXPECT_EQ(report_.skipped, 2);
  for (const Clip& clip : all_) fs::remove(cache_file(cache(), clip, options_));
  hold();
  run_.on_hang = [&](const PrepareReport& report, const std::exception_ptr&) {
    report_ = report;
    held_->release();
  };
  prepare(1);
  EXPECT_EQ(report_.skipped, 2);
  EXPECT_EQ(report_.done, 1);
  EXPECT_FALSE(report_.stopped);
}

TEST_F(PrepareHangs, WithoutAHandlerTheRunWaits) {
  run_.on_hang = nullptr;
  std::jthread opener([&] {
    while (!fs::exists(cache() / "skipped.jsonl")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    held_->release();
  });
  const PrepareReport report = prepare(2);
  EXPECT_EQ(report.skipped, 1);
  EXPECT_EQ(report.done, 2);
}

}  // namespace
}  // namespace microemo::data
