// What differs between public models in silence, one test each. The values are those of tests/reference; every test compares what
// is right with what a slip would make of it. Labels and frames stand in tests/data, the runner in tests/train.
#include "microemo/base/files.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/part.h"
#include "microemo/model/bert.h"
#include "microemo/model/decoder.h"
#include "microemo/model/hf_qformer.h"
#include "microemo/model/hf_vision.h"
#include "microemo/model/hubert.h"
#include "microemo/model/imagebind_audio.h"
#include "microemo/nn/rotary.h"
#include "public_reference.h"

namespace microemo::model {
namespace {

using test::allowed_error;
using test::encoder_data;
using test::error_of;

checkpoint::TensorSource recorded(const std::string& name) {
  return checkpoint::TensorSource(encoder_data / (name + ".reference.safetensors"));
}

TEST(ParityChecklist, EpsilonsOfNorms) {
  EXPECT_EQ(eva_vit_giant().norm_epsilon, 1e-6);
  EXPECT_EQ(eva_vit_giant().output_norm_epsilon, 1e-5);  // ln_vision
  EXPECT_EQ(clip_vit_large().norm_epsilon, 1e-5);
  for (const double epsilon : {blip2_qformer().layers.norm_epsilon, timechat_qformer().layers.norm_epsilon,
                               video_llama_audio_qformer().layers.norm_epsilon, BertOptions().norm_epsilon})
    EXPECT_EQ(epsilon, 1e-12);
  EXPECT_EQ(HubertOptions().norm_epsilon, 1e-5);
  // A decoder's comes from its config.json; old files have none, and LLaMA's first value holds.
  EXPECT_EQ(checkpoint::HfDecoderConfig().rms_norm_eps, 1e-6);
  EXPECT_NE(checkpoint::read_hf_decoder_config(encoder_data / "llama").rms_norm_eps, 1e-6);
}

TEST(ParityChecklist, GeluIsExactExceptInClip) {
  const at::Tensor x = at::arange(-4, 4, 0.5);
  EXPECT_LT(error_of(nn::activate(nn::Activation::gelu, x), x * (1 + at::erf(x / std::sqrt(2.0))) / 2), 1e-6);
  EXPECT_LT(error_of(nn::activate(nn::Activation::quick_gelu, x), x * at::sigmoid(1.702 * x)), 1e-6);
  EXPECT_EQ(clip_vit_large().activation, nn::Activation::quick_gelu);
  EXPECT_EQ(eva_vit_giant().activation, nn::Activation::gelu);
  EXPECT_EQ(nn::MlpOptions().activation, nn::Activation::gelu);
  EXPECT_EQ(nn::QFormerLayerOptions().activation, nn::Activation::gelu);
}

TEST(ParityChecklist, EvaHasBiasesOnQueriesAndValuesAnd39BlocksWithoutANormOfItsOwn) {
  EXPECT_EQ(eva_vit_giant().layers, 39);
  EXPECT_FALSE(eva_vit_giant().key_bias);
  const auto source = recorded("blip2");
  const auto eva = load_hf_vision(encoder_data / "blip2");
  for (const auto& [name, there] : {std::pair{"query", true}, {"key", false}, {"value", true}})
    EXPECT_EQ(eva->named_parameters().contains("block0.attention." + std::string(name) + ".bias"), there) << name;
  std::vector<at::Tensor> states;
  const at::Tensor image = eva->forward(source.tensor("input.pixel_values"), &states);
  // The residual stream is what LAVIS' model gives; ln_vision stands behind it.
  EXPECT_LT(error_of(states.back(), source.tensor("output.vision.3")), allowed_error);
  EXPECT_GT(error_of(image, states.back()), 1e-2);
  EXPECT_LT(error_of(image, source.tensor("output.image")), allowed_error);
}

/// The Q-Former that reads text; the second row is padded.
struct TextQFormer {
  checkpoint::TensorSource source = recorded("instructblip");
  at::Tensor image = source.tensor("output.image");
  at::Tensor text = source.tensor("input.qformer_input_ids").masked_fill(source.tensor("input.qformer_attention_mask").eq(0), -1);
  std::shared_ptr<QFormer> model = load_hf_qformer(encoder_data / "instructblip", /*keep_text=*/true);

