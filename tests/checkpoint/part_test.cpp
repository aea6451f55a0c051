#include "microemo/checkpoint/part.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "microemo/checkpoint/tensor_writer.h"
#include "support.h"

namespace microemo::checkpoint {
namespace {

using test::expect_error;

class Part : public testing::Test {
 protected:
  std::filesystem::path file(const NamedTensors& tensors) const {
    write_tensors(place_.path() / "x.safetensors", tensors);
    return place_.path() / "x.safetensors";
  }
  TemporaryFolder place_;
};

TEST_F(Part, OfAPublicFileHasOurNamesWithoutThePart) {
  const auto path =
      file({{"query_tokens", at::ones({1, 4, 3})}, {"t5_proj.weight", at::ones({2, 3})}, {"t5_proj.bias", at::ones({2})}});
  const NamedTensors queries = read_part(path, "image_qformer", "blip2-lavis");
  ASSERT_EQ(queries.size(), 1u);
  EXPECT_EQ(queries.at("queries").sizes(), at::IntArrayRef({4, 3}));
}

TEST_F(Part, OfAFileWithOurNamesIsTheSame) {
  const auto path = file({{"image_projection.weight", at::ones({2, 3})}, {"image_projection.bias", at::ones({2})}});
  EXPECT_EQ(read_part(path, "image_projection", "blip2-lavis").size(), 2u);
}

TEST_F(Part, OfAFileWhoseFamilyIsNotNamedIsRecognised) {
  const auto path =
      file({{"query_tokens", at::ones({1, 4, 3})}, {"t5_proj.weight", at::ones({2, 3})}, {"t5_proj.bias", at::ones({2})}});
  EXPECT_EQ(read_part(path, "image_projection").size(), 2u);
}

TEST_F(Part, OfATrainingStateIsThatOfItsModel) {
  const auto state = place_.path() / "state.pth";
  write_pth(
      state, {{"query_tokens", at::kFloat, {1, 4, 3}}},
      [](const TensorPlan&) {
        return at::ones({1, 4, 3});
      },
      "model");
  EXPECT_EQ(read_part(state, "image_qformer").at("queries").sizes(), at::IntArrayRef({4, 3}));
}

TEST_F(Part, OfAFileThatNoFamilyKnowsIsAnError) {
  const auto state = file({{"x", at::ones({2})}});
  expect_error(
      ErrorKind::checkpoint, [&] { read_part(state, "decoder"); }, "of no family of checkpoints that is known");
}

TEST_F(Part, ThatTheFileLacksIsAnError) {
  const auto path = file({{"image_projection.weight", at::ones({2, 3})}, {"image_projection.bias", at::ones({2})}});
  expect_error(
      ErrorKind::checkpoint, [&] { read_part(path, "image_qformer", "blip2-lavis"); }, "holds nothing of 'image_qformer'");
}

TEST_F(Part, OfAFileOfAnotherFamilyIsAnError) {
  const auto path = file({{"proj_out.weight", at::ones({2, 3})}});
  expect_error(
      ErrorKind::checkpoint, [&] { read_part(path, "decoder", "llama"); }, "the names are not those of 'llama'");
}

TEST_F(Part, BlocksThatMustBeZeroAreCheckedAndNotKept) {
  NamedTensors tensors;
  for (const char* name : {"layer_norm1.weight", "layer_norm1.bias", "layer_norm2.weight", "layer_norm2.bias", "mlp.fc1.weight",
                           "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias", "self_attn.projection.weight",
                           "self_attn.projection.bias", "self_attn.qkv.weight", "self_attn.qkv.bias"})
    tensors.emplace(std::string("vision_model.encoder.layers.0.") + name, at::zeros({6, 2}));
  tensors.emplace("vision_model.embeddings.class_embedding", at::zeros({1, 1, 2}));
  tensors.emplace("vision_model.embeddings.position_embedding", at::zeros({1, 3, 2}));
  tensors.emplace("vision_model.embeddings.patch_embedding.weight", at::zeros({2, 3, 2, 2}));
  for (const char* name : {"embeddings.patch_embedding.bias", "post_layernorm.weight", "post_layernorm.bias"})
    tensors.emplace(std::string("vision_model.") + name, at::zeros({2}));
  EXPECT_FALSE(read_part(file(tensors), "visual_encoder", "blip2").contains(""));
  tensors["vision_model.encoder.layers.0.self_attn.qkv.bias"].fill_(1);
  expect_error(
      ErrorKind::checkpoint, [&] { read_part(file(tensors), "visual_encoder", "blip2"); }, "is not zero in rows");
}

TEST_F(Part, AConfigThatAsksForFarMoreThanTheFilesHoldIsAnError) {
  const NamedTensors held{{"x", at::zeros({10})}};
  EXPECT_NO_THROW(require_size(1e6, held, "folder"));
  expect_error(
      ErrorKind::checkpoint, [&] { require_size(2e6, held, "folder"); }, "asks for 2e+06 parameters, and the files hold 10");
}

}  // namespace
}  // namespace microemo::checkpoint
