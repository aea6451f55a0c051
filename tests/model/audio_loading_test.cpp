#include <functional>

#include "encoder_reference.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/model/hubert.h"
#include "microemo/model/imagebind_audio.h"
#include "microemo/model/whisper_encoder.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;
using checkpoint::NamedTensors;
using test::expect_error;

/// One public audio encoder: how it is read, and tensors of its file to damage.
struct AudioFile {
  std::string name, family;
  std::function<std::shared_ptr<torch::nn::Module>(const fs::path&)> load;
  std::string outside_layers, in_a_layer;
  std::string ours;        ///< our name of in_a_layer
  std::string last_layer;  ///< what the names of the last layer begin with
  bool has_config = true;
};
void PrintTo(const AudioFile& file, std::ostream* out) { *out << file.name; }

std::shared_ptr<torch::nn::Module> load_small_imagebind(const fs::path& path) {
  return load_imagebind_audio(path, {.width = 12, .layers = 3, .heads = 2, .out = 12, .mel_bands = 38, .frames = 57});
}

std::vector<AudioFile> audio_files() {
  return {
      {"hubert-large", "hubert", load_hubert, "feature_projection.projection.bias", "encoder.layers.1.attention.k_proj.bias",
       "block1.attention.key.bias", "encoder.layers.2."},
      {"hubert-base", "hubert", load_hubert, "encoder.pos_conv_embed.conv.bias", "encoder.layers.1.final_layer_norm.weight",
       "block1.mlp_norm.weight", "encoder.layers.2."},
      {"whisper", "whisper", load_whisper_encoder, "model.encoder.conv2.bias", "model.encoder.layers.1.self_attn.out_proj.bias",
       "block1.attention.output.bias", "model.encoder.layers.2."},
      {"imagebind-audio", "imagebind-audio", load_small_imagebind, "modality_heads.audio.0.bias",
       "modality_trunks.audio.blocks.1.norm_2.bias", "block1.mlp_norm.bias", "modality_trunks.audio.blocks.2.", false},
  };
}

class AudioLoading : public testing::TestWithParam<AudioFile> {
 protected:
  AudioLoading() {
    fs::create_directories(folder_);
    if (GetParam().has_config) fs::copy(test::encoder_data / GetParam().name / "config.json", folder_);
  }
  static fs::path weights_of(const std::string& name) {
    const fs::path folder = test::encoder_data / name;
    return name == "imagebind-audio" ? folder / "imagebind_small.pth" : folder;
  }
  NamedTensors tensors() const { return checkpoint::read_tensors(weights_of(GetParam().name)); }
  std::shared_ptr<torch::nn::Module> loaded(const NamedTensors& given) const {
    checkpoint::write_tensors(folder_ / "model.safetensors", given);
    return GetParam().load(folder_);
  }
  void refuses(const NamedTensors& given, const std::string& part) const {
    expect_error(
        ErrorKind::checkpoint, [&] { loaded(given); }, part);
  }
  void expect_same(const torch::nn::Module& actual) const {
    const NamedTensors expected = checkpoint::tensors_of(*GetParam().load(weights_of(GetParam().name)));
    for (const auto& [name, tensor] : checkpoint::tensors_of(actual)) EXPECT_TRUE(tensor.equal(expected.at(name))) << name;
  }

  TemporaryFolder place_;
  const fs::path folder_ = place_.path() / "model";
};

TEST_P(AudioLoading, ReadsAFileWithOurNames) {
  NamedTensors ours;
  for (const auto& [name, tensor] : checkpoint::read_part(weights_of(GetParam().name), "audio_encoder", GetParam().family))
    ours.emplace("audio_encoder." + name, tensor);
  expect_same(*loaded(ours));
}

TEST_P(AudioLoading, NamesATensorThatIsMissing) {
  NamedTensors damaged = tensors();
  damaged.erase(GetParam().outside_layers);
  refuses(damaged, "missing:\n    " + GetParam().outside_layers);
}

TEST_P(AudioLoading, NamesATensorThatOneLayerLacks) {
  NamedTensors damaged = tensors();
  damaged.erase(GetParam().in_a_layer);
  refuses(damaged, "missing:\n    " + GetParam().in_a_layer);
}

TEST_P(AudioLoading, NamesALayerThatIsMissing) {
  NamedTensors damaged = tensors();
  std::erase_if(damaged, [](const auto& item) { return item.first.starts_with(GetParam().last_layer); });
  refuses(damaged, "missing:\n    block2.");
}

