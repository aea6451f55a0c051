#include "microemo/data/encoded.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "infer/tiny_model.h"
#include "microemo/base/files.h"
#include "microemo/data/prepared_cache.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

const EncodedBy encoder{"frames", std::string(64, 'a')};

/// Two entries of the clip that a cache of prepared clips has one for.
class EncodedCache : public testing::Test {
 protected:
  EncodedCache() {
    write_prepared(prepared_, pattern_clip({}, 1));
    write_encoded(file_, encoder, tokens_);
  }
  static Clip stand_in(const fs::path& video) {
    write_file_atomic(video, "nothing decodes it");
    return {.id = "clip", .video = video};
  }
  /// Another byte in the middle of the tokens.
  void corrupt() const {
    std::string bytes = read_file(file_);
    bytes[bytes.size() - tokens_.nbytes() / 2] ^= 1;
    write_file_atomic(file_, bytes);
  }
  void expect_unreadable(int64_t rows, const std::string& message) const {
    expect_error(
        ErrorKind::data, [&] { read_encoded(file_, rows, "clip7"); }, message);
    expect_error(
        ErrorKind::data, [&] { read_encoded(file_, rows, "clip7"); }, "clip 'clip7'");
  }

  TemporaryFolder folder_;
  const Clip clip_ = stand_in(folder_.path() / "clip.mp4");
  const fs::path cache_ = folder_.path() / "cache", encoded_ = folder_.path() / "encoded";
  const fs::path prepared_ = cache_file(cache_, clip_, {}), file_ = encoded_file(encoded_, encoder, prepared_);
  const at::Tensor tokens_ = test::random_bytes({3, 5, 4}, at::kChar, 1).to(at::kFloat) / 7;
};

TEST_F(EncodedCache, KeepsEveryBit) {
  const at::Tensor read = read_encoded(file_, 3, "clip");
  EXPECT_EQ(read.scalar_type(), at::kFloat);
  EXPECT_TRUE(read.equal(tokens_));
}

TEST_F(EncodedCache, KeepsTokensOfBf16InHalfTheBytes) {
  const auto whole = fs::file_size(file_);
  const at::Tensor half = tokens_.to(at::kBFloat16);
  for (const at::Tensor& given : {half, half.to(at::kFloat)}) {
    write_encoded(file_, encoder, given);
    EXPECT_LT(fs::file_size(file_), whole);
    const at::Tensor read = read_encoded(file_, 3, "clip");
    EXPECT_EQ(read.scalar_type(), at::kBFloat16);
    EXPECT_TRUE(read.equal(half));
  }
}

TEST_F(EncodedCache, HoldsAClipOfNoRows) {
  write_encoded(file_, encoder, tokens_.slice(0, 0, 0));
  EXPECT_TRUE(has_encoded(file_, encoder, 0));
  EXPECT_EQ(read_encoded(file_, 0, "clip").sizes(), at::IntArrayRef({0, 5, 4}));
}

TEST_F(EncodedCache, IsNamedAfterTheEncoderAndThePreparedEntry) {
  EXPECT_EQ(file_.parent_path().parent_path(), encoded_ / "frames-aaaaaaaaaaaaaaaa");
  EXPECT_EQ(file_.filename(), prepared_.filename());
  EXPECT_EQ(file_.parent_path().filename(), prepared_.parent_path().filename());
}

TEST_F(EncodedCache, RefusesTokensThatAreNotFinite) {
  for (const double wrong : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    at::Tensor bad = tokens_.clone();
    bad[1][2][3] = wrong;
    expect_error(
        ErrorKind::data, [&] { write_encoded(encoded_ / "bad.safetensors", encoder, bad); }, "the frozen encoder of frames");
  }
  EXPECT_FALSE(fs::exists(encoded_ / "bad.safetensors"));
}

TEST_F(EncodedCache, HasWhatFitsAlone) {
  EXPECT_TRUE(has_encoded(file_, encoder, 3));
  EXPECT_FALSE(has_encoded(file_, encoder, 4));
  EXPECT_FALSE(has_encoded(file_, {"frames", std::string(64, 'a').replace(63, 1, "b")}, 3)) << "the same folder, another encoder";
  EXPECT_FALSE(has_encoded(encoded_ / "none.safetensors", encoder, 3));
  EXPECT_FALSE(has_encoded(prepared_, encoder, 3));
  fs::copy_file(file_, encoded_ / "other.safetensors");
  EXPECT_FALSE(has_encoded(encoded_ / "other.safetensors", encoder, 3)) << "of another clip with as many frames";
  expect_error(
      ErrorKind::data, [&] { read_encoded(encoded_ / "other.safetensors", 3, "clip7"); }, "that of another clip");
  fs::resize_file(file_, fs::file_size(file_) - 1);
  EXPECT_FALSE(has_encoded(file_, encoder, 3));
  write_file_atomic(file_, "");
  EXPECT_FALSE(has_encoded(file_, encoder, 3));
}

