// The public models at their real size, without a byte of weights: names and shapes of our modules on the meta device against
// those of the public files.
#include <gtest/gtest.h>

#include "checkpoint/public_names.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/load.h"
#include "microemo/model/hf_qformer.h"
#include "microemo/model/hf_vision.h"
#include "microemo/nn/on_meta.h"

namespace microemo::model {
namespace {

using checkpoint::KeyDirection;
using checkpoint::NamedTensors;
using checkpoint::tensors_of;

using Shapes = std::map<std::string, std::vector<int64_t>>;

template <class Module, class... Options>
NamedTensors tensors_on_meta(const Options&... options) {
  const nn::OnMeta guard;
  return tensors_of(Module(options...));
}

Shapes shapes_of(const NamedTensors& tensors) {
  Shapes shapes;
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor.sizes().vec();
  return shapes;
}

/// What the files' tensors of one part become.
Shapes shapes_in_files(const std::string& family, const NamedTensors& files, const std::string& part) {
  Shapes shapes;
  const auto plan = plan_keys(checkpoint::find_family(family), test::names_of(files), KeyDirection::to_ours, family);
  for (const auto& step : plan.steps)
    if (step.to.starts_with(part + "."))
      shapes[step.to.substr(part.size() + 1)] = apply_step(step, {files.at(step.from.front())}).sizes().vec();
  return shapes;
}

int64_t parameters_of(const NamedTensors& tensors, const std::string& without = "none") {
  int64_t count = 0;
  for (const auto& [name, tensor] : tensors)
    if (!name.starts_with(without)) count += tensor.numel();
  return count;
}

TEST(FullSize, TakesNoMemory) {
  for (const auto& [name, tensor] : tensors_on_meta<Vit>(clip_vit_large())) ASSERT_TRUE(tensor.is_meta()) << name;
  EXPECT_FALSE(at::empty({1}).is_meta());
}

TEST(FullSize, OfClipVitLarge) {
  const NamedTensors ours = tensors_on_meta<Vit>(clip_vit_large());
  EXPECT_EQ(shapes_of(ours), shapes_in_files("clip", test::public_model("clip-vit-l-14").list, "visual_encoder"));
  EXPECT_EQ(parameters_of(ours), 303'966'208);
}

TEST(FullSize, OfEvaVitGiantIs39OfThe40BlocksAndLnVision) {
  const NamedTensors ours = tensors_on_meta<Vit>(eva_vit_giant());
  NamedTensors files = test::eva_vit_g("visual_encoder.", 40);
  test::add_norm(files, "ln_vision", 1408);
  EXPECT_EQ(shapes_of(ours), shapes_in_files("timechat", files, "visual_encoder"));
  EXPECT_EQ(parameters_of(ours, "norm."), 985'894'528);
  EXPECT_EQ(parameters_of(ours), 985'894'528 + 2'816);
}

TEST(FullSize, OfTheImageQFormerWithoutText) {
  const NamedTensors ours = tensors_on_meta<QFormer>(blip2_qformer());
  EXPECT_EQ(shapes_of(ours), shapes_in_files("blip2-lavis", test::image_qformer(false, "t5_proj", 2048), "image_qformer"));
  EXPECT_EQ(parameters_of(ours, "queries"), 105'137'664);
  EXPECT_EQ(parameters_of(ours), 105'137'664 + 24'576);
}

TEST(FullSize, OfTheImageQFormerWithText) {
  const NamedTensors ours = tensors_on_meta<QFormer>(instructblip_qformer());
  EXPECT_EQ(shapes_of(ours), shapes_in_files("instructblip-lavis", test::image_qformer(true, "llm_proj", 4096), "image_qformer"));
  EXPECT_EQ(parameters_of(ours, "queries"), 185'660'160);
  EXPECT_EQ(parameters_of(ours), 185'684'736);
}

TEST(FullSize, OfTheVideoQFormers) {
  const NamedTensors timechat = tensors_on_meta<WindowQFormer>(timechat_qformer());
  EXPECT_EQ(shapes_of(timechat), shapes_in_files("timechat", test::video_branch(96), "video_qformer"));
  EXPECT_EQ(parameters_of(timechat, "position"), 18'905'088 + 24'576);
  EXPECT_EQ(parameters_of(timechat), 18'929'664 + 73'728);
  const NamedTensors video_llama = tensors_on_meta<WindowQFormer>(video_llama_qformer());
  EXPECT_EQ(shapes_of(video_llama), shapes_in_files("video-llama", test::video_branch(32), "video_qformer"));
}

TEST(FullSize, OfTheAudioQFormer) {
  const NamedTensors ours = tensors_on_meta<WindowQFormer>(video_llama_audio_qformer());
  EXPECT_EQ(shapes_of(ours), shapes_in_files("video-llama", test::audio_branch(), "audio_qformer"));
  EXPECT_EQ(parameters_of(ours), 19'691'520 + 8 * 768 + 8 * 1024);
}

TEST(FullSize, OfTransformersFoldersIsTheSame) {
  const auto with_text = test::public_model("instructblip-vicuna-7b"), without = test::public_model("blip2-t5");
  const Shapes vision = shapes_of(tensors_on_meta<Vit>(eva_vit_giant()));
  EXPECT_EQ(vision, shapes_in_files("instructblip", with_text.list, "visual_encoder"));
  EXPECT_EQ(vision, shapes_in_files("blip2", without.list, "visual_encoder"));
  QFormerOptions qformer = instructblip_qformer();
  qformer.vocabulary = 30522;  // names.json lists the default config, whose table has no [DEC]
  EXPECT_EQ(shapes_of(tensors_on_meta<QFormer>(qformer)), shapes_in_files("instructblip", with_text.list, "image_qformer"));
  EXPECT_EQ(shapes_of(tensors_on_meta<QFormer>(blip2_qformer())), shapes_in_files("blip2", without.list, "image_qformer"));
}

}  // namespace
}  // namespace microemo::model
