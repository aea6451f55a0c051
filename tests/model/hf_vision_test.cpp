#include "microemo/model/hf_vision.h"

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/nn/init.h"
#include "public_reference.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;
using checkpoint::load_into;
using checkpoint::NamedTensors;
using checkpoint::tensors_of;
using checkpoint::write_tensors;
using test::allowed_error;
using test::encoder_data;
using test::error_of;
using test::expect_error;

checkpoint::TensorSource reference(const std::string& name) {
  return checkpoint::TensorSource(encoder_data / (name + ".reference.safetensors"));
}

TEST(ClipVision, EqualsTransformersInEveryHiddenStateAndTheImageFeatures) {
  const auto recorded = reference("clip-vision");
  const auto clip = load_hf_vision(encoder_data / "clip-vision");
  std::vector<at::Tensor> states;
  clip->forward(recorded.tensor("input.pixel_values"), &states);
  test::expect_states(states, test::states_of(recorded, "output.hidden_states."));
  EXPECT_LT(error_of(clip->features(recorded.tensor("input.pixel_values")), recorded.tensor("output.image_embeds")),
            allowed_error);
}

TEST(ClipVision, EqualsTransformersInItsGradients) {
  const auto clip = load_hf_vision(encoder_data / "clip-vision");
  test::require_gradients(*clip);
  test::weighed_loss(clip->features(reference("clip-vision").tensor("input.pixel_values"))).backward();
  test::expect_same_gradients(
      *clip, checkpoint::read_part(encoder_data / "clip-vision.gradients.safetensors", "visual_encoder", "clip"));
}

/// The two kinds of BLIP folder, whose vision sides are the same EVA-CLIP.
class EvaVision : public testing::TestWithParam<const char*> {
 protected:
  const checkpoint::TensorSource recorded_ = reference(GetParam());
  const std::shared_ptr<Vit> eva_ = load_hf_vision(encoder_data / GetParam());
};

TEST_P(EvaVision, EqualsTransformersInEveryHiddenStateAndTheNormedLast) {
  std::vector<at::Tensor> states;
  const at::Tensor image = eva_->forward(recorded_.tensor("input.pixel_values"), &states);
  test::expect_states(states, test::states_of(recorded_, "output.vision."));
  EXPECT_LT(error_of(image, recorded_.tensor("output.image")), allowed_error);
}

TEST_P(EvaVision, HasNoBiasOnTheKeys) {
  const auto parameters = eva_->named_parameters();
  EXPECT_FALSE(parameters.contains("block0.attention.key.bias"));
  EXPECT_TRUE(parameters.contains("block0.attention.query.bias"));
  EXPECT_TRUE(parameters.contains("block0.attention.value.bias"));
}

INSTANTIATE_TEST_SUITE_P(Golden, EvaVision, testing::Values("instructblip", "blip2"));

// The parity checklist: what differs between the public models in silence.

TEST(Parity, EpsilonsOfTheNormsAreThoseOfThePublicModels) {
  EXPECT_EQ(eva_vit_giant().norm_epsilon, 1e-6);
  EXPECT_EQ(eva_vit_giant().output_norm_epsilon, 1e-5);                       // LAVIS' ln_vision has PyTorch's default
  EXPECT_EQ(eva_vision({.layer_norm_eps = 1e-6}).output_norm_epsilon, 1e-6);  // transformers' post_layernorm has the config's
  EXPECT_EQ(clip_vit_large().norm_epsilon, 1e-5);
  EXPECT_EQ(clip_vit_large().output_norm_epsilon, 1e-5);
}

TEST(Parity, AnotherEpsilonIsSeenInTheGoldenValues) {
  const auto recorded = reference("clip-vision");
  const auto right = load_hf_vision(encoder_data / "clip-vision");
  VitShape shape = right->shape();
  ASSERT_EQ(shape.norm_epsilon, 0.02);
  shape.norm_epsilon = shape.output_norm_epsilon = 1e-5;
  Vit wrong(shape);
  load_into(wrong, tensors_of(*right), {});
  EXPECT_GT(error_of(wrong.features(recorded.tensor("input.pixel_values")), recorded.tensor("output.image_embeds")), 1e-3);
}

TEST(Parity, GeluIsExactExceptInClip) {
  EXPECT_EQ(clip_vit_large().activation, nn::Activation::quick_gelu);
  EXPECT_EQ(eva_vit_giant().activation, nn::Activation::gelu);
  const auto recorded = reference("clip-vision");
  const auto right = load_hf_vision(encoder_data / "clip-vision");
  VitShape shape = right->shape();
  shape.activation = nn::Activation::gelu;
  Vit wrong(shape);
  load_into(wrong, tensors_of(*right), {});
  EXPECT_GT(error_of(wrong.features(recorded.tensor("input.pixel_values")), recorded.tensor("output.image_embeds")), 1e-3);
}

