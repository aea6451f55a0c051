#include "microemo/checkpoint/hf_config.h"

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HfConfigFile : public testing::Test {
 protected:
  void write(const std::string& text) const { write_file_atomic(path_, text); }
  HfDecoderConfig decoder(const std::string& text) const {
    write(text);
    return read_hf_decoder_config(folder_.path());
  }
  Error refusal(const std::string& text, const std::string& part) const {
    write(text);
    return expect_error(
        ErrorKind::checkpoint, [&] { read_hf_config(folder_.path()); }, part);
  }

  TemporaryFolder folder_;
  const fs::path path_ = folder_.path() / "config.json";
};

constexpr const char* old_llama = R"({
  "architectures": ["LlamaForCausalLM"],
  "model_type": "llama",
  "hidden_size": 4096,
  "intermediate_size": 11008,
  "num_hidden_layers": 32,
  "num_attention_heads": 32,
  "vocab_size": 32000,
  "hidden_act": "silu",
  "max_position_embeddings": 2048,
  "rms_norm_eps": 1e-05,
  "bos_token_id": 1,
  "eos_token_id": 2,
  "pad_token_id": 0,
  "tie_word_embeddings": false,
  "torch_dtype": "float16",
  "use_cache": true
})";

std::string changed(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST_F(HfConfigFile, AnOldLlamaHasTheDefaultsOfItsLibrary) {
  const HfDecoderConfig config = decoder(old_llama);
  EXPECT_EQ(config.num_key_value_heads, 32);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.rope_scaling.rope_type, HfRopeType::none);
  EXPECT_FALSE(config.tie_word_embeddings || config.query_key_value_bias || config.output_bias);
  EXPECT_THAT(config.eos_token_id, ElementsAre(2));
  EXPECT_EQ(config.max_tokens(), 2048);
  EXPECT_EQ(config.torch_dtype, "float16");
}

TEST_F(HfConfigFile, AttentionBiasOfLlamaIsOnAllFourProjections) {
  const HfDecoderConfig config = decoder(changed(old_llama, "\"use_cache\": true", "\"attention_bias\": true"));
  EXPECT_TRUE(config.query_key_value_bias && config.output_bias);
}

TEST_F(HfConfigFile, ReadsTheScalingOfLlama31AndSeveralEnds) {
  const HfDecoderConfig config = decoder(
      changed(changed(old_llama, "\"eos_token_id\": 2", "\"eos_token_id\": [128001, 128008, 128009]"), "\"use_cache\": true",
              R"("rope_theta": 500000.0, "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 8192, "rope_type": "llama3"})"));
  EXPECT_EQ(config.rope_scaling.rope_type, HfRopeType::llama3);
  EXPECT_EQ(config.rope_scaling.factor, 8);
  EXPECT_EQ(config.rope_theta, 500000);
  EXPECT_THAT(config.eos_token_id, ElementsAre(128001, 128008, 128009));
}

TEST_F(HfConfigFile, ReadsTheNewestAndTheOldestFormOfScaling) {
  const auto scaled = [](const char* key_and_value) { return changed(old_llama, "\"use_cache\": true", key_and_value); };
  const HfDecoderConfig newest =
      decoder(scaled(R"("rope_parameters": {"rope_theta": 1000000.0, "rope_type": "linear", "factor": 2}, "dtype": "bfloat16")"));
  EXPECT_EQ(newest.rope_theta, 1000000);
  EXPECT_EQ(newest.rope_scaling.factor, 2);
  EXPECT_EQ(newest.torch_dtype, "bfloat16");
  const HfDecoderConfig oldest = decoder(scaled(R"("rope_scaling": {"type": "linear", "factor": 4.0})"));
  EXPECT_EQ(oldest.rope_scaling.rope_type, HfRopeType::linear);
  EXPECT_EQ(oldest.rope_scaling.factor, 4);
}

TEST_F(HfConfigFile, GenerationConfigGoesBeforeConfigForTheEnds) {
  write_file_atomic(folder_.path() / "generation_config.json", R"({"eos_token_id": [7, 8]})");
  EXPECT_THAT(decoder(old_llama).eos_token_id, ElementsAre(7, 8));
}

