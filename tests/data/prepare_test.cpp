#include <ATen/ATen.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <numeric>
#include <set>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/base/workers.h"
#include "microemo/data/prepared.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::ffmpeg;
using testing::HasSubstr;

/// A clip of moving stripes with a tone: no face in it.
void make_video(const fs::path& file, const std::string& seconds = "1", const std::string& rate = "25") {
  ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=320x240:r=" + rate + ":d=" + seconds, "-f", "lavfi", "-i", "sine=r=16000:d=" + seconds,
          "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-c:a", "aac", file.string()});
}

/// A clip that shows a photograph of a face all the time.
void make_face(const fs::path& file, const fs::path& photograph) {
  ffmpeg({"-loop", "1", "-r", "25", "-t", "1", "-i", photograph.string(), "-vf", "scale=400:400", "-c:v", "libx264", "-preset",
          "ultrafast", "-threads", "1", "-pix_fmt", "yuv420p", file.string()});
}

/// Presentation times of a file's frames, by ffprobe; not a number where it knows none (the last frames of some AVI files).
std::vector<double> ffprobe_times(const fs::path& file) {
  std::vector<double> times;
  for (const std::string& line :
       test::lines_of({"ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time",
                       "-of", "default=nokey=1:noprint_wrappers=1", file.string()}))
    times.push_back(line == "N/A" ? std::nan("") : std::stod(line));
  return times;
}

std::vector<double> values(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<double>(), tensor.const_data_ptr<double>() + tensor.numel()};
}

void expect_near(const std::vector<double>& got, const std::vector<double>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(wanted[i])) continue;
    EXPECT_NEAR(got[i], wanted[i], 1e-6) << i;
  }
}

class PrepareClip : public testing::Test {
 protected:
  fs::path file(const std::string& name) const { return folder_.path() / name; }
  PreparedClip prepare(const std::string& name, const PrepareOptions& options = {}) const {
    return prepare_clip({.id = name, .video = file(name)}, options);
  }
  Error expect_refused(const std::string& name, const std::string& message) const {
    const Error error = expect_error(
        ErrorKind::data, [&] { prepare(name); }, message);
    EXPECT_THAT(error.place(), HasSubstr(name));
    EXPECT_FALSE(error.next_step().empty()) << error.what();
    return error;
  }

  TemporaryFolder folder_;
};

TEST_F(PrepareClip, TakesWholeFramesAtTheAskedRate) {
  make_video(file("a.mp4"), "2");
  const PreparedClip clip = prepare("a.mp4");
  EXPECT_EQ(clip.frames_TCHW.sizes(), (at::IntArrayRef{10, 3, 64, 112}));
  expect_near(values(clip.frame_times_T), {0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8});
}

TEST_F(PrepareClip, TakesTheFrameThatIsShownAtEachTime) {
  make_video(file("a.mp4"), "1", "7");
  // At 5 Hz of a 7 Hz film: at 0, 0.2, 0.4, 0.6 and 0.8 s the frames 0, 1, 2, 4 and 5 are shown.
  expect_near(values(prepare("a.mp4").frame_times_T), {0.0, 1 / 7.0, 2 / 7.0, 4 / 7.0, 5 / 7.0});
}

TEST_F(PrepareClip, TakesEachFrameOfASlowFileOnce) {
  make_video(file("a.mp4"), "2", "2");
  expect_near(values(prepare("a.mp4").frame_times_T), {0.0, 0.5, 1.0, 1.5});
}

