#include "microemo/model/public_weights.h"

#include <ATen/ATen.h>

#include "microemo/base/files.h"
#include "microemo/checkpoint/peft.h"
#include "microemo/model/hf_decoder.h"
#include "public_reference.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

/// A model that only reads, with adapters of rank 2 that are scaled by 4, and the folder of an adapter for it.
class AdapterFolder : public testing::Test {
 protected:
  AdapterFolder() {
    adapter_.config.r = 2;
    adapter_.config.lora_alpha = 8;
    adapter_.config.target_modules = {"q_proj"};
    for (const char* module : {"model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"})
      adapter_.pairs[module] = {at::randn({2, 8}), at::randn({8, 2})};
  }
  static ModelOptions options() {
    ModelOptions options;
    options.visual.enabled = options.audio.enabled = false;
    options.decoder.width = 8, options.decoder.layers = 2, options.decoder.heads = options.decoder.key_value_heads = 2;
    options.decoder.hidden = 12;
    options.decoder.lora = {.rank = 2, .alpha = 8, .dropout = 0, .targets = {"query"}};
    return options;
  }
  std::shared_ptr<MicroEmo> load(const ModelOptions& options = AdapterFolder::options()) const {
    checkpoint::write_adapter(place_.path() / "adapter", adapter_);
    const auto model = std::make_shared<MicroEmo>(options, InputShapes{.vocabulary = 20});
    load_public_weights(*model, place_.path() / "adapter", /*allow_unexpected=*/false);
    return model;
  }
  Error refusal(ErrorKind kind, const std::string& part) const {
    return test::expect_error(
        kind, [&] { load(); }, part);
  }

  const TemporaryFolder place_;
  checkpoint::PeftAdapter adapter_;
};

TEST_F(AdapterFolder, FillsTheAdaptersOfAModelThatScalesAsItDoes) {
  const auto parameters = load()->named_parameters();
  for (const std::string layer : {"0", "1"}) {
    const checkpoint::LoraPair& pair = adapter_.pairs.at("model.layers." + layer + ".self_attn.q_proj");
    EXPECT_TRUE(parameters["decoder.block" + layer + ".query.lora_A"].equal(pair.a));
    EXPECT_TRUE(parameters["decoder.block" + layer + ".query.lora_B"].equal(pair.b));
  }
}

TEST_F(AdapterFolder, ThatScalesOtherwiseIsAnErrorWithBothScales) {
  adapter_.config.lora_alpha = 16;
  const Error error =
      refusal(ErrorKind::config, "'model.layers.0.self_attn.q_proj' is scaled by 8, and the model's adapters by 4");
  EXPECT_EQ(error.place(), "model.decoder.lora.alpha");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("model.decoder.lora.alpha=16"));
  adapter_.config.lora_alpha = 8;
  adapter_.config.use_rslora = true;
  refusal(ErrorKind::config, "is scaled by 5.65685");
  adapter_.config.use_rslora = false;
  adapter_.config.alpha_pattern = {{"layers.1.self_attn.q_proj", 2}};
  refusal(ErrorKind::config, "'model.layers.1.self_attn.q_proj' is scaled by 1");
}

TEST_F(AdapterFolder, OfAnotherRankIsNamedWithBothShapes) {
  adapter_.config.r = 1;
  for (auto& [module, pair] : adapter_.pairs) pair = {pair.a.slice(0, 1), pair.b.slice(1, 1)};
  refusal(ErrorKind::checkpoint, "decoder.block0.query.lora_A: file [1, 8], model [2, 8]");
}

TEST_F(AdapterFolder, ForAModelWithoutAdaptersIsAnError) {
  ModelOptions none = options();
  none.decoder.lora.rank = 0;
  test::expect_error(
      ErrorKind::checkpoint, [&] { load(none); }, "decoder.block0.query.lora_A");
}

