// The shipped configurations at full size, without a byte of weights: the models that they make against the public files.
#include <algorithm>
#include <array>
#include <set>

#include <gtest/gtest.h>

#include "checkpoint/public_names.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/load.h"
#include "microemo/data/sample.h"
#include "microemo/model/microemo.h"
#include "microemo/nn/on_meta.h"
#include "microemo/train/optimizer.h"
#include "microemo/train/options.h"

namespace microemo::train {
namespace {

using checkpoint::KeyDirection;
using checkpoint::NamedTensors;
using test::operator+;
using Shapes = std::map<std::string, std::vector<int64_t>>;

/// What the files of a configuration make.
struct PublicConfig {
  RunOptions options;
  NamedTensors tensors, trained;
  std::set<std::string> decaying;  ///< of those that are trained

  explicit PublicConfig(const std::vector<std::string>& files, const std::vector<std::string>& overrides = {}) {
    std::vector<std::filesystem::path> paths;
    for (const std::string& file : files) paths.push_back(std::filesystem::path(MICROEMO_SOURCE_DIR) / "configs" / file);
    load_config(options, paths, overrides);
    check_options(options);
    const nn::OnMeta guard;
    model::MicroEmo model(options.model, data::input_shapes(options.prepare, /*vocabulary=*/0));
    tensors = checkpoint::tensors_of(model);
    select_trainable(model, options.train);
    for (const auto& item : model.named_parameters())
      if (item.value().requires_grad()) trained[item.key()] = item.value();
    for (const std::string& name : AdamW(model, options.train).decaying()) decaying.insert(name);
  }