TEST_F(PrepareClip, TimesComeFromTheFileWhereItsRateVaries) {
  make_video(file("even.mp4"), "2");
  ffmpeg({"-i", file("even.mp4").string(), "-vf", "select=lt(n\\,10)+not(mod(n\\,4))", "-fps_mode", "vfr", "-c:v", "libx264",
          "-preset", "ultrafast", "-threads", "1", file("a.mkv").string()});
  const PreparedClip clip = prepare("a.mkv");
  const std::vector<double> times = ffprobe_times(file("a.mkv"));
  expect_near(values(clip.face_times_N), times);
  std::set<double> shown;
  const double end = 2 * times.back() - times[times.size() - 2];
  for (int k = 0; times[0] + k / 5.0 < end - 1e-6; ++k)
    shown.insert(*std::prev(std::upper_bound(times.begin(), times.end(), times[0] + k / 5.0 + 1e-6)));
  expect_near(values(clip.frame_times_T), {shown.begin(), shown.end()});
}

TEST_F(PrepareClip, FaceTimesAreThoseOfEveryFrame) {
  make_video(file("a.mp4"), "1", "30000/1001");
  const PreparedClip clip = prepare("a.mp4");
  expect_near(values(clip.face_times_N), ffprobe_times(file("a.mp4")));
  EXPECT_EQ(clip.source_frames, clip.face_times_N.size(0));
}

TEST_F(PrepareClip, KeepsEveryFrameAtTheCapWhenTimesAreRounded) {
  make_video(file("a.mkv"), "1", "60");
  EXPECT_EQ(prepare("a.mkv").face_times_N.size(0), 60);
}

TEST_F(PrepareClip, CapsTheRateOfFacesOfAFastFile) {
  make_video(file("a.mp4"), "1", "200");
  const PreparedClip clip = prepare("a.mp4");
  EXPECT_EQ(clip.source_frames, 200);
  EXPECT_EQ(clip.face_times_N.size(0), 60);
}

TEST_F(PrepareClip, TakesFacesAtTheAskedRate) {
  make_video(file("a.mp4"));
  const PreparedClip clip = prepare("a.mp4", {.face_rate = 12.5});
  expect_near(values(clip.face_times_N), {0.0, 0.08, 0.16, 0.24, 0.32, 0.4, 0.48, 0.56, 0.64, 0.72, 0.8, 0.88, 0.96});
}

TEST_F(PrepareClip, AClipEndsWithItsLastFrameOrSample) {
  make_video(file("a.mp4"));
  EXPECT_NEAR(prepare("a.mp4").duration_s, 1.0, 0.07);  // AAC ends up to a block of 64 ms later
  ffmpeg({"-i", file("a.mp4").string(), "-an", "-c", "copy", file("silent.mp4").string()});
  EXPECT_NEAR(prepare("silent.mp4").duration_s, 1.0, 1e-6);
}

TEST_F(PrepareClip, PutsPictureAndSoundOnOneClock) {
  make_video(file("even.mp4"));
  ffmpeg({"-itsoffset", "0.5", "-i", file("even.mp4").string(), "-i", file("even.mp4").string(), "-map", "0:v", "-map", "1:a",
          "-c", "copy", file("late.mkv").string()});
  const PreparedClip clip = prepare("late.mkv");
  const auto start = [&](const char* stream) {
    return std::stod(test::lines_of({"ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "stream=start_time",
                                     "-of", "default=nokey=1:noprint_wrappers=1", file("late.mkv").string()})
                         .at(0));
  };
  ASSERT_GT(start("v"), start("a") + 0.4);
  EXPECT_NEAR(values(clip.frame_times_T).front(), start("v") - start("a"), 1e-6);
  EXPECT_NEAR(values(clip.mel_times_F).front(), 0.0125, 1e-6);  // the middle of the first window of 25 ms
}

TEST_F(PrepareClip, HearsTheSoundAsLogMel) {
  make_video(file("a.mp4"));
  const PreparedClip clip = prepare("a.mp4", {.mel_bands = 24});
  EXPECT_EQ(clip.mel_FM.size(1), 24);
  EXPECT_NEAR(double(clip.mel_FM.size(0)), 100, 8);
  EXPECT_EQ(clip.mel_times_F.size(0), clip.mel_FM.size(0));
}