TEST_F(HfConfigFile, MistralSeesItsWindowOnly) {
  const std::string text = changed(old_llama, "\"llama\"", "\"mistral\"");
  const std::string longer = changed(text, "2048", "32768");
  EXPECT_EQ(decoder(changed(longer, "\"use_cache\": true", "\"sliding_window\": 4096")).max_tokens(), 4096);
  EXPECT_EQ(decoder(changed(longer, "\"use_cache\": true", "\"sliding_window\": null")).max_tokens(), 32768);
  EXPECT_EQ(decoder(text).num_key_value_heads, 8);
}

TEST_F(HfConfigFile, Qwen2HasBiasesOnQueriesKeysAndValues) {
  const HfDecoderConfig config = decoder(changed(changed(old_llama, "\"llama\"", "\"qwen2\""), "\"use_cache\": true",
                                                 "\"sliding_window\": 100, \"use_sliding_window\": false"));
  EXPECT_TRUE(config.query_key_value_bias);
  EXPECT_FALSE(config.output_bias);
  EXPECT_EQ(config.sliding_window, 0);
}

TEST_F(HfConfigFile, ReadsClipWithItsVisionSection) {
  write(R"({"model_type": "clip", "projection_dim": 768, "text_config": {"hidden_size": 768},
            "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
                              "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 512}})");
  const auto vision = std::get<HfClipConfig>(read_hf_config(path_).model).vision;
  EXPECT_EQ(vision.hidden_size, 1024);
  EXPECT_EQ(vision.projection_dim, 768);
  EXPECT_EQ(vision.hidden_act, HfActivation::quick_gelu);
  EXPECT_EQ(vision.layer_norm_eps, 1e-5);
}

TEST_F(HfConfigFile, InstructBlipIsEvaAQFormerAndALlama) {
  write(R"({"model_type": "instructblip", "num_query_tokens": 32, "vision_config": {}, "qformer_config": {"vocab_size": 30523},
            "text_config": {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                            "num_attention_heads": 4, "vocab_size": 100}})");
  const auto config = std::get<HfBlipConfig>(read_hf_config(path_).model);
  EXPECT_EQ(config.vision.num_hidden_layers, 39);
  EXPECT_EQ(config.vision.layer_norm_eps, 1e-6);
  EXPECT_EQ(config.qformer.vocab_size, 30523);
  EXPECT_EQ(config.qformer.layer_norm_eps, 1e-12);
  EXPECT_TRUE(config.qformer_reads_text);
  ASSERT_EQ(config.text.size(), 1u);
  EXPECT_EQ(config.text[0].head_dim, 16);
}

TEST_F(HfConfigFile, Blip2WithAnotherLanguageModelKeepsItsName) {
  write(R"({"model_type": "blip-2", "text_config": {"model_type": "t5"}})");
  const auto config = std::get<HfBlipConfig>(read_hf_config(path_).model);
  EXPECT_EQ(config.text_model_type, "t5");
  EXPECT_TRUE(config.text.empty());
  EXPECT_FALSE(config.qformer_reads_text);
}

TEST_F(HfConfigFile, ReadsHubertAndWhisper) {
  write(R"({"model_type": "hubert", "hidden_size": 1024, "num_attention_heads": 16, "feat_extract_norm": "layer",
            "do_stable_layer_norm": true})");
  const auto hubert = std::get<HfHubertConfig>(read_hf_config(path_).model);
  EXPECT_EQ(hubert.feat_extract_norm, HfConvNorm::layer);
  EXPECT_THAT(hubert.conv_stride, ElementsAre(5, 2, 2, 2, 2, 2, 2));
  write(R"({"model_type": "whisper", "d_model": 1280, "encoder_attention_heads": 20})");
  EXPECT_EQ(std::get<HfWhisperConfig>(read_hf_config(path_).model).d_model, 1280);
}

TEST_F(HfConfigFile, ReadsBertWithItsDefaultsAndRefusesOtherPositions) {
  write(R"({"model_type": "bert", "num_hidden_layers": 6})");
  const auto bert = std::get<HfBertConfig>(read_hf_config(path_).model);
  EXPECT_EQ(bert.num_hidden_layers, 6);
  EXPECT_EQ(bert.layer_norm_eps, 1e-12);
  EXPECT_EQ(bert.type_vocab_size, 2);
  refusal(R"({"model_type": "bert", "position_embedding_type": "relative_key"})", "relative_key");
}

TEST_F(HfConfigFile, AMissingFileIsAnError) {
  expect_error(
      ErrorKind::checkpoint, [&] { read_hf_config(folder_.path()); }, "there is no config.json");
}

