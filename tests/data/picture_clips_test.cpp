// Clips whose video is a folder of pictures: manifest, cache, check and prepare.
#include <ATen/ATen.h>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/data/check.h"
#include "microemo/data/prepared.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::ffmpeg;
using testing::HasSubstr;

class PictureClips : public testing::Test {
 protected:
  fs::path root() const { return folder_.path(); }
  fs::path cache() const { return root() / "cache"; }
  static Clip clip_of(const fs::path& folder, double rate = 25) {
    return {.id = folder.filename().string(), .video = folder, .frame_rate = rate};
  }
  /// Pictures of these contents, numbered from `first`; a cache's key does not decode them.
  fs::path write(const std::string& name, const std::vector<std::string>& contents, int first = 1) const {
    for (size_t i = 0; i < contents.size(); ++i)
      write_file_atomic(root() / name / fmt::format("{}{}.png", name, first + int(i)), contents[i]);
    return root() / name;
  }
  /// One second of real ones.
  fs::path draw(const std::string& name) const {
    fs::create_directory(root() / name);
    ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1", (root() / name / "img%03d.png").string()});
    return root() / name;
  }
  std::string key(const Clip& clip) const { return cache_file(cache(), clip, {}).string(); }
  Manifest manifest(const std::string& lines) const {
    write_file_atomic(root() / "m.jsonl", lines);
    return read_manifest(root() / "m.jsonl");
  }
  void expect_refused(const std::string& line, const std::string& message) const {
    const Error error = expect_error(
        ErrorKind::data, [&] { manifest(line); }, message);
    EXPECT_THAT(error.place(), HasSubstr("m.jsonl, line 1"));
    EXPECT_FALSE(error.next_step().empty());
  }
  /// Both in everything that the model reads.
  static void expect_same(const PreparedClip& a, const PreparedClip& b) {
    EXPECT_EQ(a.duration_s, b.duration_s);
    EXPECT_EQ(std::tuple(a.source_frames, a.faces_found), std::tuple(b.source_frames, b.faces_found));
    for (const auto member : {&PreparedClip::frames_TCHW, &PreparedClip::frame_times_T, &PreparedClip::faces_NCSS,
                              &PreparedClip::face_times_N, &PreparedClip::face_mask_N, &PreparedClip::mel_FM})
      EXPECT_TRUE(at::equal(a.*member, b.*member));
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(PictureClips, ArePreparedAsALosslessVideoOfThem) {
  const fs::path pictures = draw("clip"), video = root() / "lossless.avi";
  ffmpeg({"-framerate", "25", "-i", (pictures / "img%03d.png").string(), "-c:v", "ffv1", "-pix_fmt", "bgr0", video.string()});
  for (const PrepareOptions& options : {PrepareOptions{}, PrepareOptions{.frame_rule = FrameRule::uniform, .frame_count = 7}}) {
    const PreparedClip prepared = prepare_clip(clip_of(pictures), options);
    EXPECT_EQ(prepared.source_frames, 25);
    EXPECT_DOUBLE_EQ(prepared.duration_s, 1);
    expect_same(prepared, prepare_clip({.id = "clip", .video = video}, options));
  }
}

TEST_F(PictureClips, HaveTheFacesOfALosslessVideoOfThem) {
  const auto photograph = test::test_media("grace_hopper_512x512.jpg");
  if (!photograph) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg");
  const fs::path pictures = root() / "clip", video = root() / "lossless.avi";
  fs::create_directory(pictures);
  ffmpeg({"-loop", "1", "-i", photograph->string(), "-frames:v", "12", "-vf", "scale=300:300,rotate=n/100", "-pix_fmt", "rgb24",
          (pictures / "img%d.png").string()});
  ffmpeg({"-framerate", "25", "-i", (pictures / "img%d.png").string(), "-c:v", "ffv1", "-pix_fmt", "bgr0", video.string()});
  for (const int64_t kept : {int64_t{1} << 30, int64_t{0}}) {
    const PreparedClip prepared = prepare_clip(clip_of(pictures), {}, {.kept_frames = kept});
    EXPECT_EQ(prepared.faces_found, 12);
    expect_same(prepared, prepare_clip({.id = "clip", .video = video}, {}));
  }
}

TEST_F(PictureClips, ThatDoNotReachTheirUtterancesAreRefused) {
  Clip clip = clip_of(draw("clip"));
  clip.utterances = {{.start_s = 0, .end_s = 1.05}};
  EXPECT_NO_THROW(prepare_clip(clip, {.faces = false}));
  clip.frame_rate = 50;
  expect_error(
      ErrorKind::data, [&] { prepare_clip(clip, {.faces = false}); }, "after the clip (0.500 s)");
}

TEST_F(PictureClips, AreKnownByTheirContentsAndNotByTheirNames) {
  const fs::path one = write("one", {"a", "b", "c"}), two = write("two", {"a", "b", "c"}, 98);
  write_file_atomic(two / "Thumbs.db", "litter");
  EXPECT_EQ(key(clip_of(one)), key(clip_of(two)));
  for (const std::vector<std::string>& other :
       {std::vector<std::string>{"a", "c", "b"}, {"a", "b"}, {"a", "b", "c", "d"}, {"ab", "c"}, {"a", "b", "C"}}) {
    fs::remove_all(root() / "other");
    EXPECT_NE(key(clip_of(write("other", other))), key(clip_of(one)));
  }
}

TEST_F(PictureClips, AreAnotherEntryAtAnotherRate) {
  const fs::path folder = write("one", {"a", "b"});
  EXPECT_EQ(key(clip_of(folder, 30000.0 / 1001)), key(clip_of(folder, 30000.0 / 1001)));
  EXPECT_NE(key(clip_of(folder, 25)), key(clip_of(folder, 24)));
}

TEST_F(PictureClips, AreAnotherEntryWhenAPictureChanges) {
  const fs::path folder = write("one", {"a", "b", "c"});
  const std::string before = key(clip_of(folder));
  const fs::path second = folder / "one2.png";
  const fs::file_time_type time = fs::last_write_time(second);
  write_file_atomic(second, "B");
  fs::last_write_time(second, time);
  const std::string changed = key(clip_of(folder));
  EXPECT_NE(changed, before);
  fs::rename(folder / "one1.png", folder / "one4.png");
  EXPECT_NE(key(clip_of(folder)), changed);
  fs::rename(folder / "one4.png", folder / "one1.png");
  write_file_atomic(second, "b");
  EXPECT_EQ(key(clip_of(folder)), before);
}

TEST_F(PictureClips, ArePreparedOnceAndAgainWhenAPictureChanges) {
  const fs::path folder = draw("clip");
  const Manifest clips{root() / "m.jsonl", "", {clip_of(folder)}};
  const auto prepare = [&] { return prepare_manifest(clips, cache(), {.faces = false}, {.workers = 1}); };
  EXPECT_EQ(prepare().done, 1);
  EXPECT_EQ(prepare().already_there, 1);
  std::vector<std::string> remembered;
  read_jsonl(cache() / "index.jsonl", [&](const Json& line, int64_t) { remembered.push_back(line["path"]); });
  EXPECT_EQ(remembered, std::vector<std::string>{folder.string()}) << "one line, not one for each picture";
  fs::copy_file(folder / "img009.png", folder / "img010.png", fs::copy_options::overwrite_existing);
  EXPECT_EQ(prepare().done, 1);
}

TEST_F(PictureClips, ThatCannotBeReadAreSkippedWithTheirReason) {
  const auto reason = [&](const Clip& clip) {
    prepare_manifest({root() / "m.jsonl", "", {clip}}, cache(), {.faces = false}, {.workers = 1, .max_skipped = 1.0});
    Json found;
    read_jsonl(cache() / "skipped.jsonl", [&](const Json& line, int64_t) { found = line; });
    return found["reason"].get<std::string>();
  };
  fs::create_directory(root() / "empty");
  EXPECT_EQ(reason(clip_of(root() / "empty")), "bad_pictures");
  fs::path folder = draw("gap");
  fs::remove(folder / "img010.png");
  EXPECT_EQ(reason(clip_of(folder)), "bad_pictures");
  EXPECT_EQ(reason(clip_of(root() / "none")), "missing");
  folder = draw("damaged");
  write_file_atomic(folder / "img010.png", read_file(folder / "img010.png").substr(0, 100));
  EXPECT_EQ(reason(clip_of(folder)), "not_decodable");
  folder = draw("sizes");
  ffmpeg({"-f", "lavfi", "-i", "color=red:size=50x66", "-frames:v", "1", (folder / "img010.png").string()});
  EXPECT_EQ(reason(clip_of(folder)), "size_changes");
  folder = draw("hollow");
  write_file_atomic(folder / "img010.png", "");
  EXPECT_EQ(reason(clip_of(folder)), "empty");
}

TEST_F(PictureClips, AreNamedInAManifest) {
  write("one", {"a", "b"});
  write_file_atomic(root() / "words.srt", "1\n00:00:00,000 --> 00:00:00,080\nHm.\n");
  const Manifest read = manifest(
      "{\"id\": \"a\", \"video\": \"one\", \"frame_rate\": 29.97, \"transcript\": \"words.srt\"}\n"
      "{\"id\": \"b\", \"video\": \"one/\", \"frame_rate\": \"30000/1001\"}\n");
  EXPECT_EQ(read.clips[0].frame_rate, 29.97);
  EXPECT_EQ(read.clips[1].frame_rate, 30000.0 / 1001);
  EXPECT_EQ(media_of(read.clips[0]).frame_rate, 29.97);
  write_manifest(root() / "again.jsonl", read.clips);
  const Manifest again = read_manifest(root() / "again.jsonl");
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again.clips[i].frame_rate, read.clips[i].frame_rate);
    EXPECT_TRUE(fs::equivalent(again.clips[i].video, root() / "one"));
  }
}