TEST_F(PrepareClip, TheCacheChangesNothing) {
  make_video(file("a.mp4"));
  const PreparedClip clip = prepare("a.mp4");
  write_prepared(file("a.safetensors"), clip);
  const PreparedClip again = read_prepared(file("a.safetensors"));
  EXPECT_TRUE(at::equal(clip.mel_FM, again.mel_FM));
  EXPECT_TRUE(at::equal(clip.frames_TCHW, again.frames_TCHW));
  EXPECT_TRUE(at::equal(clip.faces_NCSS, again.faces_NCSS));
  EXPECT_EQ(clip.duration_s, again.duration_s);
}

TEST_F(PrepareClip, AClipWithoutSoundHasNoMel) {
  make_video(file("loud.mp4"));
  ffmpeg({"-i", file("loud.mp4").string(), "-an", "-c", "copy", file("a.mp4").string()});
  const PreparedClip clip = prepare("a.mp4");
  EXPECT_EQ(clip.mel_FM.sizes(), (at::IntArrayRef{0, 40}));
  EXPECT_EQ(clip.mel_times_F.numel(), 0);
  EXPECT_EQ(clip.frame_times_T.numel(), 5);
}

TEST_F(PrepareClip, ASoundWithoutPictureHasNoFrames) {
  make_video(file("seen.mp4"));
  ffmpeg({"-i", file("seen.mp4").string(), "-vn", "-c", "copy", file("a.mp4").string()});
  const PreparedClip clip = prepare("a.mp4");
  EXPECT_EQ(clip.frames_TCHW.sizes(), (at::IntArrayRef{0, 3, 64, 112}));
  EXPECT_EQ(clip.faces_NCSS.sizes(), (at::IntArrayRef{0, 2, 32, 32}));
  EXPECT_EQ(clip.face_mask_N.numel(), 0);
  EXPECT_EQ(clip.source_frames, 0);
  EXPECT_GT(clip.mel_FM.size(0), 90);
}

TEST_F(PrepareClip, AClipWithoutAFaceIsMaskedThroughout) {
  make_video(file("a.mp4"));
  const PreparedClip clip = prepare("a.mp4");
  EXPECT_EQ(clip.faces_NCSS.sizes(), (at::IntArrayRef{25, 2, 32, 32}));
  EXPECT_EQ(clip.face_mask_N.size(0), 25);
  EXPECT_FALSE(clip.face_mask_N.any().item<bool>());
  EXPECT_EQ(clip.faces_found, 0);
}

TEST_F(PrepareClip, RefusesAMissingFile) { expect_refused("no.mp4", ""); }

TEST_F(PrepareClip, RefusesAnEmptyFile) {
  write_file_atomic(file("a.mp4"), "");
  expect_refused("a.mp4", "empty");
}

TEST_F(PrepareClip, RefusesTextNamedMp4) {
  write_file_atomic(file("a.mp4"), "This is a letter, and no film.\n");
  expect_refused("a.mp4", "");
}

TEST_F(PrepareClip, RefusesATruncatedMp4) {
  make_video(file("whole.mp4"), "3");
  const std::string bytes = read_file(file("whole.mp4"));
  write_file_atomic(file("a.mp4"), bytes.substr(0, bytes.size() / 2));
  expect_refused("a.mp4", "");
}

TEST_F(PrepareClip, RefusesAnMp4WhosePicturesAreTruncated) {
  make_video(file("whole.mp4"), "3");
  ffmpeg({"-i", file("whole.mp4").string(), "-c", "copy", "-movflags", "+faststart", file("fast.mp4").string()});
  const std::string bytes = read_file(file("fast.mp4"));
  write_file_atomic(file("a.mp4"), bytes.substr(0, bytes.size() / 2));
  expect_refused("a.mp4", "truncated");
}

TEST_F(PrepareClip, RefusesAnUtteranceOutsideTheClip) {
  make_video(file("a.mp4"));
  const Clip clip{.id = "a", .video = file("a.mp4"), .utterances = {{.start_s = 0.5, .end_s = 3}}};
  expect_error(
      ErrorKind::data, [&] { prepare_clip(clip, {}); }, "utterance 1 of clip \"a\" ends at 3.000 s, after the clip");
}

