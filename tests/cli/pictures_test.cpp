// Folders of pictures on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/media/frame_reader.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using testing::HasSubstr;
using Words = std::vector<std::string>;

/// img1.png to img20.png of 160 x 120 in the folder "clip.1".
class PicturesCommand : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(pictures());
    test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=size=160x120:rate=20:duration=1", (pictures() / "img%d.png").string()});
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  fs::path pictures() const { return path("clip.1"); }
  static CommandResult microemo(Words words) {
    words.insert(words.begin(), {MICROEMO_BINARY, "--quiet"});
    return test::run_command(words);
  }
  static Json json_of(Words words) {
    words.push_back("--json");
    const CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return parse_json(result.standard_output, "output");
  }
  static void expect_refused(const Words& words, int exit_code, const std::string& message, const std::string& next) {
    const CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, exit_code) << result.standard_error;
    EXPECT_EQ(result.standard_output, "");
    EXPECT_THAT(result.standard_error, HasSubstr(message));
    EXPECT_THAT(result.standard_error, HasSubstr(next));
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(PicturesCommand, FramesAreListedWithTheirTimes) {
  const std::string folder = pictures().string();
  const Json all = json_of({"media", "frames", folder, "--frame-rate", "24000/1001"});
  EXPECT_EQ(all["video"]["container"], "image2");
  EXPECT_EQ(all["video"]["time_base"], Json({1001, 24000}));
  ASSERT_EQ(all["frames"].size(), 20u);
  EXPECT_EQ(all["frames"][19]["pts"], 19);
  EXPECT_NEAR(all["frames"][19]["seconds"].get<double>(), 19 * 1001.0 / 24000, 1e-6);
  EXPECT_EQ(all["frames"][19]["key"], true);
  const Json some = json_of({"media", "frames", folder + "/", "--frame-rate", "24000/1001", "--index", "13,2"}),
             shown = json_of({"media", "frames", folder, "--frame-rate", "10", "--at", "1.35"});
  EXPECT_EQ(some["frames"], Json({all["frames"][13], all["frames"][2]}));
  EXPECT_EQ(shown["frames"][0]["md5"], all["frames"][13]["md5"]);
}

TEST_F(PicturesCommand, FramesMakeASheet) {
  const fs::path sheet = path("sheet.png");
  EXPECT_EQ(microemo({"media", "frames", pictures().string(), "--frame-rate", "25", "--sheet", sheet.string()}).exit_code, 0);
  EXPECT_GT(media::read_image(sheet).width, 400);
}

TEST_F(PicturesCommand, FacesAreLookedForInEachPicture) {
  const fs::path sheet = path("tracks.png");
  const Json json = json_of({"media", "faces", pictures().string(), "--frame-rate", "25", "--track-sheet", sheet.string()});
  ASSERT_EQ(json["frames"].size(), 20u);
  EXPECT_EQ(json["frames"][5]["seconds"], 0.2);
  EXPECT_TRUE(fs::exists(sheet));
}

TEST_F(PicturesCommand, AnOverlayHasEveryPictureAtItsTime) {
  const fs::path out = path("overlay.mp4"), labels = path("prediction.json");
  write_file_atomic(labels, Json{{"video", "elsewhere/clip.1"},
                                 {"duration_s", 2.0},
                                 {"utterances", {{{"start_s", 0.2}, {"end_s", 1.0}, {"text", "yes"}, {"labels", {"joy"}}}}}}
                                .dump());
  const CommandResult result = microemo(
      {"media", "overlay", pictures().string() + "/", "--frame-rate", "10", "--labels", labels.string(), "--out", out.string()});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const media::FrameReader reader(out);
  ASSERT_EQ(reader.frames().size(), 20u);
  for (size_t i = 0; i < 20; ++i) EXPECT_NEAR(reader.frames()[i].seconds, double(i) / 10, 1e-6) << i;
  EXPECT_FALSE(reader.info().has_audio);
  const fs::path other = path("other.mp4");
  expect_refused(
      {"media", "overlay", pictures().string(), "--frame-rate", "20", "--labels", labels.string(), "--out", other.string()}, 3,
      "these labels are those of another clip", "next");
  EXPECT_FALSE(fs::exists(other));
}

TEST_F(PicturesCommand, AFolderNeedsItsRate) {
  for (const Words& words :
       {Words{"media", "frames"}, Words{"media", "faces"}, Words{"media", "audio"}, Words{"media", "voice"}}) {
    Words all = words;
    all.push_back(pictures().string());
    expect_refused(all, 3, "this is a folder", "--frame-rate");
  }
  expect_refused({"media", "overlay", pictures().string(), "--out", path("a.mp4").string()}, 3, "this is a folder",
                 "--frame-rate");
  EXPECT_FALSE(fs::exists(path("a.mp4")));
}

TEST_F(PicturesCommand, AFileHasItsOwnTimes) {
  const std::string file = (pictures() / "img1.png").string();
  for (const std::string view : {"frames", "faces", "audio"})
    expect_refused({"media", view, file, "--frame-rate", "25"}, 3, "this is no folder of pictures", "leave the frame rate out");
}

TEST_F(PicturesCommand, RefusesRatesThatAreNone) {
  for (const std::string rate : {"0", "-25", "nan", "fast", "1/0", "25/", "1e9", ""})
    expect_refused({"media", "frames", pictures().string(), "--frame-rate", rate}, 2, "is no frame rate", "30000/1001");
}

TEST_F(PicturesCommand, SaysThatPicturesHaveNoSound) {
  expect_refused({"media", "audio", pictures().string(), "--frame-rate", "25"}, 3, "no sound stream", "next");
}

TEST_F(PicturesCommand, NamesThePictureThatIsWrong) {
  fs::rename(pictures() / "img7.png", pictures() / "img27.png");
  expect_refused({"media", "frames", pictures().string(), "--frame-rate", "25"}, 3, "lacks number 7", "img8.png");
}

TEST_F(PicturesCommand, ArePreparedFromAManifest) {
  write_file_atomic(path("m.jsonl"), R"({"id": "a", "video": "clip.1", "frame_rate": 20})");
  const Words words = {"prepare", path("m.jsonl").string(), "--cache", path("cache").string(), "--workers", "1"};
  const Json first = json_of(words);
  EXPECT_EQ(first["done"], 1);
  EXPECT_EQ(first["source_frames"], 20);
  EXPECT_NEAR(first["media_s"].get<double>(), 1, 1e-9);
  EXPECT_EQ(json_of(words)["already_there"], 1);
  fs::copy_file(pictures() / "img2.png", pictures() / "img20.png", fs::copy_options::overwrite_existing);
  EXPECT_EQ(json_of(words)["done"], 1);
  fs::remove(pictures() / "img3.png");
  Words skipping = words;
  skipping.insert(skipping.end(), {"--max-skipped", "1"});
  EXPECT_EQ(json_of(skipping)["reasons"], Json({{"bad_pictures", 1}}));
}

}  // namespace
}  // namespace microemo::cli
