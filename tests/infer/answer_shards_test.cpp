#include "microemo/infer/answer_shards.h"

#include <fstream>

#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/base/lock.h"
#include "support/errors.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

/// Five clips of one to three utterances, answered in two shards.
struct Shards : testing::Test {
  TemporaryFolder place;
  fs::path folder = place.path() / "evaluation";
  Json identity = {{"checkpoint", "abc"}, {"max_new_tokens", 64}};
  std::vector<data::Clip> clips;

  Shards() {
    for (int i = 0; i < 5; ++i) {
      data::Clip clip;
      clip.id = "clip" + std::to_string(i);
      clip.utterances.resize(size_t(1 + i % 3));
      clips.push_back(clip);
    }
  }
  static AnswerRecord record(const std::string& clip, int64_t utterance) {
    AnswerRecord answer;
    answer.clip = clip;
    answer.utterance = utterance;
    answer.answer = clip + " feels " + std::to_string(utterance);
    answer.log_probability = -double(utterance) - 0.25;
    return answer;
  }
  AnswerLog log(const Shard& shard) const { return {shard_folder(folder, shard), shard_identity(identity, shard)}; }
  void run(const Shard& shard, bool backward = false) const {
    std::vector<AnswerRecord> records;
    for (size_t clip = 0; clip < clips.size(); ++clip)
      for (size_t i = 0; shard.has(clip) && i < clips[clip].utterances.size(); ++i)
        records.push_back(record(clips[clip].id, int64_t(i)));
    if (backward) std::reverse(records.begin(), records.end());
    log(shard).append(records);
  }
  std::vector<AnswerRecord> merged() const { return merged_answers(folder, identity, clips); }
  void refused(const char* says) const {
    expect_error(
        ErrorKind::data, [&] { merged(); }, says);
  }
};

TEST_F(Shards, BecomeTheAnswersOfTheWholeInTheOrderOfTheClips) {
  run({2, 2}, /*backward=*/true);
  run({1, 2});
  const std::vector<AnswerRecord> answers = merged();
  size_t next = 0;
  for (const data::Clip& clip : clips)
    for (size_t i = 0; i < clip.utterances.size(); ++i)
      EXPECT_EQ(to_json(answers.at(next++)), to_json(record(clip.id, int64_t(i))));
  EXPECT_EQ(next, answers.size());
}

TEST_F(Shards, AreMergedIntoTheLogOnceHoweverOften) {
  run({1, 2});
  run({2, 2});
  for (int i = 0; i < 2; ++i) {
    AnswerLog whole(folder, identity);
    keep_merged(whole, merged());
  }
  EXPECT_EQ(AnswerLog(folder, identity).records().size(), 9u);
}

TEST_F(Shards, AreNotMergedOverOtherAnswers) {
  run({1, 1});
  AnswerLog whole(folder, identity);
  AnswerRecord other = record("clip0", 0);
  other.answer = "something else";
  whole.append({other});
  expect_error(
      ErrorKind::data, [&] { keep_merged(whole, merged()); }, "another answer about utterance 0 of clip 'clip0'");
}

TEST_F(Shards, MayBeMoreThanThereAreClips) {
  for (int64_t number = 1; number <= 9; ++number) run({number, 9});
  EXPECT_EQ(merged().size(), 9u);
}

TEST_F(Shards, AreNamedWhereOneIsMissing) {
  refused("there are no shards to merge");
  run({2, 4});
  run({3, 4});
  refused("2 of 4 shards are missing: 1-of-4, 4-of-4");
}

TEST_F(Shards, AreRefusedFromTwoCuts) {
  run({1, 2});
  run({2, 3});
  refused("'1-of-2' and '2-of-3' are shards of different evaluations");
}

TEST_F(Shards, AreRefusedBesideWhatIsNone) {
  run({1, 1});
  for (const char* name : {"backup", "01-of-1", "2-of-1", "0-of-1", "1-of-1 copy", "1-of-"}) {
    fs::create_directories(folder / "shards" / name);
    refused(fmt::format("'{}' is no shard", name).c_str());
    fs::remove_all(folder / "shards" / name);
  }
  write_file_atomic(folder / "shards" / "1-of-2", "a file");
  refused("'1-of-2' is no shard");
}

TEST_F(Shards, AreRefusedOfAnotherEvaluation) {
  run({1, 2});
  const Json ours = identity;
  identity["checkpoint"] = "other";
  run({2, 2});
  identity = ours;
  expect_error(
      ErrorKind::config, [&] { merged(); }, "\"checkpoint\" is \"other\" there and \"abc\" now");
}

TEST_F(Shards, AreRefusedUnderAnothersName) {
  run({1, 2});
  fs::copy(shard_folder(folder, {1, 2}), shard_folder(folder, {2, 2}), fs::copy_options::recursive);
  expect_error(
      ErrorKind::config, [&] { merged(); }, "\"shard\" is \"1-of-2\" there and \"2-of-2\" now");
}

TEST_F(Shards, AreRefusedWithTheClipOfAnother) {
  run({1, 2});
  run({2, 2});
  log({2, 2}).append({record("clip0", 0)});
  refused("the shard '2-of-2' has an answer about clip 'clip0'");
}

TEST_F(Shards, AreRefusedWithAClipThatIsNotThere) {
  run({1, 1});
  log({1, 1}).append({record("stranger", 0)});
  refused("an answer about clip 'stranger'");
}

TEST_F(Shards, AreRefusedWithAnUtteranceThatIsNotThere) {
  run({1, 1});
  log({1, 1}).append({record("clip0", 1)});
  refused("utterance 1 of clip 'clip0', which has no such utterance");
}

TEST_F(Shards, AreRefusedWithAnAnswerTwice) {
  run({1, 1});
  log({1, 1}).append({record("clip4", 1)});
  refused("two answers about utterance 1 of clip 'clip4'");
}

TEST_F(Shards, AreRefusedWhileOneIsNotFinished) {
  run({1, 2});
  log({2, 2}).append({record("clip1", 0)});
  refused("the shard '2-of-2' lacks the answer about utterance 1 of clip 'clip1'");
}

TEST_F(Shards, AreRefusedWhileAProcessWritesOne) {
  run({1, 1});
  const FolderLock lock(shard_folder(folder, {1, 1}));
  expect_error(
      ErrorKind::environment, [&] { merged(); }, "is at work in this folder");
}

TEST_F(Shards, AreRefusedWhereOneIsEmpty) {
  run({1, 2});
  fs::create_directories(shard_folder(folder, {2, 2}));
  refused("the shard '2-of-2' has not been begun");
}

TEST(ShardNames, AreANumberAndACount) {
  const Shard shard = parse_shard("3/16");
  EXPECT_EQ(shard.number, 3);
  EXPECT_EQ(shard.count, 16);
  for (const char* bad : {"", "3", "/", "3/", "/4", "0/4", "5/4", "-1/4", "1/-4", "1/4/4", "1 /4", "a/b", "1.0/4", "1/99999999"})
    expect_error(
        ErrorKind::config, [&] { parse_shard(bad); }, fmt::format("'{}' names no shard", bad).c_str());
}

}  // namespace
}  // namespace microemo::infer