  at::Tensor first_change(const std::string& parameter) const {
    const at::NoGradGuard no_grad;
    const at::Tensor before = model->forward(image, text);
    model->named_parameters()[parameter].add_(1);
    return (model->forward(image, text) - before).abs().amax({0, 2});
  }
};

TEST(ParityChecklist, QFormersQueriesAndTextDifferInMlpPictureAndPositions) {
  const at::Tensor by_mlp = TextQFormer().first_change("layer2.text_mlp.down.bias");
  EXPECT_EQ(by_mlp.slice(0, 0, 4).max().item<double>(), 0);
  EXPECT_GT(by_mlp.slice(0, 4).min().item<double>(), 0);
  const TextQFormer qformer;
  for (const int64_t layer : {0, 1, 2})
    EXPECT_EQ(qformer.model->named_parameters().contains("layer" + std::to_string(layer) + ".memory_norm.weight"),
              layer % 2 == 0);
  std::vector<at::Tensor> states, others;
  qformer.model->forward(qformer.image, qformer.text, &states);
  qformer.model->forward(qformer.image + 1, qformer.text, &others);
  EXPECT_TRUE(states[1].slice(1, 4).equal(others[1].slice(1, 4)));  // text does not look at the picture
  EXPECT_FALSE(states[1].slice(1, 0, 4).equal(others[1].slice(1, 0, 4)));
  test::expect_states(states, test::states_of(qformer.source, "output.qformer."));
  const at::NoGradGuard no_grad;
  qformer.model->named_parameters()["position_text"].add_(at::arange(9).unsqueeze(1));
  qformer.model->forward(qformer.image, qformer.text, &(others = {}));
  EXPECT_TRUE(states[0].slice(1, 0, 4).equal(others[0].slice(1, 0, 4)));  // queries have no positions
  EXPECT_FALSE(states[0].slice(1, 4).equal(others[0].slice(1, 4)));
}

TEST(ParityChecklist, QFormersMaskHidesPadding) {
  const TextQFormer qformer;
  const at::Tensor seen = qformer.text.clamp_min(0);
  EXPECT_GT(error_of(qformer.model->forward(qformer.image, seen)[1], qformer.model->forward(qformer.image, qformer.text)[1]),
            1e-3);
}

TEST(ParityChecklist, TimeChatKeepsPlacesOfTheTextAndItsPadding) {
  const TextQFormer qformer;
  EXPECT_TRUE(instructblip_qformer(/*keep_text=*/true).keep_text);
  EXPECT_EQ(qformer.model->forward(qformer.image, qformer.text).sizes(), at::IntArrayRef({2, 4 + 7, 12}));
  EXPECT_EQ(load_hf_qformer(encoder_data / "instructblip")->forward(qformer.image, qformer.text).sizes(),
            at::IntArrayRef({2, 4, 12}));
}

TEST(ParityChecklist, FramePositionsAreStretchedByTheNearest) {
  const at::Tensor longer = nearest_positions(at::arange(32, at::kFloat).unsqueeze(1), 96);
  EXPECT_TRUE(longer.squeeze(1).equal(at::arange(96).div(3, "floor").to(at::kFloat)));
}

TEST(ParityChecklist, ImageBindHasAnExtraKeyOverlappingPatchesAScaledDirectionAndPaddingBeforeItsNormalisation) {
  const test::EncoderReference reference("imagebind-audio");
  const auto model = load_imagebind_audio(reference.folder() / "imagebind_small.pth",
                                          {.width = 12, .layers = 3, .heads = 2, .out = 12, .mel_bands = 38, .frames = 57});
  EXPECT_TRUE(model->named_parameters().contains("block0.attention.extra_key"));
  EXPECT_EQ(ImageBindAudioOptions().rows() * ImageBindAudioOptions().columns(), 12 * 19);
  EXPECT_NEAR(imagebind_spectrogram(at::zeros({1, 198, 4}))[0][0][203].item<double>(), 4.268 / 9.138, 1e-6);
  model->train();  // its public form drops paths then
  const at::Tensor embedding = model->forward(reference["input.spectrogram"]).embedding_nD;
  EXPECT_LT(error_of(embedding, reference["output.embedding"]), allowed_error);
  const at::Tensor lengths = embedding.norm(2, -1);
  EXPECT_LT((lengths - model->named_buffers()["log_scale"].exp().clamp_max(100)).abs().max().item<double>(), 1e-3);
  const at::NoGradGuard no_grad;
  model->named_parameters()["block0.attention.extra_value"].add_(1);
  EXPECT_GT(error_of(model->forward(reference["input.spectrogram"]).embedding_nD, embedding), 1e-3);
}

TEST(ParityChecklist, RotaryPositionsPairTheHalvesOfAHead) {
  for (const int64_t width : {4, 16, 128}) {
    at::Tensor head = at::zeros({1, 1, 1, width}), halves = at::zeros({width});
    head[0][0][0][0] = 1;
    halves[0] = std::cos(2.0f);
    halves[width / 2] = std::sin(2.0f);  // dimension 0 goes with the first of the second half, not with 1
    EXPECT_LT(error_of(nn::apply_rotary(head, nn::rotary_table(4, width, 10000), 2).flatten(), halves), 1e-6) << width;
  }
}

TEST(ParityChecklist, KeysThatAnOldConfigLacksHaveTheirDefaults) {
  const TemporaryFolder place;
  write_file_atomic(place.path() / "config.json",
                    R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                        "num_attention_heads": 4, "vocab_size": 50, "pad_token_id": 0})");
  const auto config = checkpoint::read_hf_decoder_config(place.path());
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_EQ(config.rope_scaling.rope_type, checkpoint::HfRopeType::none);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.max_position_embeddings, 2048);
  EXPECT_FALSE(config.query_key_value_bias || config.output_bias || config.tie_word_embeddings);
}