TEST_F(HfConfigFile, BrokenJsonIsAnErrorWithItsPlace) {
  const Error error = refusal("{\n  \"model_type\": \"llama\",,\n}", "broken JSON");
  EXPECT_THAT(error.place(), HasSubstr("config.json, line 2"));
}

TEST_F(HfConfigFile, AListIsNoConfig) { refusal("[1]", "the file holds no object"); }

TEST_F(HfConfigFile, AnUnknownTypeNamesTheSupportedOnes) {
  const Error error = refusal(changed(old_llama, "\"llama\"", "\"lama\""), "'lama' is not supported; the nearest is 'llama'");
  EXPECT_THAT(error.place(), HasSubstr("line 3"));
  EXPECT_THAT(error.next_step(),
              HasSubstr("blip-2, clip, clip_vision_model, hubert, instructblip, llama, mistral, qwen2, whisper"));
}

TEST_F(HfConfigFile, AMissingTypeIsAnError) { refusal("{}", "'model_type' is missing"); }

TEST_F(HfConfigFile, AMissingKeyIsNamed) {
  refusal(changed(old_llama, "  \"vocab_size\": 32000,\n", ""), "the key 'vocab_size' is missing");
}

TEST_F(HfConfigFile, AWrongTypeIsAnErrorWithItsLine) {
  const Error error =
      refusal(changed(old_llama, "4096", "\"wide\""), "'hidden_size' is the text \"wide\"; wanted: a whole number");
  EXPECT_THAT(error.place(), HasSubstr("config.json, line 4"));
}

TEST_F(HfConfigFile, AValueOutsideItsLimitsIsAnErrorWithItsLine) {
  EXPECT_THAT(
      refusal(changed(old_llama, "\"num_hidden_layers\": 32", "\"num_hidden_layers\": -1"), "'num_hidden_layers' is -1").place(),
      HasSubstr("line 6"));
}

TEST_F(HfConfigFile, AWrongTypeInASectionIsAnErrorWithItsLine) {
  const Error error =
      refusal("{\"model_type\": \"clip\",\n\"text_config\": {\"hidden_size\": 5},\n\"vision_config\": {\n\"hidden_size\": []}}",
              "'hidden_size' is");
  EXPECT_THAT(error.place(), HasSubstr("line 4"));
}

TEST_F(HfConfigFile, AnotherActivationIsRefused) {
  const Error error =
      refusal(changed(old_llama, "\"silu\"", "\"relu\""), "'hidden_act' is the text \"relu\"; wanted: one of silu");
  EXPECT_THAT(error.place(), HasSubstr("line 9"));
}

TEST_F(HfConfigFile, AnotherScalingOfPositionsIsRefused) {
  refusal(changed(old_llama, "\"use_cache\": true", R"("rope_scaling": {"rope_type": "yarn", "factor": 4.0})"),
          "'rope_type' is the text \"yarn\"; wanted: one of default, linear");
}

TEST_F(HfConfigFile, AScalingWithoutItsFactorIsRefused) {
  refusal(changed(old_llama, "\"use_cache\": true", R"("rope_scaling": {"type": "linear"})"), "the key 'factor' is missing");
}

TEST_F(HfConfigFile, AScalingThatIsNoObjectIsRefused) {
  refusal(changed(old_llama, "\"use_cache\": true", R"("rope_scaling": "linear")"), "'rope_scaling' is no object");
}

TEST_F(HfConfigFile, AScalingOfLlama31WithoutOneOfItsKeysIsRefused) {
  for (const std::string key : {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
    Json scaling = {{"rope_type", "llama3"},
                    {"factor", 8},
                    {"low_freq_factor", 1},
                    {"high_freq_factor", 4},
                    {"original_max_position_embeddings", 64}};
    scaling.erase(key);
    refusal(changed(old_llama, "\"use_cache\": true", "\"rope_scaling\": " + scaling.dump()), "the key '" + key + "' is missing");
  }
}

TEST_F(HfConfigFile, FrequenciesThatDoNotRiseAreRefused) {
  refusal(changed(old_llama, "\"use_cache\": true",
                  R"("rope_scaling": {"factor": 8.0, "low_freq_factor": 4, "high_freq_factor": 4,
         "original_max_position_embeddings": 8192, "rope_type": "llama3"})"),
          "'high_freq_factor' is 4, which is not above low_freq_factor, 4");
}