TEST_P(AudioLoading, NamesATensorThatIsNotOfTheFamily) {
  NamedTensors damaged = tensors();
  damaged.emplace("surprise.weight", at::zeros({2}));
  refuses(damaged, "1 without a rule:\n    surprise.weight");
}

TEST_P(AudioLoading, NamesALayerTooMany) {
  NamedTensors damaged = tensors();
  for (const auto& [name, tensor] : tensors()) {
    if (!name.starts_with(GetParam().last_layer)) continue;
    std::string further = name;
    further.replace(further.find(".2."), 3, ".3.");
    damaged.emplace(further, tensor);
  }
  refuses(damaged, "unexpected:\n    block3.");
}

TEST_P(AudioLoading, NamesAWrongShapeWithBoth) {
  NamedTensors damaged = tensors();
  const int64_t width = damaged.at(GetParam().in_a_layer).size(0);
  damaged.insert_or_assign(GetParam().in_a_layer, at::zeros({width + 1}));
  refuses(damaged, fmt::format("{}: file [{}], model [{}]", GetParam().ours, width + 1, width));
}

TEST_P(AudioLoading, RefusesTheWeightsOfEveryOtherFamily) {
  for (const AudioFile& other : audio_files())
    if (other.family != GetParam().family)
      refuses(checkpoint::read_tensors(weights_of(other.name)), "the names are not those of '" + GetParam().family + "'");
}

TEST_P(AudioLoading, RefusesTheFolderOfADecoder) {
  expect_error(
      ErrorKind::checkpoint, [&] { GetParam().load(test::encoder_data / "qwen2"); }, "qwen2");
}

TEST_P(AudioLoading, RefusesAFolderWithoutWeights) {
  expect_error(
      ErrorKind::checkpoint, [&] { GetParam().load(folder_); }, folder_.string());
}

std::string test_name(const testing::TestParamInfo<AudioFile>& tested) {
  std::string name = tested.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Of, AudioLoading, testing::ValuesIn(audio_files()), test_name);

class AudioConfig : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(AudioConfig, OfAFarLargerModelIsAnErrorBeforeAnythingIsAllocated) {
  const auto [name, width] = GetParam();
  const TemporaryFolder place;
  fs::copy(test::encoder_data / name, place.path(), fs::copy_options::recursive);
  Json config = read_json(place.path() / "config.json");
  config[width] = 1'000'000;
  write_json(place.path() / "config.json", config);
  expect_error(
      ErrorKind::checkpoint,
      [&] { std::string(name) == "whisper" ? void(load_whisper_encoder(place.path())) : void(load_hubert(place.path())); },
      "config.json asks for");
}

TEST_P(AudioConfig, OfAnotherFamilyIsAnError) {
  const std::string name = GetParam().first;
  const auto refusal = [&](auto load, const std::string& part) {
    expect_error(
        ErrorKind::checkpoint, [&] { load(test::encoder_data / name); }, part);
  };
  if (name == "whisper") refusal(load_hubert, "a model of type 'whisper' is no hubert encoder");
  if (name != "whisper") refusal(load_whisper_encoder, "a model of type 'hubert' is no whisper encoder");
}

INSTANTIATE_TEST_SUITE_P(Of, AudioConfig,
                         testing::Values(std::pair{"hubert-large", "hidden_size"}, std::pair{"hubert-base", "hidden_size"},
                                         std::pair{"whisper", "d_model"}));

TEST(WhisperLoading, ReadsAnEncoderWithoutTheDecoderAndThePrefix) {
  const TemporaryFolder place;
  NamedTensors encoder;
  for (const auto& [name, tensor] : checkpoint::read_tensors(test::encoder_data / "whisper"))
    if (name.starts_with("model.encoder.")) encoder.emplace(name.substr(6), tensor);
  checkpoint::write_tensors(place.path() / "model.safetensors", encoder);
  fs::copy(test::encoder_data / "whisper" / "config.json", place.path());
  const auto whole = load_whisper_encoder(test::encoder_data / "whisper"), alone = load_whisper_encoder(place.path());
  const at::Tensor mel_BMF = at::randn({1, 8, 42});
  EXPECT_TRUE(alone->forward(mel_BMF).back().equal(whole->forward(mel_BMF).back()));
}

}  // namespace
}  // namespace microemo::model
