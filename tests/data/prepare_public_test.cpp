// What prepare makes for the public encoders: frames by their number, and pieces of sound.
#include <ATen/ATen.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/data/prepared.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/sound.h"
#include "microemo/model/whisper_mel.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::ffmpeg;

/// Frames whose picture changes, and a sweep that is nowhere the same.
void make_video(const fs::path& file, const std::string& seconds, bool sound = true) {
  std::vector<std::string> words{"-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=" + seconds};
  if (sound) words.insert(words.end(), {"-f", "lavfi", "-i", "aevalsrc=0.4*sin(2*PI*(300+200*t)*t):s=16000:d=" + seconds});
  words.insert(words.end(), {"-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-c:a", "pcm_s16le", file.string()});
  ffmpeg(words);
}

class PublicInputs : public testing::Test {
 protected:
  fs::path file(const std::string& name) const { return folder_.path() / name; }
  PreparedClip prepare(const std::string& name, const PrepareOptions& options) const {
    return prepare_clip({.id = name, .video = file(name)}, options);
  }
  PreparedClip made(const std::string& seconds, const PrepareOptions& options, bool sound = true) const {
    make_video(file("a.mkv"), seconds, sound);
    return prepare("a.mkv", options);
  }
  std::vector<float> samples() const { return media::read_sound(file("a.mkv")).samples; }

  TemporaryFolder folder_;
};

std::vector<double> seconds_of(const at::Tensor& times) {
  return {times.const_data_ptr<double>(), times.const_data_ptr<double>() + times.numel()};
}

TEST_F(PublicInputs, FramesLieEvenlyByTheirNumber) {
  const PreparedClip clip = made("2", {.frame_rule = FrameRule::uniform, .frame_count = 8});
  std::vector<double> wanted;
  for (int k = 0; k < 8; ++k) wanted.push_back(std::floor(k * 50.0 / 8) / 25);  // of 50 frames
  ASSERT_EQ(clip.frame_times_T.size(0), 8);
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(seconds_of(clip.frame_times_T)[i], wanted[i], 1e-3) << i;
}

TEST_F(PublicInputs, AShortClipGivesAllItsFramesOnce) {
  const PreparedClip clip = made("0.2", {.frame_rule = FrameRule::uniform, .frame_count = 8});
  EXPECT_EQ(clip.frame_times_T.size(0), 5);
  EXPECT_EQ(clip.source_frames, 5);
}

/// Fifty pictures, each whole in itself, of which the headers of numbers 20 to 24 are zeros.
void make_damaged_video(const fs::path& path) {
  ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=2", "-c:v", "mjpeg", "-threads", "1", path.string()});
  std::string bytes = read_file(path);
  const std::string marker = "\xff\xd8\xff";
  constexpr size_t headers = 600;
  size_t picture = 0;
  for (size_t at = bytes.find(marker); at != std::string::npos; at = bytes.find(marker, at + 1), ++picture)
    if (picture >= 20 && picture < 25) bytes.replace(at, headers, headers, '\0');
  write_file_atomic(path, bytes);
}

TEST_F(PublicInputs, PicturesThatCannotBeDecodedAreNotCounted) {
  make_damaged_video(file("damaged.avi"));
  ASSERT_EQ(media::announced_frames(file("damaged.avi")), 50);
  std::vector<double> times;
  media::VideoReader reader(file("damaged.avi"));
  while (const auto frame = reader.next()) times.push_back(frame->seconds);
  ASSERT_EQ(times.size(), 45u);
  const PreparedClip clip = prepare("damaged.avi", {.frame_rule = FrameRule::uniform, .frame_count = 8, .faces = false});
  EXPECT_EQ(clip.source_frames, 45);
  ASSERT_EQ(clip.frame_times_T.size(0), 8);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(seconds_of(clip.frame_times_T)[i], times[i * 45 / 8]) << i;
}

TEST_F(PublicInputs, FramesAreTheSameWithFacesAndWithout) {
  const PrepareOptions without{.frame_rule = FrameRule::uniform, .frame_count = 8, .faces = false};
  PrepareOptions with = without;
  with.faces = true;
  const PreparedClip clip = made("1", without), other = made("1", with);
  EXPECT_TRUE(clip.frames_TCHW.equal(other.frames_TCHW));
  EXPECT_TRUE(clip.frame_times_T.equal(other.frame_times_T));
  EXPECT_FALSE(clip.frames_TCHW[7].eq(clip.frames_TCHW[6]).all().item<bool>()) << "they show nothing";
}

