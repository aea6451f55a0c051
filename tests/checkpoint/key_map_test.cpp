#include "microemo/checkpoint/key_map.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>

#include "checkpoint/public_names.h"
#include "support/errors.h"

namespace microemo::checkpoint {
namespace {

using test::expect_error;
using ::testing::HasSubstr;
using namespace test;

NamedTensors mapped(const KeyPlan& plan, const NamedTensors& tensors) {
  NamedTensors result;
  for (const KeyStep& step : plan.steps) {
    std::vector<at::Tensor> from;
    for (const std::string& name : step.from) from.push_back(name.empty() ? at::Tensor() : tensors.at(name));
    const at::Tensor made = apply_step(step, from);
    if (step.to.empty()) continue;
    EXPECT_TRUE(result.emplace(step.to, made).second) << step.to;
  }
  return result;
}

NamedTensors to_ours(const std::string& family, const NamedTensors& list) {
  return mapped(plan_keys(find_family(family), names_of(list), KeyDirection::to_ours, "x.pth"), list);
}

NamedTensors to_public(const std::string& family, const NamedTensors& list) {
  return mapped(plan_keys(find_family(family), names_of(list), KeyDirection::to_public, "x.safetensors"), list);
}

void expect_same_lists(const NamedTensors& a, const NamedTensors& b) {
  EXPECT_EQ(names_of(a), names_of(b));
  for (const auto& [name, tensor] : a) {
    if (!b.contains(name)) continue;
    EXPECT_EQ(tensor.sizes(), b.at(name).sizes()) << name;
  }
}

/// There and back again: every name that is kept comes back with its shape, and none is made of two.
int64_t expect_bijective(const std::string& family, const NamedTensors& list) {
  const KeyPlan plan = plan_keys(find_family(family), names_of(list), KeyDirection::to_ours, "x.pth");
  NamedTensors kept = list;
  for (const std::string& name : plan.ignored) kept.erase(name);
  const NamedTensors ours = mapped(plan, list);
  expect_same_lists(to_public(family, ours), kept);
  return parameters(ours);
}

/// Today's torch names the two factors of a normalised weight otherwise than the public files do; those are what is written.
NamedTensors with_older_weight_norm(NamedTensors list) {
  const std::string conv = "encoder.pos_conv_embed.conv.";
  for (const auto& [newer, older] :
       {std::pair{"parametrizations.weight.original0", "weight_g"}, std::pair{"parametrizations.weight.original1", "weight_v"}})
    if (list.contains(conv + newer)) list[conv + older] = list.extract(conv + newer).mapped();
  return list;
}

class PublicFile : public testing::TestWithParam<const char*> {};

TEST_P(PublicFile, IsMappedThereAndBack) {
  const PublicModel model = public_model(GetParam());
  EXPECT_EQ(int64_t(model.list.size()), model.tensors);
  EXPECT_EQ(parameters(model.list), model.parameters);
  expect_bijective(model.family, with_older_weight_norm(model.list));
}

TEST_P(PublicFile, IsRecognised) {
  const PublicModel model = public_model(GetParam());
  const KeyFamily* family = detect_family(names_of(model.list));
  ASSERT_NE(family, nullptr);
  expect_same_lists(to_ours(family->name, model.list), to_ours(model.family, model.list));
}

INSTANTIATE_TEST_SUITE_P(OfTransformers, PublicFile,
                         testing::Values("llama-2-7b", "llama-3-8b", "mistral-7b", "qwen2.5-7b", "clip-vit-l-14", "hubert-large",
                                         "whisper-base", "whisper-large-v2", "instructblip-vicuna-7b", "blip2-t5",
                                         "lora-r32-attention", "lora-r32-attention-in-timechat", "lora-r16-all",
                                         "lora-r16-all-in-affectgpt"));

// The numbers below are the parameter counts that the sizes of the public files prove.

TEST(KeyMap, LlamaIsWhole) {
  EXPECT_EQ(expect_bijective("llama", public_model("llama-2-7b").list), 6'738'415'616);
  EXPECT_EQ(public_model("llama-2-7b").list.size(), 291u);
  EXPECT_EQ(expect_bijective("llama", public_model("llama-3-8b").list), 8'030'261'248);
  EXPECT_EQ(expect_bijective("llama", public_model("qwen2.5-7b").list), 7'615'616'512);
}

TEST(KeyMap, OldLlamaShardsKeepNoRotaryTables) {
  NamedTensors list = public_model("llama-2-7b").list;
  for (int i = 0; i < 32; ++i) add(list, "model.layers." + std::to_string(i) + ".self_attn.rotary_emb.inv_freq", {64});
  EXPECT_EQ(expect_bijective("llama", list), 6'738'415'616);
}

TEST(KeyMap, EvaVitGIsWhole) {
  const NamedTensors list = eva_vit_g("", 39);
  EXPECT_EQ(list.size(), 511u);
  EXPECT_EQ(expect_bijective("eva", list), 985'894'528);
}

TEST(KeyMap, TheFortiethBlockAndTheHeadOfEvaAreLeftOut) {
  NamedTensors list = eva_vit_g("", 40);
  add_norm(list, "norm", 1408);
  add_linear(list, "head", 1024, 1408);
  EXPECT_EQ(expect_bijective("eva", list), 985'894'528);
}

TEST(KeyMap, InstructBlipOfLavisIsWhole) {
  EXPECT_EQ(parameters(bert_qformer("Qformer.", {})), 185'660'160);
  EXPECT_EQ(expect_bijective("instructblip-lavis", image_qformer(true, "llm_proj", 4096)), 188'837'376);
}

TEST(KeyMap, Blip2OfLavisIsWhole) {
  EXPECT_EQ(parameters(bert_qformer("Qformer.", {12, 1408, 2, false})), 105'137'664);
  EXPECT_EQ(expect_bijective("blip2-lavis", image_qformer(false, "t5_proj", 4096)), 108'314'880);
}

TEST(KeyMap, VideoLlamaIsWhole) {
  EXPECT_EQ(parameters(bert_qformer("video_Qformer.", {2, 768, 1, false})), 18'905'088);
  EXPECT_EQ(expect_bijective("video-llama", video_branch(32)), 22'104'064);
}

TEST(KeyMap, TheAudioBranchOfVideoLlamaIsWhole) {
  EXPECT_EQ(parameters(bert_qformer("audio_Qformer.", {2, 1024, 1, false})), 19'691'520);
  EXPECT_EQ(expect_bijective("video-llama", audio_branch()), 22'855'680);
}

TEST(KeyMap, BuffersOfVideoLlamaAreLeftOut) {
  NamedTensors list = video_branch(32) + audio_branch();
  for (const char* qformer : {"Qformer.", "video_Qformer.", "audio_Qformer."})
    add(list, std::string(qformer) + "bert.embeddings.position_ids", {1, 512});
  add(list, "audio_encoder.modality_preprocessors.text.mask", {77, 77});
  add(list, "audio_encoder.modality_postprocessors.text.1.log_logit_scale", {});
  add(list, "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq", {64});
  EXPECT_EQ(expect_bijective("video-llama", list), 22'104'064 + 22'855'680);
}

TEST(KeyMap, TimeChatIsWhole) {
  const NamedTensors list = image_qformer(true, "", 0) + video_branch(96) + public_model("lora-r32-attention-in-timechat").list;
  EXPECT_EQ(expect_bijective("timechat", list), 241'392'384);
}

TEST(KeyMap, AdaptersAreWhole) {
  EXPECT_EQ(expect_bijective("peft", public_model("lora-r32-attention").list), 33'554'432);
  EXPECT_EQ(expect_bijective("peft", public_model("lora-r16-all").list), 40'370'176);
}

TEST(KeyMap, AffectGpt2025IsWhole) {
  NamedTensors list = public_model("lora-r16-all-in-affectgpt").list;
  add_linear(list, "image_llama_proj", 3584, 768);
  add_linear(list, "video_attention_mlp", 1, 768);
  add_linear(list, "affectgpt_proj", 3584, 768);
  add_linear(list, "audio_attention_mlp", 1, 1024);
  add_linear(list, "audio_llama_proj", 3584, 1024);
  add_linear(list, "multi_video_embs", 1024, 768);
  add_linear(list, "multi_audio_embs", 1024, 1024);
  add_linear(list, "attention_mlp", 1024, 2048);
  add_linear(list, "fc_att", 2, 1024);
  add_linear(list, "multi_llama_proj", 3584, 1024);
  EXPECT_EQ(expect_bijective("affectgpt-2025", list), parameters(list));
}

TEST(KeyMap, ImageBindKeepsItsAudioSide) {
  NamedTensors list = imagebind_audio();
  EXPECT_EQ(parameters(list), 86'235'648 + 1);  // the count of the parameters, and the buffer log_logit_scale
  for (const char* other : {"modality_preprocessors.vision.cls_token", "modality_trunks.imu.blocks.0.attn.bias_k",
                            "modality_heads.text.proj.0.weight", "modality_postprocessors.depth.1.log_logit_scale"})
    add(list, other, {1, 1, 8});
  EXPECT_EQ(expect_bijective("imagebind-audio", list), 86'235'649);
}

TEST(KeyMap, HubertAndClipAreWhole) {
  EXPECT_EQ(expect_bijective("hubert", with_older_weight_norm(public_model("hubert-large").list)), 315'435'136);
  EXPECT_EQ(expect_bijective("clip", public_model("clip-vit-l-14").list), 303'966'208);
}

TEST(KeyMap, BothNamesOfWeightNormAreRead) {
  const NamedTensors newer = public_model("hubert-large").list;
  expect_same_lists(to_ours("hubert", newer), to_ours("hubert", with_older_weight_norm(newer)));
}

TEST(KeyMap, WeightsUnderAnAdapterAreReadByBothNames) {
  const NamedTensors whole = public_model("lora-r32-attention-and-base-in-timechat").list;
  NamedTensors older;
  for (const auto& [name, tensor] : whole) {
    const size_t wrapper = name.find(".base_layer");
    older[wrapper == std::string::npos ? name : name.substr(0, wrapper) + name.substr(wrapper + 11)] = tensor;
  }
  expect_same_lists(to_ours("timechat", whole), to_ours("timechat", older));
  EXPECT_EQ(parameters(to_ours("timechat", whole)), 6'738'415'616 + 33'554'432);
}

TEST(KeyMap, ShortenedWhisperNamesAreRead) {
  NamedTensors list;
  for (const auto& [name, tensor] : public_model("whisper-base").list)
    if (name.starts_with("model.")) list[name.substr(6)] = tensor;
  expect_same_lists(to_ours("whisper", list), to_ours("whisper", public_model("whisper-base").list));
}

// Values.

NamedTensors small_eva() {
  NamedTensors list;
  for (const auto& [name, tensor] : eva_vit_g("", 1)) {
    std::vector<int64_t> shape = tensor.sizes().vec();
    for (int64_t& length : shape) length = length == 4224 ? 24 : length == 1408 ? 8 : length == 6144 ? 16 : length;
    list[name] = at::rand(shape);
  }
  return list;
}

TEST(KeyMap, SplitsFusedProjectionsRowByRow) {
  const NamedTensors list = small_eva(), ours = to_ours("eva", list);
  const at::Tensor fused = list.at("blocks.0.attn.qkv.weight");
  EXPECT_TRUE(ours.at("visual_encoder.block0.attention.query.weight").equal(fused.slice(0, 0, 8)));
  EXPECT_TRUE(ours.at("visual_encoder.block0.attention.key.weight").equal(fused.slice(0, 8, 16)));
  EXPECT_TRUE(ours.at("visual_encoder.block0.attention.value.weight").equal(fused.slice(0, 16, 24)));
}

TEST(KeyMap, LaysAPatchOutChannelByChannelAsTheViTReadsIt) {
  const NamedTensors list = small_eva();
  const at::Tensor convolution = list.at("patch_embed.proj.weight");
  const at::Tensor linear = to_ours("eva", list).at("visual_encoder.patch_embedding.weight");
  EXPECT_EQ(linear.sizes(), (std::vector<int64_t>{8, 588}));
  EXPECT_EQ(linear[3][1 * 196 + 2 * 14 + 5].item<float>(), convolution[3][1][2][5].item<float>());
}

TEST(KeyMap, ValuesComeBackBitForBit) {
  const NamedTensors list = small_eva(), back = to_public("eva", to_ours("eva", list));
  for (const auto& [name, tensor] : list) EXPECT_TRUE(back.at(name).equal(tensor)) << name;
}

struct BlipBias : testing::Test {
  BlipBias() {
    plan.push_back({"ours.query", {"qkv"}, KeyOp::rows, KeyDirection::to_ours, 0, 3});
    plan.push_back({"", {"qkv"}, KeyOp::rows, KeyDirection::to_ours, 1, 3});
  }
  std::vector<KeyStep> plan;
};

TEST_F(BlipBias, TheZeroBlockIsCheckedAndNotKept) {
  EXPECT_TRUE(apply_step(plan[1], {at::zeros({6})}).eq(0).all().item<bool>());
  expect_error(
      ErrorKind::checkpoint, [&] { apply_step(plan[1], {at::ones({6})}); }, "'qkv' is not zero in rows 2 to 3");
}

TEST_F(BlipBias, TheZeroBlockIsWrittenAgain) {
  const KeyStep step{"qkv", {"query", "", "value"}, KeyOp::rows, KeyDirection::to_public, 0, 3};
  const at::Tensor made = apply_step(step, {at::ones({2}), at::Tensor(), at::ones({2})});
  EXPECT_TRUE(made.equal(at::cat({at::ones({2}), at::zeros({2}), at::ones({2})})));
}

TEST(KeyStep, TransposesInBothDirections) {
  const at::Tensor given = at::rand({2, 3});
  KeyStep step{"a", {"b"}, KeyOp::transpose, KeyDirection::to_ours};
  const at::Tensor ours = apply_step(step, {given});
  EXPECT_TRUE(ours.equal(given.t()));
  step.direction = KeyDirection::to_public;
  EXPECT_TRUE(apply_step(step, {ours}).equal(given));
}

TEST(KeyStep, RefusesShapesThatDoNotAllowIt) {
  const auto refuse = [](KeyOp op, KeyDirection direction, std::vector<int64_t> shape, const std::string& part) {
    expect_error(
        ErrorKind::checkpoint,
        [&] {
          apply_step({"a", {"b"}, op, direction, 0, 3}, {at::zeros(shape)});
        },
        part);
  };
  refuse(KeyOp::rows, KeyDirection::to_ours, {7, 2}, "'b' has the shape [7, 2]; wanted: rows for 3 blocks");
  refuse(KeyOp::transpose, KeyDirection::to_ours, {7}, "wanted: [rows, columns]");
  refuse(KeyOp::first, KeyDirection::to_ours, {2, 3}, "wanted: [1, ...]");
  refuse(KeyOp::first_first, KeyDirection::to_ours, {1, 3}, "wanted: [1, 1, ...]");
  refuse(KeyOp::patches_rgb, KeyDirection::to_ours, {4, 1, 2, 2}, "wanted: [out, 3, p, p]");
  refuse(KeyOp::patches_rgb, KeyDirection::to_public, {4, 13}, "wanted: [out, 3 p p]");
}

TEST(KeyStep, RefusesToStackBlocksOfDifferentShape) {
  const KeyStep step{"qkv", {"q", "k"}, KeyOp::rows, KeyDirection::to_public, 0, 2};
  expect_error(
      ErrorKind::checkpoint,
      [&] {
        apply_step(step, {at::zeros({2, 2}), at::zeros({3, 2})});
      },
      "[2, 2] Float and [3, 2] Float");
}

// Wrong names.

TEST(KeyMap, AnUnknownFamilyNamesTheNearest) {
  const Error error = expect_error(
      ErrorKind::config, [] { find_family("lama"); }, "there is no family of checkpoints 'lama'; did you mean 'llama'?");
  EXPECT_THAT(error.next_step(), HasSubstr("affectgpt-2025"));
}

TEST(KeyMap, ANameWithoutARuleIsAnErrorWithTheNearest) {
  NamedTensors list = public_model("llama-2-7b").list;
  add(list, "model.layers.3.self_attn.q_porj.weight", {1});
  const Error error = expect_error(
      ErrorKind::checkpoint, [&] { to_ours("llama", list); },
      "1 without a rule:\n    model.layers.3.self_attn.q_porj.weight; nearest: 'model.layers.3.self_attn.q_proj.weight'");
  EXPECT_EQ(error.place(), "x.pth");
}

TEST(KeyMap, ALayerThatLacksATensorIsAnErrorWithTheNearest) {
  NamedTensors list = public_model("llama-2-7b").list;
  list["model.layers.7.mlp.down_porj.weight"] = list.extract("model.layers.7.mlp.down_proj.weight").mapped();
  expect_error(
      ErrorKind::checkpoint, [&] { to_ours("llama", list); },
      "1 missing:\n    model.layers.7.mlp.down_proj.weight; nearest: 'model.layers.7.mlp.down_porj.weight'");
}

TEST(KeyMap, AWholeLayerThatIsAbsentIsMissing) {
  NamedTensors list;
  for (const auto& [name, tensor] : public_model("llama-2-7b").list)
    if (!name.starts_with("model.layers.5.")) list[name] = tensor;
  expect_error(
      ErrorKind::checkpoint, [&] { to_ours("llama", list); }, "9 missing:\n    model.layers.5.input_layernorm.weight");
}

TEST(KeyMap, ABiasWithoutItsFellowsIsMissingThem) {
  NamedTensors list = public_model("qwen2.5-7b").list;
  list.erase("model.layers.2.self_attn.k_proj.bias");
  expect_error(
      ErrorKind::checkpoint, [&] { to_ours("llama", list); }, "1 missing:\n    model.layers.2.self_attn.k_proj.bias");
}

TEST(KeyMap, OurSideIsCheckedToo) {
  NamedTensors ours = to_ours("eva", small_eva());
  ours.erase("visual_encoder.block0.attention.key.weight");
  add(ours, "visual_encoder.block0.attention.kye.weight", {8, 8});
  expect_error(
      ErrorKind::checkpoint, [&] { to_public("eva", ours); },
      "1 missing:\n    visual_encoder.block0.attention.key.weight; nearest: 'visual_encoder.block0.attention.kye.weight'");
}

TEST(KeyMap, TwoNamesOfOneTensorAreAnError) {
  NamedTensors list = public_model("hubert-large").list;
  add(list, "encoder.pos_conv_embed.conv.weight_g", {1, 1, 128});
  expect_error(
      ErrorKind::checkpoint, [&] { to_ours("hubert", list); }, "are two names of one tensor");
}

TEST(KeyMap, ALongListIsCutWithItsCount) {
  NamedTensors list;
  for (int i = 0; i < 20; ++i) add(list, "strange" + std::to_string(i), {1});
  expect_error(
      ErrorKind::checkpoint, [&] { to_ours("llama", list); }, "and 12 more");
}

TEST(KeyMap, NumbersAndNamesBeyondAllMeasureAreNamesWithoutARule) {
  NamedTensors list = public_model("llama-2-7b").list;
  add(list, "model.layers.99999999999999999999.mlp.up_proj.weight", {1});
  add(list, "model." + std::string(1'000'000, 'x'), {1});
  expect_error(
      ErrorKind::checkpoint, [&] { to_ours("llama", list); }, "2 without a rule:\n    model.layers.99999999999999999999");
}

TEST(KeyMap, NamesOfNoFamilyAreNotRecognised) {
  EXPECT_EQ(detect_family({"strange.weight"}), nullptr);
  EXPECT_EQ(detect_family({}), nullptr);
}

TEST(KeyMap, TellsOurNamesFromPublicOnes) {
  EXPECT_TRUE(are_our_names({"decoder.tokens.weight", "decoder.block3.query.weight"}));
  EXPECT_FALSE(are_our_names({"model.embed_tokens.weight"}));
  EXPECT_FALSE(are_our_names({}));
}

// Differences.

TEST(Delta, IsAddedInFp32AndKeepsItsType) {
  const at::Tensor base = at::rand({3, 2}).to(at::kHalf), delta = at::rand({3, 2}).to(at::kHalf);
  const at::Tensor sum = apply_delta("w", DeltaRule::same_shape, base, delta);
  EXPECT_EQ(sum.scalar_type(), at::kHalf);
  EXPECT_TRUE(sum.equal((base.to(at::kFloat) + delta.to(at::kFloat)).to(at::kHalf)));
}

TEST(Delta, RowsOfAddedTokensAreTakenAsTheyAre) {
  const at::Tensor base = at::rand({3, 2}), delta = at::rand({4, 2});
  const at::Tensor sum = apply_delta("w", DeltaRule::may_grow, base, delta);
  EXPECT_TRUE(sum.slice(0, 0, 3).equal(base + delta.slice(0, 0, 3)));
  EXPECT_TRUE(sum[3].equal(delta[3]));
}

TEST(Delta, ASingleNumberIsAddedToo) {
  EXPECT_EQ(apply_delta("w", DeltaRule::same_shape, at::ones({}), at::ones({})).item<float>(), 2);
}

TEST(Delta, OtherShapesAreAnErrorWithBoth) {
  const auto refuse = [](DeltaRule rule, std::vector<int64_t> base, std::vector<int64_t> delta, const std::string& part) {
    expect_error(
        ErrorKind::checkpoint, [&] { apply_delta("w", rule, at::zeros(base), at::zeros(delta)); }, part);
  };
  refuse(DeltaRule::same_shape, {3, 2}, {4, 2}, "'w' has the shape [4, 2] in the difference and [3, 2] in the base");
  refuse(DeltaRule::may_grow, {5, 2}, {4, 2}, "[4, 2] in the difference and [5, 2] in the base");
  refuse(DeltaRule::may_grow, {3, 2}, {4, 3}, "[4, 3] in the difference");
}

TEST(OurParts, AreThoseOfATrainedModelOrOfAConvertedFile) {
  const std::vector<std::string> decoder{"decoder"};
  EXPECT_EQ(parts_of_ours({"decoder.tokens.weight", "decoder.block0.anything.weight"}), decoder);
  EXPECT_EQ(parts_of_ours({"decoder.block0.query.lora_A", "decoder.block0.query.lora_B"}), decoder);
}

TEST(OurParts, AreNotGuessed) {
  EXPECT_TRUE(parts_of_ours({}).empty());
  EXPECT_TRUE(parts_of_ours({"decoder.strange.weight"}).empty());
  EXPECT_TRUE(parts_of_ours({"decoder.tokens.weight", "strange.weight"}).empty());
  EXPECT_TRUE(parts_of_ours({"decoder.tokens.weight.step", "decoder.tokens.weight.exp_avg"}).empty());
  EXPECT_TRUE(parts_of_ours({"visual_encoder.blocks.0.attn.qkv.weight"}).empty());
}

}  // namespace
}  // namespace microemo::checkpoint
