#include "microemo/data/prepared.h"

#include <ATen/ATen.h>

#include "microemo/base/files.h"
#include "microemo/formats/safetensors.h"
#include "microemo/text/tokenizer.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

using test::expect_error;
using testing::HasSubstr;

PreparedClip sample_clip() {
  PreparedClip clip;
  clip.id = "a";
  clip.duration_s = 1.0 / 3;
  clip.frames_TCHW = at::arange(2 * 3 * 4 * 6, at::kByte).reshape({2, 3, 4, 6});
  clip.frame_times_T = at::tensor({0.0, 0.2}, at::kDouble);
  clip.faces_NCSS = at::arange(-60, 60, at::kChar).reshape({5, 2, 3, 4});
  clip.face_times_N = at::tensor({0.0, 0.04, 0.08, 0.12, 0.16}, at::kDouble);
  clip.face_mask_N = at::tensor({1, 0, 1, 1, 0}, at::kInt).to(at::kBool);
  clip.mel_FM = at::tensor({-15.9375f, 0.5f, 2.0f, -4.25f, 0.0f, 1.0f}).reshape({3, 2});
  clip.mel_times_F = at::tensor({0.0125, 0.0225, 0.0325}, at::kDouble);
  clip.source_frames = 5;
  clip.faces_found = 3;
  return clip;
}

const std::vector<at::Tensor PreparedClip::*> tensors = {
    &PreparedClip::frames_TCHW, &PreparedClip::frame_times_T, &PreparedClip::faces_NCSS, &PreparedClip::face_times_N,
    &PreparedClip::face_mask_N, &PreparedClip::mel_FM,        &PreparedClip::mel_times_F};

Error expect_damaged(const std::filesystem::path& file, const std::string& part) {
  const Error error = expect_error(
      ErrorKind::data, [&] { read_prepared(file); }, part);
  expect_error(
      ErrorKind::data, [&] { read_prepared_facts(file); }, part);
  EXPECT_THAT(error.place(), HasSubstr(file.string()));
  EXPECT_THAT(error.next_step(), HasSubstr("microemo prepare"));
  return error;
}

/// An entry with one change to its tensors or metadata.
template <class Change>
void write_changed(const std::filesystem::path& path, Change&& change) {
  const TemporaryFolder folder;
  write_prepared(folder.path() / "good.safetensors", sample_clip());
  const formats::SafetensorsFile file(folder.path() / "good.safetensors");
  std::vector<formats::SafetensorsTensor> entries;
  for (const auto& entry : file.entries()) entries.push_back({entry.name, entry.dtype, entry.shape, file.bytes(entry)});
  auto metadata = file.metadata();
  change(entries, metadata);
  formats::write_safetensors(path, entries, metadata);
}

TEST(PreparedClip, ReadsBackWhatItWrites) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "ab/entry.safetensors";
  write_prepared(file, sample_clip());
  const PreparedClip again = read_prepared(file), before = sample_clip();
  for (const auto tensor : tensors) {
    EXPECT_EQ((again.*tensor).scalar_type(), (before.*tensor).scalar_type());
    EXPECT_TRUE(at::equal(again.*tensor, before.*tensor)) << again.*tensor;
  }
  EXPECT_EQ(again.duration_s, before.duration_s);
  EXPECT_EQ(again.source_frames, 5);
  EXPECT_EQ(again.faces_found, 3);
}

TEST(PreparedClip, EntriesBelongToContentsNotToIds) {
  const TemporaryFolder folder;
  PreparedClip other = sample_clip();
  other.id = "b";
  write_prepared(folder.path() / "a.safetensors", sample_clip());
  write_prepared(folder.path() / "b.safetensors", other);
  EXPECT_EQ(read_file(folder.path() / "a.safetensors"), read_file(folder.path() / "b.safetensors"));
  EXPECT_EQ(read_prepared(folder.path() / "b.safetensors").id, "");
}

TEST(PreparedClip, KeepsUnsignedFaces) {
  const TemporaryFolder folder;
  PreparedClip clip = sample_clip();
  clip.faces_NCSS = at::full({5, 3, 4, 4}, 200, at::kByte);
  write_prepared(folder.path() / "a.safetensors", clip);
  EXPECT_TRUE(at::equal(read_prepared(folder.path() / "a.safetensors").faces_NCSS, clip.faces_NCSS));
}

