#include "microemo/model/hf_decoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/tensor_source.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using ::testing::HasSubstr;

const fs::path data = fs::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";

/// Folders and outputs of tests/reference/hf_decoders.py.
class HfDecoder : public testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return data / GetParam(); }
  at::Tensor reference(const std::string& name) const {
    return checkpoint::TensorSource(data / (std::string(GetParam()) + ".reference.safetensors")).tensor(name);
  }
};

TEST_P(HfDecoder, EqualsTransformersInEveryHiddenStateAndTheLogits) {
  const at::NoGradGuard no_grad;
  const auto decoder = load_hf_decoder(folder());
  std::vector<at::Tensor> states;
  states.push_back(decoder->forward(decoder->embed(reference("input.input_ids")), nullptr, &states));
  ASSERT_EQ(states.size(), 3u);
  for (size_t i = 0; i < states.size(); ++i)
    EXPECT_LT(difference(states[i], reference("output.hidden_states." + std::to_string(i))), 1e-5) << i;
  EXPECT_LT(difference(decoder->logits(states.back()), reference("output.logits")), 1e-5);
}

TEST_P(HfDecoder, ComputesTheSameWithWeightsThatStayInTheFile) {
  const at::NoGradGuard no_grad;
  const auto copied = load_hf_decoder(folder()), mapped = load_hf_decoder(folder(), {.weights = WeightType::as_stored});
  const at::Tensor ids = reference("input.input_ids");
  EXPECT_TRUE(mapped->forward(mapped->embed(ids)).equal(copied->forward(copied->embed(ids))));
  for (const auto& item : mapped->named_parameters()) {
    EXPECT_TRUE(checkpoint::is_mapped(item.value())) << item.key();
    EXPECT_FALSE(item.value().requires_grad()) << item.key();
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, HfDecoder, testing::Values("llama", "mistral", "qwen2"));

class HfDecoderFolder : public testing::Test {
 protected:
  void copy(const std::string& name) const { fs::copy(data / name, folder_, fs::copy_options::recursive); }
  void change(const std::string& key, const Json& value) const {
    Json config = read_json(folder_ / "config.json");
    config[key] = value;
    write_json(folder_ / "config.json", config);
  }
  Error refusal(const std::string& part) const {
    return expect_error(
        ErrorKind::checkpoint, [&] { load_hf_decoder(folder_); }, part);
  }

  TemporaryFolder place_;
  const fs::path folder_ = place_.path() / "model";
};

TEST_F(HfDecoderFolder, PositionsAreMadeForTheRowsThatAreAskedFor) {
  const auto config = checkpoint::read_hf_decoder_config(data / "llama");
  EXPECT_EQ(decoder_options(config).max_tokens, 128);
  EXPECT_EQ(decoder_options(config, 40).max_tokens, 40);
  EXPECT_EQ(decoder_options(config, 4000).max_tokens, 128);
}

TEST_F(HfDecoderFolder, AWrongShapeIsAnErrorWithBothShapes) {
  copy("qwen2");
  change("intermediate_size", 64);
  refusal("block0.down.weight: file [32, 48], model [32, 64]");
}

TEST_F(HfDecoderFolder, ALayerThatTheConfigCountsIsMissing) {
  copy("qwen2");
  change("num_hidden_layers", 3);
  refusal("12 missing:\n    block2.attention_norm.weight");
}

TEST_F(HfDecoderFolder, AnOutputThatIsNotTiedIsMissing) {
  copy("qwen2");
  change("tie_word_embeddings", false);
  refusal("1 missing:\n    output.weight");
}

TEST_F(HfDecoderFolder, BiasesThatTheConfigDoesNotKnowAreUnexpected) {
  copy("qwen2");
  change("model_type", "mistral");
  refusal("6 unexpected:\n    block0.key.bias");
}

TEST_F(HfDecoderFolder, AConfigOfAFarLargerModelIsAnErrorBeforeAnythingIsAllocated) {
  copy("qwen2");
  change("vocab_size", 100'000'000);
  change("hidden_size", 1'000'000);
  refusal("config.json asks for 1.06e+14 parameters, and the files hold 1.87e+04");
}

TEST_F(HfDecoderFolder, AnEncoderIsNoDecoder) {
  copy("qwen2");
  change("model_type", "whisper");
  refusal("a model of type 'whisper' is no decoder");
}

TEST_F(HfDecoderFolder, AFolderWithoutWeightsIsAnError) {
  copy("qwen2");
  fs::remove(folder_ / "model.safetensors");
  EXPECT_THAT(refusal("").place(), HasSubstr(folder_.string()));
}

}  // namespace
}  // namespace microemo::model