class PrepareFace : public PrepareClip {
 protected:
  void SetUp() override {
    const auto photograph = test::test_media("astronaut.png");
    if (!photograph) GTEST_SKIP() << test::no_test_media("astronaut.png");
    make_face(file("a.mp4"), *photograph);
  }
};

TEST_F(PrepareFace, FindsTheFaceInEveryFrame) {
  const PreparedClip clip = prepare("a.mp4");
  EXPECT_EQ(clip.face_mask_N.size(0), 25);
  EXPECT_TRUE(clip.face_mask_N.all().item<bool>());
  EXPECT_EQ(clip.faces_found, 25);
}

TEST_F(PrepareFace, AStillFaceDoesNotMove) {
  const PreparedClip clip = prepare("a.mp4");
  ASSERT_EQ(clip.faces_NCSS.sizes(), (at::IntArrayRef{25, 2, 32, 32}));
  EXPECT_EQ(clip.faces_NCSS.scalar_type(), at::kChar);
  EXPECT_LT(clip.faces_NCSS.to(at::kFloat).abs().mean().item<double>(), 127 / 3.0 * 0.1);  // a tenth of a pixel
}

TEST_F(PrepareFace, GivesCropsInColour) {
  const PreparedClip clip = prepare("a.mp4", {.face_size = 48, .face_input = FaceInput::rgb});
  ASSERT_EQ(clip.faces_NCSS.sizes(), (at::IntArrayRef{25, 3, 48, 48}));
  EXPECT_EQ(clip.faces_NCSS.scalar_type(), at::kByte);
  const at::Tensor means = clip.faces_NCSS.to(at::kFloat).mean(at::IntArrayRef{0, 2, 3});
  EXPECT_GT(means[0].item<double>(), means[2].item<double>());  // skin is redder than blue
}

TEST_F(PrepareFace, GivesGreyCrops) {
  const PreparedClip gray = prepare("a.mp4", {.face_input = FaceInput::gray}),
                     rgb = prepare("a.mp4", {.face_input = FaceInput::rgb});
  ASSERT_EQ(gray.faces_NCSS.sizes(), (at::IntArrayRef{25, 1, 64, 64}));
  const at::Tensor luma = at::einsum("nchw,c->nhw", {rgb.faces_NCSS.to(at::kFloat), at::tensor({0.299f, 0.587f, 0.114f})});
  EXPECT_LT((luma - gray.faces_NCSS.select(1, 0).to(at::kFloat)).abs().max().item<double>(), 1.5);
}

TEST_F(PrepareFace, DifferencesAreToTheMedianOfTheClip) {
  const PreparedClip difference = prepare("a.mp4", {.face_input = FaceInput::difference}),
                     gray = prepare("a.mp4", {.face_input = FaceInput::gray});
  ASSERT_EQ(difference.faces_NCSS.sizes(), (at::IntArrayRef{25, 1, 64, 64}));
  EXPECT_EQ(difference.faces_NCSS.scalar_type(), at::kChar);
  const at::Tensor crops = gray.faces_NCSS.to(at::kFloat), neutral = std::get<0>(crops.median(0, true));
  const at::Tensor gain = neutral.mean() / crops.mean(at::IntArrayRef{1, 2, 3}, true);
  const at::Tensor wanted = crops * gain - neutral;
  EXPECT_LE((wanted - difference.faces_NCSS.to(at::kFloat)).abs().max().item<double>(), 0.51);
}