TEST(PreparedClip, KeepsAClipWithoutSoundAndPicture) {
  const TemporaryFolder folder;
  PreparedClip clip = sample_clip();
  clip.frames_TCHW = at::empty({0, 3, 4, 6}, at::kByte);
  clip.faces_NCSS = at::empty({0, 2, 3, 4}, at::kChar);
  clip.face_mask_N = at::empty({0}, at::kBool);
  clip.frame_times_T = clip.face_times_N = clip.mel_times_F = at::empty({0}, at::kDouble);
  clip.mel_FM = at::empty({0, 2});
  write_prepared(folder.path() / "a.safetensors", clip);
  const PreparedClip again = read_prepared(folder.path() / "a.safetensors");
  EXPECT_EQ(again.mel_FM.sizes(), (at::IntArrayRef{0, 2}));
  EXPECT_EQ(again.frames_TCHW.sizes(), (at::IntArrayRef{0, 3, 4, 6}));
}

TEST(PreparedClip, TellsItsFactsFromTheHeader) {
  const TemporaryFolder folder;
  write_prepared(folder.path() / "a.safetensors", sample_clip());
  const PreparedFacts facts = read_prepared_facts(folder.path() / "a.safetensors");
  EXPECT_EQ(facts.frames, 2);
  EXPECT_EQ(facts.face_frames, 5);
  EXPECT_EQ(facts.mel_frames, 3);
  EXPECT_EQ(facts.faces_found, 3);
  EXPECT_EQ(facts.source_frames, 5);
  EXPECT_EQ(facts.duration_s, 1.0 / 3);
}

TEST(PreparedClip, AMissingEntryAsksForPrepare) {
  const TemporaryFolder folder;
  expect_damaged(folder.path() / "no.safetensors", "not in the feature cache");
}

TEST(PreparedClip, RefusesEveryTruncation) {
  const TemporaryFolder folder;
  write_prepared(folder.path() / "good.safetensors", sample_clip());
  const std::string bytes = read_file(folder.path() / "good.safetensors");
  for (size_t length = 0; length < bytes.size(); length += 61) {
    write_file_atomic(folder.path() / "bad.safetensors", bytes.substr(0, length));
    expect_error(
        ErrorKind::data, [&] { read_prepared(folder.path() / "bad.safetensors"); }, "damaged");
  }
}

TEST(PreparedClip, RefusesAFileOfAnotherKind) {
  const TemporaryFolder folder;
  formats::write_safetensors(folder.path() / "other.safetensors", {}, {{"format", "pt"}});
  expect_damaged(folder.path() / "other.safetensors", "no cache entry of this version");
}

TEST(PreparedClip, RefusesAMissingTensor) {
  const TemporaryFolder folder;
  for (const std::string name : {"frames", "frame_times", "faces", "face_times", "face_mask", "mel", "mel_times"}) {
    write_changed(folder.path() / "bad.safetensors",
                  [&](auto& entries, auto&) { std::erase_if(entries, [&](const auto& e) { return e.name == name; }); });
    expect_damaged(folder.path() / "bad.safetensors", "it has no " + name);
  }
}

TEST(PreparedClip, RefusesATensorOfAnotherTypeOrShape) {
  const TemporaryFolder folder;
  const auto change = [](const std::string& name, const std::string& type, const std::vector<int64_t>& shape) {
    return [=](auto& entries, auto&) {
      for (auto& entry : entries)
        if (entry.name == name) entry.dtype = type, entry.shape = shape;
    };
  };
  write_changed(folder.path() / "bad.safetensors", change("frames", "I8", {2, 3, 4, 6}));
  expect_damaged(folder.path() / "bad.safetensors", "its frames has type I8");
  write_changed(folder.path() / "bad.safetensors", change("frames", "U8", {2, 72}));
  expect_damaged(folder.path() / "bad.safetensors", "2 dimensions");
  write_changed(folder.path() / "bad.safetensors", change("frames", "U8", {4, 3, 4, 3}));
  expect_damaged(folder.path() / "bad.safetensors", "its frame_times has 2 rows instead of 4");
}

TEST(PreparedClip, RefusesMissingOrBrokenNumbers) {
  const TemporaryFolder folder;
  for (const std::string key : {"duration_s", "source_frames", "faces_found"}) {
    write_changed(folder.path() / "bad.safetensors", [&](auto&, auto& metadata) { metadata.erase(key); });
    expect_damaged(folder.path() / "bad.safetensors", "it has no " + key);
    write_changed(folder.path() / "bad.safetensors", [&](auto&, auto& metadata) { metadata[key] = "3 or so"; });
    expect_damaged(folder.path() / "bad.safetensors", "its " + key + " is \"3 or so\"");
  }
}