TEST(Parity, EvaWithoutANormBehindIsTheRawLastState) {
  const auto recorded = reference("blip2");
  const auto normed = load_hf_vision(encoder_data / "blip2");
  VitShape shape = normed->shape();
  shape.output_norm = false;
  Vit raw(shape);
  NamedTensors tensors = tensors_of(*normed);
  tensors.erase("norm.weight");
  tensors.erase("norm.bias");
  load_into(raw, tensors, {});
  EXPECT_LT(error_of(raw.forward(recorded.tensor("input.pixel_values")), recorded.tensor("output.vision.3")), allowed_error);
}

/// A small model of 39 blocks in the two files that LAVIS keeps it in.
class LavisFiles : public testing::Test {
 protected:
  LavisFiles() {
    nn::initialise(model_, 7);
    NamedTensors ours;
    for (const auto& [name, tensor] : tensors_of(model_)) ours["visual_encoder." + name] = tensor;
    qformer_["ln_vision.weight"] = ours.at("visual_encoder.norm.weight").fill_(1.5);
    qformer_["ln_vision.bias"] = ours.at("visual_encoder.norm.bias").fill_(-0.5);
    ours.erase("visual_encoder.norm.weight");
    ours.erase("visual_encoder.norm.bias");
    add_public_names(ours);
  }

  void add_public_names(const NamedTensors& ours) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : ours) names.push_back(name);
    const auto plan = plan_keys(checkpoint::find_family("eva"), names, checkpoint::KeyDirection::to_public, "eva");
    for (const auto& step : plan.steps) {
      std::vector<at::Tensor> from;
      for (const std::string& name : step.from) from.push_back(name.empty() ? at::Tensor() : ours.at(name));
      eva_[step.to] = apply_step(step, from);
    }
  }

  std::shared_ptr<Vit> load() const {
    write_tensors(folder_.path() / "eva_vit_g.safetensors", eva_);
    write_tensors(folder_.path() / "qformer.safetensors", qformer_);
    return load_eva(folder_.path() / "eva_vit_g.safetensors", folder_.path() / "qformer.safetensors", shape());
  }

  static VitShape shape() {
    VitShape shape = eva_vit_giant();
    shape.picture_height = shape.picture_width = 8;
    shape.patch = 4;
    shape.width = 6;
    shape.heads = 2;
    shape.hidden = 10;
    return shape;
  }

  const at::NoGradGuard no_grad_;
  Vit model_{shape()};
  TemporaryFolder folder_;
  NamedTensors eva_, qformer_;
};

TEST_F(LavisFiles, GiveTheModelThatTheyWereMadeOf) {
  const auto loaded = load();
  const at::Tensor pictures = at::randn({2, 3, 8, 8});
  EXPECT_TRUE(loaded->forward(pictures).equal(model_.forward(pictures)));
}

TEST_F(LavisFiles, HaveA40thBlockAndAHeadThatAreLeftOut) {
  for (const auto& [name, tensor] : NamedTensors(eva_))
    if (name.starts_with("blocks.38.")) eva_["blocks.39." + name.substr(10)] = tensor + 1;
  for (const char* name : {"norm.weight", "norm.bias", "head.bias"}) eva_[name] = at::ones({6});
  const auto loaded = load();
  const at::Tensor pictures = at::randn({2, 3, 8, 8});
  EXPECT_EQ(loaded->shape().layers, 39);
  EXPECT_TRUE(loaded->forward(pictures).equal(model_.forward(pictures)));
}

TEST_F(LavisFiles, MayBeInHalfPrecision) {
  for (auto& [name, tensor] : eva_) tensor = tensor.to(at::kHalf);
  const auto loaded = load();
  for (auto& item : model_.named_parameters()) item.value().copy_(item.value().to(at::kHalf));
  const at::Tensor pictures = at::randn({2, 3, 8, 8});
  EXPECT_TRUE(loaded->forward(pictures).equal(model_.forward(pictures)));
}

TEST_F(LavisFiles, WithoutLnVisionAreAnError) {
  qformer_ = {{"query_tokens", at::zeros({1, 2, 6})}};
  expect_error(
      ErrorKind::checkpoint, [&] { load(); }, "visual_encoder");
}

TEST_F(LavisFiles, OfFewerBlocksAreAnErrorThatNamesThem) {
  for (const auto& [name, tensor] : NamedTensors(eva_))
    if (name.starts_with("blocks.38.")) eva_.erase(name);
  expect_error(
      ErrorKind::checkpoint, [&] { load(); }, "block38.attention.key.weight");
}