TEST_F(HfConfigFile, AWrongBaseInsideTheScalingIsRefused) {
  const auto with_base = [](const std::string& base) {
    return changed(old_llama, "\"use_cache\": true",
                   "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": " + base + "}");
  };
  refusal(with_base("\"big\""), "'rope_theta' is the text \"big\"; wanted: a number");
  refusal(with_base("-5"), "'rope_theta' is -5");
}

TEST_F(HfConfigFile, QuantisedWeightsAreRefused) {
  const Error error = refusal(changed(old_llama, "\"use_cache\": true", R"("quantization_config": {"quant_method": "gptq"})"),
                              "the weights are quantised");
  EXPECT_THAT(error.place(), HasSubstr("line 17"));
  decoder(changed(old_llama, "\"use_cache\": true", "\"quantization_config\": null"));
}

TEST_F(HfConfigFile, SizesThatNoModelHasAreRefused) {
  refusal(changed(old_llama, "\"use_cache\": true", "\"head_dim\": 4611686018427387904"), "'head_dim' is 4.6");
  refusal(changed(old_llama, "\"use_cache\": true", "\"num_key_value_heads\": 4611686018427387904"), "'num_key_value_heads' is");
  for (const std::string key : {"hidden_size", "num_hidden_layers", "image_size", "patch_size", "projection_dim"})
    refusal("{\"model_type\": \"clip_vision_model\", \"" + key + "\": 4611686018427387904}", "'" + key + "' is");
  refusal(R"({"model_type": "hubert", "conv_kernel": [4611686018427387904]})", "'conv_kernel'");
  refusal(R"({"model_type": "whisper", "max_source_positions": 9223372036854775807})", "'max_source_positions' is");
  refusal(R"({"model_type": "blip-2", "num_query_tokens": -1})", "'num_query_tokens' is -1");
}

TEST_F(HfConfigFile, PatchesThatDoNotFillThePictureAreRefused) {
  const Error error = refusal("{\"model_type\": \"clip_vision_model\",\n\"image_size\": 225,\n\"patch_size\": 14}",
                              "pictures of 225 x 225 cannot be cut into patches of 14");
  EXPECT_THAT(error.place(), HasSubstr("line 3"));
  refusal(R"({"model_type": "blip-2", "vision_config": {"image_size": 225}})", "pictures of 225 x 225");
}

TEST_F(HfConfigFile, RelativePositionsOfAQFormerAreRefused) {
  refusal(R"({"model_type": "blip-2", "qformer_config": {"position_embedding_type": "relative_key"}})",
          "'position_embedding_type' is the text \"relative_key\"; wanted: one of absolute");
}

TEST_F(HfConfigFile, HubertHasConvolutionsAndGroupsThatDivide) {
  refusal(R"({"model_type": "hubert", "conv_dim": [], "conv_kernel": [], "conv_stride": []})", "'conv_dim' is empty");
  refusal(R"({"model_type": "hubert", "num_conv_pos_embedding_groups": 5})", "a width of 768 cannot have 5 groups");
}

TEST_F(HfConfigFile, BiasesInTheMlpAreRefused) {
  refusal(changed(old_llama, "\"use_cache\": true", "\"mlp_bias\": true"), "'mlp_bias' is true");
}

TEST_F(HfConfigFile, HeadsThatDoNotDivideAreRefused) {
  refusal(changed(old_llama, "\"num_attention_heads\": 32", "\"num_attention_heads\": 33"),
          "a width of 4096 cannot have 33 heads");
  refusal(changed(old_llama, "\"use_cache\": true", "\"num_key_value_heads\": 5"), "32 query heads cannot share 5");
}

TEST_F(HfConfigFile, AnEndThatIsNoNumberIsRefused) {
  EXPECT_THAT(refusal(changed(old_llama, "\"eos_token_id\": 2", "\"eos_token_id\": \"two\""), "'eos_token_id' is").place(),
              HasSubstr("line 13"));
}

TEST_F(HfConfigFile, ConvolutionsOfHubertHaveOneOfEach) {
  refusal(R"({"model_type": "hubert", "conv_dim": [512]})", "have 1, 7 and 7 elements");
}

TEST_F(HfConfigFile, AnEncoderIsNoDecoder) {
  write(R"({"model_type": "whisper"})");
  expect_error(
      ErrorKind::checkpoint, [&] { read_hf_decoder_config(path_); }, "a model of type 'whisper' is no decoder");
}

}  // namespace
}  // namespace microemo::checkpoint