TEST(PreparedClip, AFolderThatCannotBeWrittenIsAnEnvironmentError) {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "file", "x");
  expect_error(
      ErrorKind::environment, [&] { write_prepared(folder.path() / "file/ab/a.safetensors", sample_clip()); }, "file");
}

/// A cache key depends on the video's content and on every option.
TEST(CacheFile, NamesTheContentAndNotThePath) {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "one.mp4", "content");
  write_file_atomic(folder.path() / "two.mp4", "content");
  write_file_atomic(folder.path() / "three.mp4", "other content");
  const auto file = [&](const char* name) {
    return cache_file(folder.path() / "cache", {.id = name, .video = folder.path() / name}, {});
  };
  EXPECT_EQ(file("one.mp4"), file("two.mp4"));
  EXPECT_NE(file("one.mp4"), file("three.mp4"));
  EXPECT_EQ(file("one.mp4").parent_path().filename().string(), file("one.mp4").filename().string().substr(0, 2));
}

TEST(CacheFile, DependsOnEveryOption) {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "a.mp4", "content");
  const auto file = [&](const PrepareOptions& options) {
    return cache_file(folder.path() / "cache", {.id = "a", .video = folder.path() / "a.mp4"}, options);
  };
  std::vector<PrepareOptions> variants(9);
  variants[1].frame_rate = 4;
  variants[2].frame_width = 224;
  variants[3].frame_height = 224;
  variants[4].face_size = 96;
  variants[5].face_rate = 12.5;
  variants[6].face_rate_cap = 30;
  variants[7].face_input = FaceInput::gray;
  variants[8].mel_bands = 128;
  std::set<std::filesystem::path> files;
  for (const PrepareOptions& options : variants) files.insert(file(options));
  EXPECT_EQ(files.size(), variants.size());
}

TEST(CacheFile, IgnoresAnOptionWithoutEffect) {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "a.mp4", "content");
  const auto file = [&](const PrepareOptions& options) {
    return cache_file(folder.path() / "cache", {.id = "a", .video = folder.path() / "a.mp4"}, options);
  };
  EXPECT_EQ(file({.face_rate = 25, .face_rate_cap = 60}), file({.face_rate = 25, .face_rate_cap = 30}));
}

TEST(CacheFile, SeesThatAVideoWasReplaced) {
  const TemporaryFolder folder;
  const Clip clip{.id = "a", .video = folder.path() / "a.mp4"};
  write_file_atomic(clip.video, "content");
  const auto before = cache_file(folder.path() / "cache", clip, {});
  write_file_atomic(clip.video, "CONTENT");
  EXPECT_NE(cache_file(folder.path() / "cache", clip, {}), before);
}

TEST(CacheFile, NamesAVideoThatIsMissing) {
  const TemporaryFolder folder;
  expect_error(
      ErrorKind::data, [&] { cache_file(folder.path(), {.id = "a", .video = folder.path() / "no.mp4"}, {}); }, "no.mp4");
}

TEST(CheckUtterances, AcceptsTimesRoundedBeyondTheEnd) {
  EXPECT_NO_THROW(check_utterances({.utterances = {{.start_s = 0, .end_s = 1.05}}}, 1.0));
}

TEST(CheckUtterances, RefusesOneThatEndsAfterTheClip) {
  const Clip clip{.id = "talk", .video = "talk.mp4", .utterances = {{.start_s = 0, .end_s = 1}, {.start_s = 1, .end_s = 4.812}}};
  const Error error = expect_error(
      ErrorKind::data, [&] { check_utterances(clip, 4.601); },
      "utterance 2 of clip \"talk\" ends at 4.812 s, after the clip (4.601 s)");
  EXPECT_THAT(error.place(), HasSubstr("talk.mp4"));
  EXPECT_FALSE(error.next_step().empty());
}

// Two libraries with a protobuf inside have met in one process and died of it.
TEST(OneProcess, LoadsATokenizerAndMultipliesMatrices) {
  const text::Tokenizer tokenizer(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/text/tokenizer.model");
  const auto ids = tokenizer.encode("The meeting was wonderful.");
  const at::Tensor row = at::tensor(ids, at::kDouble).unsqueeze(0);
  EXPECT_EQ(at::mm(row, row.t()).item<double>(), row.square().sum().item<double>());
  EXPECT_EQ(tokenizer.decode(ids), "The meeting was wonderful.");
}

}  // namespace
}  // namespace microemo::data
