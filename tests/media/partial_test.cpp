// Files that break off, and what may be read of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/sound.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

namespace fs = std::filesystem;
using test::Clips;
using test::expect_error;
using testing::HasSubstr;

constexpr ReadLimits allowed{.partial = true};

struct Pictures {
  std::vector<std::string> frames;  ///< time and hash
  std::vector<double> seconds;
  std::optional<Damage> damage;
};

Pictures pictures_of(const fs::path& file, const ReadLimits& limits) {
  VideoReader reader(file, {.limits = limits, .md5 = true, .rgb = false});
  Pictures pictures;
  while (const auto frame = reader.next()) {
    EXPECT_FALSE(frame->damaged) << frame->seconds;
    pictures.frames.push_back(fmt::format("{} {}", frame->pts, frame->md5));
    pictures.seconds.push_back(frame->seconds);
  }
  pictures.damage = reader.damage();
  return pictures;
}

/// FrameReader's, asked for backwards.
std::vector<std::string> chosen_frames_of(const fs::path& file) {
  FrameReader reader(file, {.limits = allowed, .md5 = true, .rgb = false});
  EXPECT_TRUE(reader.damage());
  std::vector<int64_t> backwards;
  for (auto i = int64_t(reader.frames().size()); i-- > 0;) backwards.push_back(i);
  std::vector<std::string> frames;
  for (const VideoFrame& frame : reader.read(backwards))
    frames.insert(frames.begin(), fmt::format("{} {}", frame.pts, frame.md5));
  return frames;
}

template <class Value>
void expect_beginning(const std::vector<Value>& part, const std::vector<Value>& whole) {
  ASSERT_LE(part.size(), whole.size());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin()));
}

std::vector<std::string> as_streamed(const std::string& name) {
  return name.ends_with(".mp4") || name.ends_with(".mov") ? std::vector<std::string>{"-movflags", "+faststart"}
                                                          : std::vector<std::string>{};
}

/// Of each container that announces its length.
class CutFile : public testing::TestWithParam<const char*> {
 protected:
  fs::path whole() const { return clips_.make(GetParam(), as_streamed(GetParam())); }
  fs::path cut(const fs::path& whole, double part) const { return clips_.cut(whole, std::string("cut-") + GetParam(), part); }
  Clips clips_;
};

TEST_P(CutFile, IsRefusedUnlessPartialClipsAreAllowed) {
  const fs::path file = cut(whole(), 0.6);
  const std::string why = "truncated or damaged";
  expect_error(
      ErrorKind::data, [&] { pictures_of(file, {}); }, why);
  expect_error(
      ErrorKind::data, [&] { read_sound(file); }, why);
  const Error error = expect_error(
      ErrorKind::data, [&] { FrameReader reader(file); }, why);
  EXPECT_THAT(error.next_step(), HasSubstr("--partial"));
}

TEST_P(CutFile, GivesTheFramesOfTheWholeOneUpToTheCut) {
  const fs::path original = whole();
  const Pictures all = pictures_of(original, {});
  size_t before = 0;
  for (const double part : {0.35, 0.501, 0.62, 0.713, 0.8}) {
    SCOPED_TRACE(part);
    const fs::path file = cut(original, part);
    const Pictures some = pictures_of(file, allowed);
    ASSERT_TRUE(some.damage);
    expect_beginning(some.frames, all.frames);
    EXPECT_GT(some.frames.size(), before) << "more bytes and no more frames";
    EXPECT_LT(some.frames.size(), all.frames.size());
    EXPECT_GT(some.damage->until_s, some.seconds.back());
    EXPECT_NEAR(some.damage->until_s, some.seconds.back(), 0.05);
    EXPECT_FALSE(some.damage->reason.empty());
    EXPECT_EQ(chosen_frames_of(file), some.frames);
    before = some.frames.size();
  }
}