TEST(ParityChecklist, NamesOfAdaptersHaveThePrefixOfPeftAndTheirNumbersAreFp32Here) {
  const TemporaryFolder place;
  checkpoint::NamedTensors file;
  for (const std::string half : {"A", "B"})
    file["base_model.model.model.layers.0.self_attn.q_proj.lora_" + half + ".weight"] = at::randn({4, 4}).to(at::kHalf);
  checkpoint::write_tensors(place.path() / "adapter_model.safetensors", file);
  Decoder decoder(
      {.width = 4, .layers = 1, .heads = 2, .hidden = 4, .lora = {.rank = 4, .alpha = 4, .dropout = 0, .targets = {"query"}}}, 3);
  checkpoint::load_into(decoder, checkpoint::read_part(place.path() / "adapter_model.safetensors", "decoder"),
                        {.allow_missing = true});
  for (const std::string half : {"A", "B"}) {
    const at::Tensor ours = decoder.named_parameters()["block0.query.lora_" + half];
    EXPECT_EQ(ours.scalar_type(), at::kFloat);
    EXPECT_TRUE(ours.equal(file.at("base_model.model.model.layers.0.self_attn.q_proj.lora_" + half + ".weight").to(at::kFloat)));
  }
  nn::Linear linear(4, 4);
  for (at::Tensor& parameter : linear.parameters()) parameter.requires_grad_(false);
  linear.freeze(nn::FrozenDtype::bf16);
  linear.attach_lora(2, 4);
  EXPECT_EQ(linear.named_parameters()["weight"].scalar_type(), at::kBFloat16);
  EXPECT_EQ(linear.named_parameters()["lora_A"].scalar_type(), at::kFloat);
}

TEST(ParityChecklist, CheckpointsHoldAdamsStateAndInt64BuffersThatAreLeftAside) {
  const auto file = encoder_data / "video-qformer/state.pth";
  const checkpoint::TensorSource whole(file);
  EXPECT_TRUE(whole.contains("optimizer/state/0/exp_avg"));
  EXPECT_EQ(whole.find("model/video_Qformer.bert.embeddings.position_ids").dtype, "I64");
  for (const auto& [name, tensor] : checkpoint::read_part(file, "video_qformer")) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    EXPECT_EQ(name.find("exp_avg"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace microemo::model