TEST_F(PrepareFace, GivesColourAndDifferenceTogether) {
  const PreparedClip both = prepare("a.mp4", {.face_input = FaceInput::rgb_difference}),
                     rgb = prepare("a.mp4", {.face_input = FaceInput::rgb}),
                     difference = prepare("a.mp4", {.face_input = FaceInput::difference});
  ASSERT_EQ(both.faces_NCSS.sizes(), (at::IntArrayRef{25, 4, 64, 64}));
  ASSERT_EQ(both.faces_NCSS.scalar_type(), at::kChar);
  const at::Tensor values = both.faces_NCSS.to(at::kInt);
  EXPECT_TRUE(values.slice(1, 0, 3).equal(rgb.faces_NCSS.to(at::kInt) - 128));
  const at::Tensor strong = (difference.faces_NCSS.to(at::kInt) * 4).clamp(-127, 127);
  EXPECT_LE((values.slice(1, 3) - strong).abs().max().item<int>(), 8);  // grey before cropping and behind it
}

TEST_F(PrepareFace, LeavesOutTheFaceWhereItIsGone) {
  ffmpeg({"-i", file("a.mp4").string(), "-vf", "drawbox=t=fill:color=gray:enable='gte(n,12)'", "-c:v", "libx264", "-preset",
          "ultrafast", "-threads", "1", file("gone.mp4").string()});
  const PreparedClip clip = prepare("gone.mp4");
  EXPECT_TRUE(clip.face_mask_N.slice(0, 0, 11).all().item<bool>());
  EXPECT_FALSE(clip.face_mask_N.slice(0, 13, 25).any().item<bool>());
  EXPECT_EQ(clip.faces_found, clip.face_mask_N.sum().item<int64_t>());
  EXPECT_EQ(clip.faces_NCSS.slice(0, 13, 25).abs().max().item<int64_t>(), 0);
}

TEST_F(PrepareFace, AClipThatIsTooLargeToKeepIsDecodedTwiceWithTheSameOutcome) {
  const Clip clip{.id = "a", .video = file("a.mp4")};
  const int64_t ten_frames = 10 * 400 * 400;
  for (const FaceInput input : {FaceInput::flow, FaceInput::rgb}) {
    const PreparedClip kept = prepare_clip(clip, {.face_input = input}),
                       again = prepare_clip(clip, {.face_input = input}, {.kept_frames = ten_frames});
    EXPECT_TRUE(at::equal(kept.faces_NCSS, again.faces_NCSS));
    EXPECT_TRUE(at::equal(kept.face_mask_N, again.face_mask_N));
  }
}

TEST_F(PrepareFace, EachPersonHasAnOwnNeutralFaceAcrossACut) {
  const auto photograph = test::test_media("grace_hopper_512x512.jpg");
  if (!photograph) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg");
  make_face(file("b.mp4"), *photograph);
  ffmpeg({"-i", file("a.mp4").string(), "-i", file("b.mp4").string(), "-filter_complex", "concat=n=2:v=1", "-c:v", "libx264",
          "-preset", "ultrafast", "-threads", "1", file("both.mp4").string()});
  const PreparedClip clip = prepare("both.mp4");
  EXPECT_GE(clip.faces_found, 47);
  EXPECT_TRUE(clip.face_mask_N.slice(0, 0, 20).all().item<bool>());
  EXPECT_TRUE(clip.face_mask_N.slice(0, 30, 50).all().item<bool>());
  EXPECT_LT(clip.faces_NCSS.to(at::kFloat).abs().mean().item<double>(), 127 / 3.0 * 0.1);
}