TEST_P(CutFile, GivesTheSoundOfTheWholeOneUpToTheCut) {
  const fs::path original = whole(), file = cut(original, 0.6);
  const Sound all = read_sound(original), some = read_sound(file, {.limits = allowed});
  ASSERT_TRUE(some.damage);
  EXPECT_NEAR(some.damage->until_s, some.end_s(), 0.1);
  EXPECT_LT(some.samples.size(), all.samples.size());
  EXPECT_EQ(some.start_s, all.start_s);
  // The resampler and the codec look a little ahead.
  std::vector<float> heard = some.samples;
  heard.resize(heard.size() - size_t(0.1 * some.rate));
  expect_beginning(heard, all.samples);
}

TEST_P(CutFile, IsFoundWithoutDecoding) {
  const fs::path original = whole();
  EXPECT_FALSE(find_damage(original));
  const auto found = find_damage(cut(original, 0.6));
  ASSERT_TRUE(found);
  EXPECT_GT(found->until_s, 0.3);
  EXPECT_LT(found->until_s, 1.8);
}

TEST_P(CutFile, AWholeFileIsTheSameUnderBothPolicies) {
  const fs::path file = whole();
  const Pictures strict = pictures_of(file, {}), lenient = pictures_of(file, allowed);
  EXPECT_EQ(strict.frames, lenient.frames);
  EXPECT_EQ(strict.frames.size(), 50u);
  EXPECT_FALSE(strict.damage || lenient.damage);
  const Sound heard = read_sound(file, {.limits = allowed});
  EXPECT_EQ(heard.samples, read_sound(file).samples);
  EXPECT_FALSE(heard.damage);
}

INSTANTIATE_TEST_SUITE_P(Containers, CutFile, ::testing::Values("a.mp4", "a.mov", "a.mkv", "a.avi"),
                         [](const auto& container) { return std::string(container.param).substr(2); });

TEST(PartialFile, ATransportStreamAnnouncesNothingAndIsShorter) {
  const Clips clips;
  const fs::path original = clips.make("a.ts");
  const std::string bytes = read_file(original);
  const fs::path file = clips.write("cut.ts", bytes.substr(0, bytes.size() / 2 / 188 * 188));
  const Pictures all = pictures_of(original, {});
  VideoReader reader(file, {.limits = allowed, .md5 = true, .rgb = false});
  size_t count = 0;
  for (; const auto frame = reader.next(); ++count) {
    if (frame->damaged) continue;
    EXPECT_EQ(fmt::format("{} {}", frame->pts, frame->md5), all.frames.at(count));
  }
  EXPECT_GT(count, 10u);
  EXPECT_LT(count, 45u);
  EXPECT_FALSE(reader.damage()) << reader.damage()->reason;
}

TEST(PartialFile, ASoundThatEndedBeforeTheCutIsWholeUpToTheCut) {
  const Clips clips;
  for (const std::string name : {"a.mp4", "a.mkv"}) {
    SCOPED_TRACE(name);
    const fs::path original = clips.path(name);
    std::vector<std::string> words = {"-f",   "lavfi",   "-i", "testsrc2=size=160x120:rate=25:duration=4",
                                      "-f",   "lavfi",   "-i", "sine=d=1",
                                      "-c:v", "libx264", "-g", "25"};
    for (const std::string& word : as_streamed(name)) words.push_back(word);
    words.push_back(original.string());
    test::ffmpeg(words);
    const fs::path file = clips.cut(original, "cut-" + name, 0.8);
    const Sound sound = read_sound(file, {.limits = allowed});
    const Pictures pictures = pictures_of(file, allowed);
    ASSERT_TRUE(sound.damage && pictures.damage);
    EXPECT_NEAR(sound.end_s(), 1, 0.1);
    EXPECT_GT(sound.damage->until_s, 2);
    EXPECT_NEAR(sound.damage->until_s, pictures.damage->until_s, 0.2);
  }
}