TEST_F(PictureClips, GiveTheirLengthToATextWithoutTimes) {
  draw("clip");
  write_file_atomic(root() / "words.txt", "Well, well.");
  const Manifest read = manifest(R"({"id": "a", "video": "clip", "frame_rate": 50, "transcript": "words.txt"})");
  ASSERT_EQ(read.clips[0].utterances.size(), 1u);
  EXPECT_DOUBLE_EQ(read.clips[0].utterances[0].end_s, 0.5);
}

TEST_F(PictureClips, NeedARateThatIsOne) {
  write("one", {"a", "b"});
  for (const std::string rate : {"0", "-25", "1e9", "\"fast\"", "\"1/0\"", "null", "[25]", "true"})
    expect_refused(R"({"id": "a", "video": "one", "frame_rate": )" + rate + "}", "the frame_rate of clip \"a\" is");
  const Error error = expect_error(
      ErrorKind::data, [&] { manifest(R"({"id": "a", "video": "one"})"); }, "one is no file");
  EXPECT_THAT(error.next_step(), HasSubstr("\"frame_rate\""));
}

TEST_F(PictureClips, AloneHaveARate) {
  write_file_atomic(root() / "a.mp4", "");
  expect_refused(R"({"id": "a", "video": "a.mp4", "frame_rate": 25})", "a.mp4 is no folder");
  expect_refused(R"({"id": "a", "frame_rate": 25})", "has a \"frame_rate\" and no \"video\"");
  expect_refused(R"({"id": "a", "video": "none", "frame_rate": 25})", "none does not exist");
}

TEST_F(PictureClips, AreCheckedWithTheOthers) {
  const fs::path good = draw("good"), gap = draw("gap");
  fs::remove(gap / "img010.png");
  fs::copy(good, root() / "copy");
  std::vector<Clip> clips = {clip_of(good), clip_of(gap), clip_of(root() / "copy")};
  for (Clip& clip : clips) clip.split = clip.id == "copy" ? "test" : "train";
  for (Clip& clip : clips) clip.utterances = {{.start_s = 0, .end_s = clip.id == "copy" ? 9.0 : 1.0, .labels = {"calm"}}};
  write_manifest(root() / "m.jsonl", clips);
  std::vector<std::string> errors;
  for (const Finding& finding : check_manifests({root() / "m.jsonl"}, 1).findings)
    if (finding.severity == Severity::error) errors.push_back(finding.id + " " + finding.code);
  EXPECT_THAT(errors, testing::UnorderedElementsAre("gap media", "copy outside", "copy leak"));
}

}  // namespace
}  // namespace microemo::data