TEST(PrepareDialogue, FollowsTheSpeakersOfMegamind) {
  const auto video = test::test_media("Megamind.avi");
  if (!video) GTEST_SKIP() << test::no_test_media("Megamind.avi");
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "talk.srt",
                    "1\n00:00:00,500 --> 00:00:04,000\nOne.\n\n2\n00:00:05,000 --> 00:00:10,500\nTwo.\n");
  write_file_atomic(folder.path() / "m.jsonl", R"({"id": "m", "transcript": "talk.srt", "video": ")" + video->string() + "\"}");
  const Clip clip = read_manifest(folder.path() / "m.jsonl").clips.at(0);
  ASSERT_EQ(clip.utterances.size(), 2u);
  const PreparedClip prepared = prepare_clip(clip, {});
  EXPECT_GE(prepared.source_frames, 270);
  EXPECT_GE(prepared.faces_found, 260);
  expect_near(values(prepared.face_times_N), ffprobe_times(*video));  // the sound starts at 0, so both clocks agree
  EXPECT_NEAR(values(prepared.mel_times_F).back(), prepared.duration_s, 0.3);
  for (const Utterance& utterance : clip.utterances) {
    int64_t seen = 0, heard = 0;
    for (int64_t i = 0; i < prepared.face_times_N.size(0); ++i) {
      const double seconds = values(prepared.face_times_N)[size_t(i)];
      seen += prepared.face_mask_N[i].item<bool>() && seconds >= utterance.start_s && seconds < utterance.end_s;
    }
    for (const double seconds : values(prepared.mel_times_F)) heard += seconds >= utterance.start_s && seconds < utterance.end_s;
    const double length_s = utterance.end_s - utterance.start_s;
    EXPECT_GE(double(seen), 0.9 * 23.976 * length_s);
    EXPECT_NEAR(double(heard), 100 * length_s, 1.5);
  }
}