TEST_F(PublicInputs, OneFrameIsTheFirst) {
  const PreparedClip clip = made("1", {.frame_rule = FrameRule::uniform, .frame_count = 1});
  ASSERT_EQ(clip.frame_times_T.size(0), 1);
  EXPECT_EQ(seconds_of(clip.frame_times_T)[0], 0);
}

double most_memory_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (double kb = 0; word == "VmHWM:" && status >> kb) return kb / 1024;
  return 0;
}

TEST_F(PublicInputs, WithoutFacesTheirModelIsNotLoaded) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process in which no other test has loaded it
  const auto grown_mb = [this](bool faces) {
    make_video(file("few.mkv"), "0.2", /*sound=*/false);
    const double before = most_memory_mb();
    prepare("few.mkv", {.faces = faces});
    return most_memory_mb() - before;
  };
  EXPECT_EXIT(std::_Exit(grown_mb(false) < 60 ? 0 : 1), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(std::_Exit(grown_mb(true) > 60 ? 0 : 1), testing::ExitedWithCode(0), "") << "this test does not see the model";
}

TEST_F(PublicInputs, WithoutFacesNoneAreLookedFor) {
  const PreparedClip clip = made("0.4", {.faces = false});
  EXPECT_EQ(clip.face_times_N.size(0), 0);
  EXPECT_EQ(clip.frame_times_T.size(0), 2);
}

TEST_F(PublicInputs, PiecesOfAGivenNumberLieEvenlyOverTheClip) {
  const PreparedClip clip = made("3", {.sound = SoundInput::samples, .sound_pieces = 8});
  ASSERT_EQ(clip.pieces_K.sizes(), at::IntArrayRef({8, 32000}));
  const std::vector<float> whole = samples();
  for (int64_t k = 0; k < 8; ++k) {
    const auto start = int64_t(double(k) * (double(whole.size()) / 16000 - 2) / 7 * 16000 + 1e-9);
    const at::Tensor wanted = at::from_blob(const_cast<float*>(whole.data()) + start, {32000}, at::kFloat);
    EXPECT_TRUE(clip.pieces_K[k].equal(wanted)) << k;
    EXPECT_NEAR(seconds_of(clip.piece_times_K)[size_t(k)], double(start) / 16000 + 1, 1e-9) << k;
  }
  EXPECT_EQ(clip.mel_FM.size(0), 0);
}

TEST_F(PublicInputs, PiecesGoThroughTheResamplerThatIsAsked) {
  ffmpeg({"-f", "lavfi", "-i", "aevalsrc=0.4*sin(2*PI*(300+200*t)*t):s=44100:d=2", file("a.wav").string()});
  for (const auto resampler : {media::Resampling::swresample, media::Resampling::soxr, media::Resampling::sinc}) {
    const PreparedClip clip = prepare("a.wav", {.sound = SoundInput::samples, .sound_resampler = resampler});
    const std::vector<float> whole = media::read_sound(file("a.wav"), {.resampling = resampler, .limits = {}}).samples;
    ASSERT_EQ(whole.size(), 32000u);
    EXPECT_TRUE(clip.pieces_K[0].equal(at::tensor(whole)));
  }
}

TEST_F(PublicInputs, PiecesOfAShortClipAreAllTheSameAndEndInSilence) {
  const PreparedClip clip = made("1", {.sound = SoundInput::samples, .sound_pieces = 8});
  ASSERT_EQ(clip.pieces_K.sizes(), at::IntArrayRef({8, 32000}));
  EXPECT_TRUE(clip.pieces_K[0].equal(clip.pieces_K[7]));
  EXPECT_EQ(clip.pieces_K.slice(1, 16000).abs().max().item<float>(), 0);
  EXPECT_GT(clip.pieces_K.slice(1, 0, 16000).abs().max().item<float>(), 0.1);
}

