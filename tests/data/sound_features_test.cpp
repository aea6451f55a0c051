// What the public encoders hear of real speech, beside the code that their authors use (tests/reference/sound_features.py).

#include <ATen/ops/from_blob.h>
#include <gmock/gmock.h>

#include "media/media.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/media/sound.h"
#include "microemo/model/hubert.h"
#include "microemo/model/imagebind_audio.h"
#include "microemo/model/whisper_mel.h"

namespace microemo::data {
namespace {

constexpr const char* speech_file = "sense_and_sensibility_01_austen_64kb-0870.wav";

struct SoundFeatures : ::testing::Test {
  checkpoint::NamedTensors golden;
  at::Tensor samples_1N;
  media::Sound sound;

  void SetUp() override {
    const auto path = test::test_media(speech_file);
    if (!path) GTEST_SKIP() << test::no_test_media(speech_file);
    golden = checkpoint::read_tensors(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/media/sound_features.safetensors");
    sound = media::read_sound(*path);
    samples_1N = at::from_blob(sound.samples.data(), {1, int64_t(sound.samples.size())}, at::kFloat);
  }
  double difference(const at::Tensor& ours, const char* name) const {
    const at::Tensor& wanted = golden.at(name);
    EXPECT_EQ(ours.sizes(), wanted.sizes()) << name;
    return (ours - wanted).abs().max().item<double>();
  }
};

TEST_F(SoundFeatures, OfImageBindAreTorchaudios) {
  sound.samples.resize(32000);
  const media::LogMel mel = media::log_mel(sound, 128);
  const at::Tensor mel_1FM = at::from_blob(const_cast<float*>(mel.values.data()), {1, mel.frames(), 128}, at::kFloat);
  EXPECT_LT(difference(model::imagebind_spectrogram(mel_1FM)[0].slice(1, 0, 204, 11), "imagebind"), 1e-4);
}

TEST_F(SoundFeatures, OfWhisperAreTransformers) {
  for (const int64_t bands : {80, 128})
    EXPECT_LT(difference(model::whisper_log_mel(samples_1N, bands)[0].slice(1, 0, 3000, 97),
                         bands == 80 ? "whisper_80" : "whisper_128"),
              1e-4);
}

TEST_F(SoundFeatures, OfHubertAreTransformers) {
  EXPECT_LT(difference(model::normalised_samples(samples_1N)[0].slice(0, 0, samples_1N.size(1), 101), "hubert"), 1e-4);
}

}  // namespace
}  // namespace microemo::data