TEST_F(EncodedCache, RefusesAnEntryThatIsNotWhatWasWritten) {
  expect_unreadable(2, "it has 3 rows instead of 2");
  corrupt();
  EXPECT_TRUE(has_encoded(file_, encoder, 3)) << "the header tells nothing of it";
  expect_unreadable(3, "its contents are not those that were written");
  fs::resize_file(file_, fs::file_size(file_) - 1);
  expect_unreadable(3, "damaged");
  fs::copy_file(prepared_, file_, fs::copy_options::overwrite_existing);
  expect_unreadable(3, "no entry of this version");
  fs::remove(file_);
  expect_unreadable(3, "lost the entry");
}

TEST_F(EncodedCache, IsVerifiedAsPreparedClipsAre) {
  CacheCheck check = verify_cache(encoded_, /*fix=*/true);
  EXPECT_EQ(check.entries, 1);
  EXPECT_TRUE(check.damaged.empty());
  EXPECT_TRUE(fs::exists(file_));
  corrupt();
  check = verify_cache(encoded_, /*fix=*/true);
  ASSERT_EQ(check.damaged.size(), 1u);
  EXPECT_THAT(check.damaged[0].message, testing::HasSubstr("not those that were written"));
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(EncodedCache, IsPrunedByTheClipsThatAreNeeded) {
  const Manifest needed{folder_.path() / "m.jsonl", "", {clip_}};
  const CachePruning kept = prune_cache(encoded_, {needed}, {PrepareOptions()}, false);
  EXPECT_EQ(kept.kept, 1);
  EXPECT_EQ(kept.removed, 0);
  const CachePruning removed = prune_cache(encoded_, {needed}, {PrepareOptions{.frame_rate = 3}}, false);
  EXPECT_EQ(removed.removed, 1);
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(EncodedCache, FramesOfAPreparedClipAreReadApart) {
  const PreparedClip whole = read_prepared(prepared_), rest = read_prepared_without_frames(prepared_);
  EXPECT_TRUE(read_prepared_frames(prepared_).equal(whole.frames_TCHW));
  EXPECT_EQ(rest.frames_TCHW.sizes(), at::IntArrayRef({whole.frames_TCHW.size(0), 0, 0, 0}));
  EXPECT_TRUE(rest.frame_times_T.equal(whole.frame_times_T));
  EXPECT_TRUE(rest.faces_NCSS.equal(whole.faces_NCSS));
  EXPECT_TRUE(rest.mel_FM.equal(whole.mel_FM));
  expect_error(
      ErrorKind::data, [&] { read_prepared_frames(cache_ / "none.safetensors"); }, "not in the feature cache");
}

/// Batches whose frames were encoded before.
class EncodedBatch : public EncodedCache {
 protected:
  Sample sample(int64_t frames) const {
    test::TinyModel tiny;
    Utterance utterance = test::spoken(0, 0.5, "at");
    utterance.labels = {"calm"};
    Sample sample = tiny_.clip(uint64_t(frames), frames, {utterance});
    sample.encoded_frames = folder_.path() / (std::to_string(frames) + ".safetensors");
    write_encoded(sample.encoded_frames, encoder, at::full({frames, 5, 4}, double(frames)));
    sample.prepared.frames_TCHW = at::empty({frames, 0, 0, 0}, at::kByte);
    return sample;
  }
  model::ClipBatch build(const std::vector<const Sample*>& samples) const {
    return tiny_.builder->build(samples, {{0, 0}}, Purpose::train, {}, 0);
  }

  test::TinyModel tiny_;
};

TEST_F(EncodedBatch, HasTheTokensPaddedAndNoPixels) {
  const Sample shorter = sample(4), longer = sample(6);
  const model::ClipBatch batch = build({&shorter, &longer});
  EXPECT_FALSE(batch.frames_BTCHW.defined());
  ASSERT_EQ(batch.encoded_BTSC.sizes(), at::IntArrayRef({2, 6, 5, 4}));
  EXPECT_TRUE(batch.encoded_BTSC[0].slice(0, 0, 4).eq(4).all().item<bool>());
  EXPECT_TRUE(batch.encoded_BTSC[0].slice(0, 4).eq(0).all().item<bool>());
  EXPECT_TRUE(batch.encoded_BTSC[1].eq(6).all().item<bool>());
  EXPECT_EQ(batch.frame_mask_BT.sum().item<int64_t>(), 10);
}

TEST_F(EncodedBatch, NamesTheClipWhoseEntryIsGone) {
  const Sample one = sample(4);
  fs::remove(one.encoded_frames);
  expect_error(
      ErrorKind::data, [&] { build({&one}); }, "clip '" + one.clip.id + "'");
}

TEST_F(EncodedBatch, HasAllClipsEncodedOrNone) {
  const Sample one = sample(4);
  Sample other = sample(6);
  other.encoded_frames.clear();
  for (const auto& samples : {std::vector{&one, static_cast<const Sample*>(&other)}, {&other, &one}})
    expect_error(
        ErrorKind::internal, [&] { build(samples); }, "are encoded, and clip");
}

}  // namespace
}  // namespace microemo::data