TEST_F(PublicInputs, WithoutANumberPiecesFollowEachOtherAndLeaveNothingOut) {
  const PreparedClip clip = made("5", {.sound = SoundInput::samples});
  ASSERT_EQ(clip.pieces_K.sizes(), at::IntArrayRef({3, 32000}));
  const std::vector<float> whole = samples();
  EXPECT_TRUE(clip.pieces_K.flatten().slice(0, 0, int64_t(whole.size())).equal(at::tensor(whole)));
  EXPECT_EQ(seconds_of(clip.piece_times_K), (std::vector<double>{1, 3, 5}));
}

TEST_F(PublicInputs, ImageBindHearsTheLogMelOfEachPieceAlone) {
  const PreparedClip clip = made("3", {.sound = SoundInput::imagebind, .mel_bands = 128, .sound_pieces = 3});
  ASSERT_EQ(clip.pieces_K.sizes(), at::IntArrayRef({3, 198, 128}));
  const std::vector<float> whole = samples();
  media::Sound piece;
  piece.samples.assign(whole.begin() + 8000, whole.begin() + 40000);
  const media::LogMel mel = media::log_mel(piece, 128);
  EXPECT_TRUE(clip.pieces_K[1].flatten().equal(at::tensor(mel.values)));
}

TEST_F(PublicInputs, WhisperHearsThirtySecondsFilledWithSilence) {
  const PreparedClip clip = made("1", {.sound = SoundInput::whisper, .mel_bands = 80});
  ASSERT_EQ(clip.pieces_K.sizes(), at::IntArrayRef({1, 80, 3000}));
  EXPECT_TRUE(clip.pieces_K.equal(model::whisper_log_mel(at::tensor(samples()).unsqueeze(0), 80, 30)));
  EXPECT_EQ(seconds_of(clip.piece_times_K), (std::vector<double>{15}));
}

TEST_F(PublicInputs, AClipWithoutSoundHasNoPieceOfTheSameShape) {
  EXPECT_EQ(made("0.2", {.sound = SoundInput::samples}, false).pieces_K.sizes(), at::IntArrayRef({0, 32000}));
  EXPECT_EQ(prepare("a.mkv", {.sound = SoundInput::imagebind, .mel_bands = 128}).pieces_K.sizes(),
            at::IntArrayRef({0, 198, 128}));
  EXPECT_EQ(prepare("a.mkv", {.sound = SoundInput::whisper, .mel_bands = 80}).pieces_K.sizes(), at::IntArrayRef({0, 80, 3000}));
  EXPECT_EQ(prepare("a.mkv", {}).pieces_K.sizes(), at::IntArrayRef({0}));
}

TEST_F(PublicInputs, TheCacheChangesNothingOfThem) {
  for (const SoundInput sound : {SoundInput::samples, SoundInput::imagebind, SoundInput::whisper}) {
    const PreparedClip clip = made("1", {.sound = sound, .mel_bands = 80});
    write_prepared(file("a.safetensors"), clip);
    const PreparedClip again = read_prepared(file("a.safetensors"));
    EXPECT_TRUE(again.pieces_K.equal(clip.pieces_K));
    EXPECT_TRUE(again.piece_times_K.equal(clip.piece_times_K));
    EXPECT_EQ(read_prepared_facts(file("a.safetensors")).pieces, clip.pieces_K.size(0));
  }
}

TEST_F(PublicInputs, OtherInputsAreOtherEntries) {
  make_video(file("a.mkv"), "0.2");
  const Clip clip{.id = "a", .video = file("a.mkv")};
  std::set<fs::path> entries;
  for (const PrepareOptions& options : std::vector<PrepareOptions>{{},
                                                                   {.frame_rule = FrameRule::uniform},
                                                                   {.frame_rule = FrameRule::uniform, .frame_count = 8},
                                                                   {.sound = SoundInput::samples},
                                                                   {.sound_resampler = media::Resampling::sinc},
                                                                   {.sound = SoundInput::samples, .sound_pieces = 8},
                                                                   {.sound = SoundInput::imagebind}})
    entries.insert(cache_file(folder_.path(), clip, options));
  EXPECT_EQ(entries.size(), 7u);
}

}  // namespace
}  // namespace microemo::data