class PrepareManifest : public testing::Test {
 protected:
  fs::path root() const { return folder_.path(); }
  fs::path cache() const { return root() / "cache"; }
  /// Videos named a, b, c …, each of other content, and a manifest of them.
  Manifest make_manifest(int clips) {
    std::vector<Clip> list;
    for (int i = 0; i < clips; ++i) {
      const std::string id(1, char('a' + i));
      make_video(root() / (id + ".mp4"), fmt::format("{}", 0.4 + 0.2 * i));
      list.push_back({.id = id, .video = root() / (id + ".mp4")});
    }
    return manifest_of("m.jsonl", list);
  }
  Manifest manifest_of(const std::string& name, const std::vector<Clip>& clips) {
    write_manifest(root() / name, clips);
    return read_manifest(root() / name);
  }
  std::map<std::string, std::string> entries() const {
    std::map<std::string, std::string> contents;
    for (const auto& entry : fs::recursive_directory_iterator(cache()))
      if (entry.path().extension() == ".safetensors") contents[fs::relative(entry.path(), cache())] = read_file(entry.path());
    return contents;
  }
  std::vector<Json> skipped() const {
    std::vector<Json> lines;
    read_jsonl(cache() / "skipped.jsonl", [&](const Json& line, int64_t) { lines.push_back(line); });
    return lines;
  }
  PrepareReport prepare(const Manifest& manifest, std::optional<double> max_skipped = {}, int workers = 1) const {
    return prepare_manifest(manifest, cache(), {}, {.workers = workers, .max_skipped = max_skipped});
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(PrepareManifest, MakesOneEntryForEachClip) {
  const Manifest manifest = make_manifest(3);
  const PrepareReport report = prepare(manifest);
  EXPECT_EQ(report.clips, 3);
  EXPECT_EQ(report.done, 3);
  EXPECT_EQ(report.without_face, 3);
  EXPECT_EQ(report.source_frames, 10 + 15 + 20);
  EXPECT_FALSE(report.stopped);
  for (const Clip& clip : manifest.clips) EXPECT_GT(read_prepared(cache_file(cache(), clip, {})).frames_TCHW.size(0), 0);
  EXPECT_FALSE(fs::exists(cache() / "skipped.jsonl"));
}

TEST_F(PrepareManifest, KeepsEntriesThatAreThere) {
  const Manifest manifest = make_manifest(2);
  const PrepareReport first = prepare(manifest);
  const auto written = fs::last_write_time(cache_file(cache(), manifest.clips[0], {}));
  const PrepareReport second = prepare(manifest);
  EXPECT_EQ(second.already_there, 2);
  EXPECT_EQ(second.done, 0);
  EXPECT_EQ(second.source_frames, first.source_frames);
  EXPECT_EQ(fs::last_write_time(cache_file(cache(), manifest.clips[0], {})), written);
}

TEST_F(PrepareManifest, GivesTheSameFilesWithAnyNumberOfWorkers) {
  const Manifest manifest = make_manifest(4);
  prepare(manifest, {}, 1);
  const auto alone = entries();
  fs::remove_all(cache());
  prepare(manifest, {}, 3);
  EXPECT_EQ(entries(), alone);
}

TEST_F(PrepareManifest, OtherOptionsLeaveTheOldEntries) {
  const Manifest manifest = make_manifest(1);
  prepare(manifest);
  prepare_manifest(manifest, cache(), {.frame_rate = 2}, {.workers = 1});
  EXPECT_EQ(entries().size(), 2u);
}

TEST_F(PrepareManifest, MakesADamagedEntryAgain) {
  const Manifest manifest = make_manifest(1);
  prepare(manifest);
  const auto whole = entries();
  const fs::path file = cache_file(cache(), manifest.clips[0], {});
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_EQ(prepare(manifest).done, 1);
  EXPECT_EQ(entries(), whole);
}

TEST_F(PrepareManifest, ListsClipsThatCannotBeRead) {
  Manifest manifest = make_manifest(3);
  write_file_atomic(manifest.clips[1].video, "no film");
  const PrepareReport report = prepare(manifest, 0.5);
  EXPECT_EQ(report.done, 2);
  EXPECT_EQ(report.skipped, 1);
  const auto lines = skipped();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["id"], "b");
  EXPECT_EQ(lines[0]["line"], 2);
  EXPECT_EQ(lines[0]["kind"], "data");
  EXPECT_THAT(lines[0]["where"].get<std::string>(), HasSubstr("b.mp4"));
  EXPECT_FALSE(lines[0]["message"].get<std::string>().empty());
  EXPECT_FALSE(lines[0]["next"].get<std::string>().empty());
}

TEST_F(PrepareManifest, EndsWithAnErrorWhenTooManyAreSkippedAndKeepsTheRest) {
  const Manifest manifest = make_manifest(3);
  write_file_atomic(manifest.clips[0].video, "no film");
  const Error error = expect_error(
      ErrorKind::data, [&] { prepare(manifest); }, "1 of 3 clips cannot be prepared (not_media 1); none may be skipped");
  EXPECT_THAT(error.place(), HasSubstr("skipped.jsonl"));
  EXPECT_EQ(entries().size(), 2u);
  EXPECT_EQ(skipped().size(), 1u);
}

TEST_F(PrepareManifest, ListsAVideoThatVanishedAfterTheManifestWasRead) {
  const Manifest manifest = make_manifest(2);
  fs::remove(manifest.clips[1].video);
  EXPECT_EQ(prepare(manifest, 1).skipped, 1);
}

TEST_F(PrepareManifest, ListsUtterancesOutsideTheirClipEvenWhenItIsInTheCache) {
  Manifest manifest = make_manifest(1);
  prepare(manifest);
  manifest.clips[0].utterances = {{.start_s = 0, .end_s = 9}};
  EXPECT_EQ(prepare(manifest, 1).skipped, 1);
  EXPECT_THAT(skipped().at(0)["message"].get<std::string>(), HasSubstr("ends at 9.000 s"));
}

TEST_F(PrepareManifest, AMendedClipIsSkippedNoMore) {
  const Manifest manifest = make_manifest(1);
  const std::string whole = read_file(manifest.clips[0].video);
  write_file_atomic(manifest.clips[0].video, "no film");
  prepare(manifest, 1);
  write_file_atomic(manifest.clips[0].video, whole);
  EXPECT_EQ(prepare(manifest).done, 1);
  EXPECT_FALSE(fs::exists(cache() / "skipped.jsonl"));
}

TEST_F(PrepareManifest, KeepsTheSkippedClipsOfOtherManifests) {
  const Manifest manifest = make_manifest(2);
  for (const Clip& clip : manifest.clips) write_file_atomic(clip.video, "no film " + clip.id);
  prepare(manifest_of("one.jsonl", {manifest.clips[0]}), 1);
  prepare(manifest_of("two.jsonl", {manifest.clips[1]}), 1);
  const auto lines = skipped();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["id"], "a");
  EXPECT_EQ(lines[1]["id"], "b");
}