  NamedTensors part(const std::string& prefix) const {
    NamedTensors result;
    for (const auto& [name, tensor] : tensors)
      if (name.starts_with(prefix)) result[name] = tensor;
    return result;
  }
};

Shapes shapes_of(const NamedTensors& tensors) {
  Shapes shapes;
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor.sizes().vec();
  return shapes;
}

/// What a public file of these names becomes.
Shapes shapes_in_file(const std::string& family, const NamedTensors& file) {
  Shapes shapes;
  const auto plan = plan_keys(checkpoint::find_family(family), test::names_of(file), KeyDirection::to_ours, family);
  for (const auto& step : plan.steps) shapes[step.to] = apply_step(step, {file.at(step.from.front())}).sizes().vec();
  return shapes;
}

NamedTensors lora_in_timechat() {
  NamedTensors list;
  for (const auto& [name, tensor] : test::public_model("lora-r32-attention").list) {
    std::string inside = "llama_model." + name;
    inside.insert(inside.rfind(".weight"), ".default");
    list[inside] = tensor;
  }
  return list;
}

TEST(PublicConfigs, TimeChatTrainsWhatItsCheckpointHolds) {
  const PublicConfig timechat({"timechat/train.yaml"});
  NamedTensors file = test::image_qformer(/*text=*/true, "", 0) + test::video_branch(96) + lora_in_timechat();
  EXPECT_EQ(shapes_of(timechat.trained), shapes_in_file("timechat", file));
  EXPECT_EQ(test::parameters(timechat.trained), 241'392'384);
}

/// Our names of what decays in a public file: the rule of LAVIS' runner on the file's own names and shapes.
std::set<std::string> decaying_in_file(const std::string& family, const NamedTensors& file) {
  std::set<std::string> names;
  for (const auto& step : plan_keys(checkpoint::find_family(family), test::names_of(file), KeyDirection::to_ours, family).steps) {
    const std::string& name = step.from.front();
    const bool spared = std::ranges::any_of(std::array{"bias", "ln", "bn"},
                                            [&](const char* word) { return name.find(word) != std::string::npos; });
    if (file.at(name).dim() >= 2 && !spared) names.insert(step.to);
  }
  return names;
}

TEST(PublicConfigs, DecayWhatThePublicRunnerDecaysByItsNames) {
  const PublicConfig timechat({"timechat/train.yaml"}), affectgpt({"affectgpt-2024/train.yaml"});
  const NamedTensors timechat_file = test::image_qformer(/*text=*/true, "", 0) + test::video_branch(96) + lora_in_timechat();
  EXPECT_EQ(timechat.decaying, decaying_in_file("timechat", timechat_file));
  EXPECT_TRUE(timechat.decaying.contains("image_qformer.tokens.weight"));
  EXPECT_EQ(affectgpt.decaying, decaying_in_file("video-llama", test::video_branch(32) + test::audio_branch()));
}

TEST(PublicConfigs, TimeChatIsFrozenElsewhere) {
  const PublicConfig timechat({"timechat/train.yaml"});
  NamedTensors eva = test::eva_vit_g("visual_encoder.", 40);
  test::add_norm(eva, "ln_vision", 1408);
  EXPECT_EQ(shapes_of(timechat.part("visual_encoder.")), shapes_in_file("timechat", eva));
  int64_t decoder = 0;
  for (const auto& [name, tensor] : timechat.part("decoder."))
    if (name.find("lora") == std::string::npos) decoder += tensor.numel();
  EXPECT_EQ(decoder, 6'738'415'616);
}

TEST(PublicConfigs, VideoLlamaTrainsWhatItsVisionFileHolds) {
  const PublicConfig video_llama({"video-llama/train.yaml"});
  EXPECT_EQ(shapes_of(video_llama.trained), shapes_in_file("video-llama", test::video_branch(32)));
  EXPECT_EQ(test::parameters(video_llama.trained), 22'104'064);
}

TEST(PublicConfigs, AffectGpt2024TrainsBothBranches) {
  const PublicConfig affectgpt({"affectgpt-2024/train.yaml"});
  EXPECT_EQ(shapes_of(affectgpt.trained), shapes_in_file("video-llama", test::video_branch(32) + test::audio_branch()));
  EXPECT_EQ(test::parameters(affectgpt.trained), 22'104'064 + 22'855'680);
  EXPECT_EQ(shapes_of(affectgpt.part("audio_encoder.")), shapes_in_file("imagebind-audio", test::imagebind_audio()));
}

TEST(PublicConfigs, AffectGpt2025TrainsLoraPoolsAndProjections) {
  const PublicConfig affectgpt({"affectgpt-2025/train.yaml"});
  NamedTensors file = test::public_model("lora-r16-all-in-affectgpt").list;
  test::add_linear(file, "video_attention_mlp", 1, 768);
  test::add_linear(file, "affectgpt_proj", 3584, 768);
  test::add_linear(file, "audio_attention_mlp", 1, 1024);
  test::add_linear(file, "audio_llama_proj", 3584, 1024);
  test::add_linear(file, "multi_video_embs", 1024, 768);
  test::add_linear(file, "multi_audio_embs", 1024, 1024);
  test::add_linear(file, "attention_mlp", 1024, 2048);
  test::add_linear(file, "fc_att", 2, 1024);
  test::add_linear(file, "multi_llama_proj", 3584, 1024);
  EXPECT_EQ(shapes_of(affectgpt.trained), shapes_in_file("affectgpt-2025", file));
  int64_t lora = 0, decoder = 0;
  for (const auto& [name, tensor] : affectgpt.part("decoder."))
    (name.find("lora") == std::string::npos ? decoder : lora) += tensor.numel();
  EXPECT_EQ(lora, 40'370'176);
  EXPECT_EQ(decoder, 7'615'616'512);
  EXPECT_EQ(shapes_of(affectgpt.part("visual_encoder.")), shapes_in_file("clip", test::public_model("clip-vit-l-14").list));
  EXPECT_EQ(test::parameters(affectgpt.part("audio_encoder.")), 315'435'136);
}

TEST(PublicConfigs, EmotionLlamaTrainsLoraAndProjections) {
  const PublicConfig emotion_llama({"emotion-llama/train.yaml"});
  NamedTensors file;
  for (int64_t i = 0; i < 32; ++i)
    for (const char* projection : {"q_proj", "v_proj"}) {
      const std::string name = fmt::format("llama_model.base_model.model.model.layers.{}.self_attn.{}.lora_", i, projection);
      file[name + "A.default.weight"] = at::empty({64, 4096});
      file[name + "B.default.weight"] = at::empty({4096, 64});
    }
  EXPECT_EQ(test::parameters(file), 33'554'432);
  test::add_linear(file, "llama_proj", 4096, 4 * 1408);
  test::add_linear(file, "cls_tk_llama_proj", 4096, 1408);
  for (const char* name : {"feats_llama_proj1", "feats_llama_proj2", "feats_llama_proj3"})
    test::add_linear(file, name, 4096, 1024);
  EXPECT_EQ(shapes_of(emotion_llama.trained), shapes_in_file("emotion-llama", file));
  EXPECT_EQ(emotion_llama.part("visual_encoder.").at("visual_encoder.position").sizes(), at::IntArrayRef({32 * 32 + 1, 1408}));
}

TEST(PublicConfigs, MicroEmo7BTakesItsPartsFromTimeChatAndVideoLlama) {
  const PublicConfig microemo({"microemo-7b/train.yaml", "microemo-7b/instruct.yaml"});
  NamedTensors file = test::image_qformer(/*text=*/true, "", 0) + test::video_branch(96) + lora_in_timechat();
  const NamedTensors audio = test::audio_branch();
  Shapes public_parts = shapes_in_file("timechat", file);
  public_parts.merge(shapes_in_file("video-llama", audio));
  const Shapes ours = shapes_of(microemo.trained);
  for (const auto& [name, shape] : public_parts) {
    ASSERT_TRUE(ours.contains(name)) << name;
    EXPECT_EQ(ours.at(name), shape) << name;
  }
  for (const auto& [name, shape] : ours)
    EXPECT_TRUE(public_parts.contains(name) || name.starts_with("local_branch.") || name.starts_with("global_local.") ||
                name.ends_with("qformer.embedding_nothing") || name == "video_qformer.queries_utterance")
        << name;
}

TEST(PublicConfigs, BothReadingsOfTheTwoStagesTrainTheSameInTheEnd) {
  const PublicConfig instruct({"microemo-7b/train.yaml", "microemo-7b/instruct.yaml"});
  const PublicConfig fine({"microemo-7b/train.yaml", "microemo-7b/coarse.yaml", "microemo-7b/fine.yaml"},
                          {"train.init_from=[coarse]"});
  EXPECT_EQ(shapes_of(instruct.trained), shapes_of(fine.trained));
  const PublicConfig align({"microemo-7b/train.yaml", "microemo-7b/align.yaml"});
  for (const auto& [name, tensor] : align.trained) EXPECT_FALSE(name.starts_with("decoder.")) << name;
}

TEST(PublicConfigs, AcoustEmoReadsTheWholeSoundWithLayersOfItsOwn) {
  const PublicConfig acoustemo({"microemo-7b/train.yaml", "microemo-7b/acoustemo.yaml"});
  EXPECT_TRUE(acoustemo.part("local_branch.").empty());
  EXPECT_EQ(acoustemo.part("audio_qformer.whole_layer").size(), acoustemo.part("audio_qformer.layer").size());
  EXPECT_EQ(acoustemo.tensors.at("audio_qformer.queries_utterance").sizes(), at::IntArrayRef({32, 768}));
}

int64_t parameters_without_lora(const NamedTensors& decoder) {
  int64_t count = 0;
  for (const auto& [name, tensor] : decoder)
    if (name.find("lora") == std::string::npos) count += tensor.numel();
  return count;
}

TEST(PublicConfigs, OfTheFamilyFreezeWhatIsPublic) {
  const PublicConfig medium({"microemo-medium/train.yaml"}), large({"microemo-large/train.yaml"});
  EXPECT_EQ(parameters_without_lora(medium.part("decoder.")), 494'032'768);   // Qwen2.5-0.5B
  EXPECT_EQ(parameters_without_lora(large.part("decoder.")), 1'543'714'304);  // Qwen2.5-1.5B
  EXPECT_EQ(test::parameters(medium.part("visual_encoder.")), 303'966'208);
  for (const PublicConfig* config : {&medium, &large}) {
    int64_t adapters = 0;
    for (const auto& [name, tensor] : config->trained) {
      EXPECT_FALSE(name.starts_with("visual_encoder.") || name.starts_with("audio_encoder.")) << name;
      const bool is_adapter = name.find("lora") != std::string::npos;
      EXPECT_TRUE(!name.starts_with("decoder.") || is_adapter) << name;
      adapters += is_adapter;
    }
    EXPECT_EQ(adapters, 2 * 7 * config->options.model.decoder.layers);
  }
}

TEST(PublicConfigs, OfTheSmallFamilyIsTrainedWhole) {
  const PublicConfig small({"microemo-small/train.yaml"}, {"model.decoder.vocabulary=4096"});
  EXPECT_EQ(small.trained.size(), small.tensors.size());
  EXPECT_NEAR(double(test::parameters(small.tensors)), 13.0e6, 0.1e6);
}

}  // namespace
}  // namespace microemo::train
