#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/data/prepared.h"
#include "microemo/data/synth_warp.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/video_writer.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

constexpr int frames = 75, width = 640, height = 320, patch = 300;
constexpr int rate = 25;

/// Words: loud and quiet, with pauses.
double loudness(double t) { return t > 0.9 && t < 1.3 ? 0 : std::pow(std::sin(2 * std::numbers::pi * 1.2 * t), 2); }

/// A photograph of a face, which can open its mouth.
class Person {
 public:
  explicit Person(const media::Image& picture) : picture_(picture) {
    field_ = warp_talk(face_frame(media::detect_faces(picture).at(0).landmarks));
  }
  media::Image with_mouth(double opening) const {
    media::Image result = picture_;
    const Area& area = field_.area;
    for (int row = 0; row < area.height; ++row)
      for (int column = 0; column < area.width; ++column) {
        const int x = area.left + column, y = area.top + row;
        if (x < 0 || y < 0 || x >= picture_.width || y >= picture_.height) continue;
        const size_t i = size_t(row) * size_t(area.width) + size_t(column);
        copy_between(y - opening * field_.y[i], x - opening * field_.x[i], result.row(y) + 3 * x);
      }
    return result;
  }

 private:
  void copy_between(double y, double x, uint8_t* to) const {
    const int left = std::clamp(int(std::floor(x)), 0, picture_.width - 2),
              top = std::clamp(int(std::floor(y)), 0, picture_.height - 2);
    const double u = std::clamp(x - left, 0.0, 1.0), v = std::clamp(y - top, 0.0, 1.0);
    for (int channel = 0; channel < 3; ++channel) {
      const auto at = [&](int dx, int dy) { return double(picture_.row(top + dy)[3 * (left + dx) + channel]); };
      to[channel] = uint8_t(std::lround((at(0, 0) * (1 - u) + at(1, 0) * u) * (1 - v) + (at(0, 1) * (1 - u) + at(1, 1) * u) * v));
    }
  }

  media::Image picture_;
  WarpField field_;
};

/// Two people side by side, of whom one speaks.
class TwoPeople : public testing::Test {
 protected:
  void SetUp() override {
    const auto portrait = test::test_media("grace_hopper_512x512.jpg"), astronaut = test::test_media("astronaut.png");
    if (!portrait || !astronaut) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg or astronaut.png");
    people_.emplace_back(media::crop_face(media::read_image(*portrait), {320.0 / patch, 0, 108, 60}, patch));
    people_.emplace_back(media::crop_face(media::read_image(*astronaut), {150.0 / patch, 0, 147, 51}, patch));
  }

  Clip clip_of(int speaker, bool with_sound = true) const {
    const fs::path file = folder_.path() / fmt::format("{}{}.mp4", speaker, with_sound);
    media::VideoWriter writer(file, {.width = width, .height = height, .rate = rate, .crf = 15, .sound = with_sound});
    for (int i = 0; i < frames; ++i) {
      const double t = double(i) / rate, mouth = 0.08 * loudness(t) * (1 + std::sin(2 * std::numbers::pi * 5 * t));
      media::Image frame{width, height, 3, std::vector<uint8_t>(size_t(width) * height * 3, 96)};
      media::paste(frame, people_[0].with_mouth(speaker == 0 ? mouth : 0), 10, 10);
      media::paste(frame, people_[1].with_mouth(speaker == 1 ? mouth : 0), 330, 10);
      writer.add(frame);
    }
    media::Sound sound;
    for (int i = 0; i < frames * sound.rate / rate; ++i) {
      const double t = double(i) / sound.rate;
      sound.samples.push_back(float(0.3 * loudness(t) * std::sin(2 * std::numbers::pi * 220 * t)));
    }
    if (with_sound) writer.add_sound(sound);
    writer.finish();
    return {.id = "a", .video = file, .utterances = {{.start_s = 0, .end_s = 2}}};
  }

  static at::Tensor faces_of(const Clip& clip, FaceChoice choice) {
    return prepare_clip(clip, {.face_input = FaceInput::rgb, .face_choice = choice}).faces_NCSS.to(at::kFloat);
  }
  static double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().mean().item<double>(); }

  TemporaryFolder folder_;
  std::vector<Person> people_;
};

TEST_F(TwoPeople, TheSpeakerIsSeenInTheUtterance) {
  std::vector<at::Tensor> heard;
  for (const int speaker : {0, 1}) {
    const Clip clip = clip_of(speaker);
    heard.push_back(faces_of(clip, FaceChoice::speaking));
    ASSERT_EQ(heard.back().size(0), frames);
    // Behind the utterance it is the watched face again.
    EXPECT_LT(difference(heard.back().slice(0, 50), faces_of(clip, FaceChoice::watched).slice(0, 50)), 1e-6);
  }
  EXPECT_GT(difference(heard[0].slice(0, 5, 50), heard[1].slice(0, 5, 50)), 20);
}

TEST_F(TwoPeople, TheWatchedOneIsSeenWithoutSoundOrUtterances) {
  const Clip silent = clip_of(1, false);
  EXPECT_TRUE(at::equal(faces_of(silent, FaceChoice::watched), faces_of(silent, FaceChoice::speaking)));
  Clip untimed = clip_of(1);
  untimed.utterances.clear();
  EXPECT_TRUE(at::equal(faces_of(untimed, FaceChoice::watched), faces_of(untimed, FaceChoice::speaking)));
}

TEST_F(TwoPeople, UtterancesBelongToTheCachesKeyWhereTheyChooseTheFace) {
  const Clip clip = clip_of(0, false);
  Clip other = clip;
  other.utterances[0].end_s = 1.5;
  const auto key = [&](const Clip& of, FaceChoice choice) { return cache_file(folder_.path(), of, {.face_choice = choice}); };
  EXPECT_EQ(key(clip, FaceChoice::watched), key(other, FaceChoice::watched));
  EXPECT_NE(key(clip, FaceChoice::speaking), key(other, FaceChoice::speaking));
  EXPECT_NE(key(clip, FaceChoice::speaking), key(clip, FaceChoice::watched));
}

TEST_F(TwoPeople, RegisteredCropsOfAStillFaceStay) {
  const Clip clip = clip_of(2, false);
  const at::Tensor faces =
      prepare_clip(clip, {.face_input = FaceInput::gray, .face_align = FaceAlign::registered}).faces_NCSS.to(at::kFloat);
  EXPECT_LT(difference(faces.slice(0, 1), faces.slice(0, 0, frames - 1)), 1);
}

}  // namespace
}  // namespace microemo::data