TEST_F(PrepareManifest, StopsBetweenClipsWhenAsked) {
  const Manifest manifest = make_manifest(2);
  request_stop();
  const PrepareReport report = prepare(manifest);
  clear_stop_request();
  EXPECT_TRUE(report.stopped);
  EXPECT_EQ(report.done, 0);
  EXPECT_EQ(prepare(manifest).done, 2);
}

TEST_F(PrepareManifest, AStoppedRunKeepsTheSkippedClipsThatItDidNotLookAtAgain) {
  const Manifest manifest = make_manifest(3);
  write_file_atomic(manifest.clips[1].video, "no film");
  prepare(manifest, 0.5);
  ASSERT_EQ(skipped().size(), 1u);
  request_stop();
  EXPECT_TRUE(prepare(manifest, 0.5).stopped);
  clear_stop_request();
  ASSERT_EQ(skipped().size(), 1u);
  EXPECT_EQ(skipped()[0]["id"], "b");
}

TEST_F(PrepareManifest, ForgetsSkippedClipsThatLeftTheManifest) {
  const Manifest manifest = make_manifest(2);
  write_file_atomic(manifest.clips[1].video, "no film");
  prepare(manifest, 0.5);
  const Manifest smaller = manifest_of("m.jsonl", {manifest.clips[0]});
  request_stop();
  prepare(smaller);
  clear_stop_request();
  EXPECT_FALSE(fs::exists(cache() / "skipped.jsonl"));
}

TEST_F(PrepareManifest, RemembersContentsInTheIndex) {
  const Manifest manifest = make_manifest(2);
  prepare(manifest);
  std::vector<Json> lines;
  read_jsonl(cache() / "index.jsonl", [&](const Json& line, int64_t) { lines.push_back(line); });
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["path"], manifest.clips[0].video.string());
}

TEST_F(PrepareManifest, ADamagedIndexOnlyCostsTime) {
  const Manifest manifest = make_manifest(1);
  write_file_atomic(cache() / "index.jsonl", "{\"path\": \"x\"\n");
  EXPECT_EQ(prepare(manifest).done, 1);
}

TEST_F(PrepareManifest, ACacheThatCannotBeWrittenIsAnEnvironmentError) {
  const Manifest manifest = make_manifest(1);
  write_file_atomic(cache(), "a file where the folder should be");
  const Error error = expect_error(
      ErrorKind::environment, [&] { prepare(manifest); }, "cache");
  EXPECT_FALSE(error.next_step().empty());
}

/// Files longer than `bytes` cannot be written while it lives: what a full disk looks like to the program.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : before_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit lower{bytes, limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &lower);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &limit_);
    std::signal(SIGXFSZ, before_);
  }

 private:
  rlimit limit_{};
  void (*before_)(int);
};

TEST_F(PrepareManifest, AFullDiskLeavesNothingHalfWritten) {
  const Manifest manifest = make_manifest(1);
  {
    const FileSizeLimit limit(20'000);
    const Error error = expect_error(
        ErrorKind::environment, [&] { prepare(manifest); }, "File too large");
    EXPECT_FALSE(error.next_step().empty());
  }
  EXPECT_TRUE(entries().empty());
  for (const auto& entry : fs::recursive_directory_iterator(cache()))
    EXPECT_FALSE(entry.is_regular_file() && !entry.path().filename().string().starts_with("index.")) << entry.path();
  EXPECT_EQ(prepare(manifest).done, 1);
}

}  // namespace
}  // namespace microemo::data