/// The folder of tests/reference/hf_decoders.py's LLaMA or another, and a model that is made for it.
class DecoderFolder : public testing::Test {
 protected:
  void take(const std::string& name) {
    folder_ = test::encoder_data / name;
    options_ = {};
    options_.visual.enabled = options_.audio.enabled = false;
    options_.decoder = decoder_options(checkpoint::read_hf_decoder_config(folder_));
  }
  checkpoint::LoadReport load() const {
    MicroEmo model(options_, {});
    return load_public_weights(model, folder_, /*allow_unexpected=*/true);
  }
  /// Loads after a change of the options, which is taken back.
  template <class Change>
  void refused(Change change, const std::string& part, const std::string& hint) {
    const ModelOptions kept = options_;
    change(options_.decoder);
    const Error error = test::expect_error(
        ErrorKind::config, [&] { load(); }, part);
    EXPECT_EQ(error.place(), (folder_ / "config.json").string());
    EXPECT_EQ(error.next_step(), hint);
    options_ = kept;
  }

  std::filesystem::path folder_;
  ModelOptions options_;
};

TEST_F(DecoderFolder, FillsTheDecoderOfAModelThatComputesAsItDoes) {
  for (const std::string name : {"llama", "mistral", "qwen2"}) {
    take(name);
    EXPECT_GT(load().loaded.size(), 20u) << name;
  }
}

TEST_F(DecoderFolder, ThatComputesOtherwiseIsAnErrorThoughItsShapesFit) {
  take("qwen2");
  const DecoderOptions& theirs = options_.decoder;
  refused([](DecoderOptions& o) { o.rope_theta = 5; }, "rope_theta",
          fmt::format("set model.decoder.rope_theta={:.12g}", theirs.rope_theta));
  refused([](DecoderOptions& o) { o.norm_epsilon *= 2; }, "norm_epsilon",
          fmt::format("set model.decoder.norm_epsilon={:.12g}", theirs.norm_epsilon));
  refused([](DecoderOptions& o) { o.tied_output = !o.tied_output; }, "tied_output",
          fmt::format("set model.decoder.tied_output={}", theirs.tied_output));
  refused(
      [](DecoderOptions& o) {
        o.head_width = (o.head_width > 0 ? o.head_width : o.width / o.heads) * 2;
        o.heads /= 2, o.key_value_heads /= 2;
      },
      "heads",
      fmt::format("set model.decoder.heads={} model.decoder.key_value_heads={} model.decoder.head_width={}", theirs.heads,
                  theirs.key_value_heads, theirs.head_width));
}

TEST_F(DecoderFolder, WithPositionsOfAnotherScaleIsAnError) {
  take("llama");
  ASSERT_EQ(options_.decoder.rope_scaling.kind, nn::RotaryScalingKind::llama3);
  const std::string factor = fmt::format("{:.12g}", options_.decoder.rope_scaling.factor);
  refused([](DecoderOptions& o) { o.rope_scaling.kind = nn::RotaryScalingKind::none; },
          "rope_scaling.kind llama3 (the model's: none)", "set model.decoder.rope_scaling.kind=llama3");
  refused([](DecoderOptions& o) { o.rope_scaling.factor += 1; }, "rope_scaling.factor " + factor,
          "set model.decoder.rope_scaling.factor=" + factor);
  refused([](DecoderOptions& o) { o.rope_scaling.low *= 2; }, "rope_scaling.low", "set model.decoder.rope_scaling.low=1");
}

TEST_F(DecoderFolder, RowsBeyondASlidingWindowAreAnError) {
  const TemporaryFolder place;
  std::filesystem::copy(test::encoder_data / "mistral", place.path(), std::filesystem::copy_options::recursive);
  std::string config = read_file(place.path() / "config.json");
  config.replace(config.find("\"sliding_window\": null"), 22, "\"sliding_window\": 48");
  write_file_atomic(place.path() / "config.json", config);
  take(place.path());
  ASSERT_EQ(options_.decoder.max_tokens, 48);
  EXPECT_NO_THROW(load());
  refused([](DecoderOptions& o) { o.max_tokens = 49; }, "max_tokens 48 (the model's: 49)", "set model.decoder.max_tokens=48");
}

}  // namespace
}  // namespace microemo::model