/// A folder whose files are changed before it is read.
class VisionFolder : public testing::Test {
 protected:
  void copy(const std::string& name) { fs::copy(encoder_data / name, folder_); }
  void set(const std::string& section, const std::string& key, const Json& value) const {
    Json config = read_json(folder_ / "config.json");
    (section.empty() ? config : config[section])[key] = value;
    write_json(folder_ / "config.json", config);
  }
  template <class Change>
  void change_weights(Change change) const {
    NamedTensors tensors;
    for (const auto& [name, tensor] : checkpoint::read_tensors(folder_ / "model.safetensors")) tensors[name] = tensor.clone();
    change(tensors);
    write_tensors(folder_ / "model.safetensors", tensors);
  }
  void refusal(const std::string& part) const {
    expect_error(
        ErrorKind::checkpoint, [&] { load_hf_vision(folder_); }, part);
  }

  TemporaryFolder place_;
  const fs::path folder_ = place_.path() / "model";
};

TEST_F(VisionFolder, PicturesOfAnotherSizeAreRefusedWithBothShapes) {
  const auto clip = load_hf_vision(encoder_data / "clip-vision");
  expect_error(
      ErrorKind::internal,
      [&] {
        clip->forward(at::zeros({2, 3, 16, 12}));
      },
      "pictures are [2, 3, 16, 12]; wanted: [n, 3, 12, 12]");
  expect_error(
      ErrorKind::internal,
      [&] {
        clip->features(at::zeros({3, 12, 12}));
      },
      "pictures are [3, 12, 12]");
}

TEST_F(VisionFolder, AnEncoderWithoutAClassTokenHasNoFeatures) {
  const Vit vit({.picture_height = 8, .picture_width = 8, .patch = 4, .width = 8, .heads = 2});
  expect_error(
      ErrorKind::internal,
      [&] {
        vit.features(at::zeros({1, 3, 8, 8}));
      },
      "has none");
}

TEST_F(VisionFolder, AProjectionThatTheFileLacksIsLeftOut) {
  copy("clip-vision");
  change_weights([](NamedTensors& tensors) { tensors.erase("visual_projection.weight"); });
  EXPECT_EQ(load_hf_vision(folder_)->features(at::zeros({1, 3, 12, 12})).sizes(), at::IntArrayRef({1, 16}));
}

TEST_F(VisionFolder, ADecoderHasNoPictureEncoder) {
  fs::copy(encoder_data / "qwen2", folder_);
  refusal("a model of type 'qwen2' has no picture encoder");
}

TEST_F(VisionFolder, WeightsOfAnotherFamilyAreRefused) {
  copy("clip-vision");
  fs::copy_file(encoder_data / "qwen2/model.safetensors", folder_ / "model.safetensors", fs::copy_options::overwrite_existing);
  refusal("it holds nothing of 'visual_encoder'");
}

TEST_F(VisionFolder, AMissingTensorIsNamed) {
  copy("clip-vision");
  change_weights([](NamedTensors& tensors) { tensors.erase("vision_model.encoder.layers.1.mlp.fc2.bias"); });
  refusal("vision_model.encoder.layers.1.mlp.fc2.bias");
}

TEST_F(VisionFolder, AnExtraTensorIsNamed) {
  copy("clip-vision");
  change_weights([](NamedTensors& tensors) { tensors["vision_model.encoder.layers.1.mlp.fc3.bias"] = at::zeros({4}); });
  refusal("vision_model.encoder.layers.1.mlp.fc3.bias");
}

TEST_F(VisionFolder, AMisshapenTensorIsNamedWithBothShapes) {
  copy("blip2");
  set("vision_config", "intermediate_size", 32);
  refusal("block0.mlp.up.weight: file [28, 16], model [32, 16]");
}

TEST_F(VisionFolder, ALayerThatTheConfigCountsIsMissing) {
  copy("clip-vision");
  set("", "num_hidden_layers", 4);
  refusal("block3.attention.key.bias");
}

TEST_F(VisionFolder, AKeyBiasThatIsNotZeroIsRefused) {
  copy("blip2");
  change_weights([](NamedTensors& tensors) { tensors["vision_model.encoder.layers.1.self_attn.qkv.bias"].fill_(1); });
  refusal("vision_model.encoder.layers.1.self_attn.qkv.bias");
}

TEST_F(VisionFolder, AConfigOfAFarLargerModelIsAnErrorBeforeAnythingIsAllocated) {
  copy("clip-vision");
  set("", "hidden_size", 1'000'000);
  refusal("config.json asks for");
}

TEST_F(VisionFolder, APatchThatDoesNotDivideThePictureIsAnError) {
  copy("clip-vision");
  set("", "image_size", 14);
  expect_error(
      ErrorKind::checkpoint, [&] { load_hf_vision(folder_); }, "14 x 14");
}

}  // namespace
}  // namespace microemo::model