TEST(PartialFile, PicturesThatEndedBeforeTheCutAreWholeUpToTheCut) {
  const Clips clips;
  for (const std::string name : {"a.mp4", "a.mkv"}) {
    SCOPED_TRACE(name);
    const fs::path original = clips.path(name);
    std::vector<std::string> words = {"-f",   "lavfi",   "-i",      "testsrc2=size=64x48:rate=25:duration=1",
                                      "-f",   "lavfi",   "-i",      "sine=d=4",
                                      "-c:v", "libx264", "-preset", "ultrafast"};
    for (const std::string& word : as_streamed(name)) words.push_back(word);
    words.push_back(original.string());
    test::ffmpeg(words);
    const fs::path file = clips.cut(original, "cut-" + name, 0.8);
    const Pictures pictures = pictures_of(file, allowed);
    const Sound sound = read_sound(file, {.limits = allowed});
    ASSERT_TRUE(sound.damage && pictures.damage);
    EXPECT_EQ(pictures.frames.size(), 25u);
    EXPECT_GT(pictures.damage->until_s, 2);
    EXPECT_NEAR(pictures.damage->until_s, sound.damage->until_s, 0.2);
  }
}

TEST(PartialFile, PicturesThatCannotBeDecodedToTheEndAreDamageToo) {
  const Clips clips;
  const fs::path original = clips.make("a.mp4", {"-an", "-bf", "0", "-movflags", "+faststart"});
  const Pictures all = pictures_of(original, {});
  std::string bytes = read_file(original);
  int packet = 0;
  for (const std::string& line : test::lines_of(
           {"ffprobe", "-v", "error", "-show_entries", "packet=size,pos", "-of", "csv=print_section=0", original.string()})) {
    const size_t size = std::stoul(line), begin = std::stoul(line.substr(line.find(',') + 1));
    if (packet++ >= 30) bytes.replace(begin, size, std::string(size, '\xff'));
  }
  ASSERT_EQ(packet, 50);
  const fs::path file = clips.write("spoilt.mp4", bytes);
  expect_error(
      ErrorKind::data, [&] { pictures_of(file, {}); }, "cannot be decoded");
  const Pictures some = pictures_of(file, allowed);
  ASSERT_TRUE(some.damage);
  expect_beginning(some.frames, all.frames);
  EXPECT_EQ(some.frames.size(), 30u);
  EXPECT_THAT(some.damage->reason, HasSubstr("cannot be decoded"));
  EXPECT_NEAR(some.damage->until_s, some.seconds.back(), 0.1);
}

TEST(PartialFile, WithoutAPictureOrASoundItIsAnError) {
  const Clips clips;
  const fs::path original = clips.make("a.mp4", {"-movflags", "+faststart"});
  const std::string bytes = read_file(original);
  const fs::path file = clips.write("cut.mp4", bytes.substr(0, bytes.find("mdat") + 20));
  expect_error(
      ErrorKind::data, [&] { pictures_of(file, allowed); }, "no picture could be decoded");
  expect_error(
      ErrorKind::data, [&] { FrameReader reader(file, {.limits = allowed}); }, "truncated or damaged");
  expect_error(
      ErrorKind::data, [&] { read_sound(file, {.limits = allowed}); }, "no sound could be decoded");
}

TEST(PartialFile, WithoutItsIndexItIsAnError) {
  const Clips clips;
  const fs::path file = clips.cut(clips.make("a.mp4"), "cut.mp4", 0.9);
  expect_error(
      ErrorKind::data, [&] { pictures_of(file, allowed); }, "its index cannot be read");
  expect_error(
      ErrorKind::data, [&] { find_damage(file); }, "its index cannot be read");
}

TEST(PartialFile, AWindowOfSoundBeforeTheCutHasNoDamage) {
  const Clips clips;
  const fs::path file = clips.cut(clips.make("a.mkv"), "cut.mkv", 0.6);
  AudioReader reader(file, {.limits = allowed});
  EXPECT_FALSE(reader.window(0, 0.2).damage);
  const Sound rest = reader.window(0.2, 2);
  EXPECT_TRUE(rest.damage);
  EXPECT_LT(rest.end_s(), 1.9);
}

}  // namespace
}  // namespace microemo::media
