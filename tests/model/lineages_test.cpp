// Whole models of the public lineages, loaded from files as their public code keeps them (tests/reference/lineages.py).
#include "microemo/base/files.h"
#include "microemo/model/microemo.h"
#include "microemo/model/pictures.h"
#include "microemo/model/public_weights.h"
#include "microemo/model/vit.h"
#include "microemo/nn/init.h"
#include "microemo/nn/loss.h"
#include "public_reference.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

using test::allowed_error;
using test::error_of;
using test::expect_error;

namespace fs = std::filesystem;

const fs::path lineages = test::encoder_data / "lineages";

ModelOptions common_options() {
  ModelOptions o;
  o.visual = {.style = VisualStyle::eva, .width = 16, .patch = 4, .layers = 2, .heads = 2, .hidden = 28};
  o.image_qformer.style = o.video_qformer.style = o.audio.qformer_style = QFormerStyle::bert;
  o.image_qformer.width = o.video_qformer.width = o.audio.qformer_width = 12;
  o.image_qformer.hidden = o.video_qformer.hidden = o.audio.qformer_hidden = 20;
  o.image_qformer.heads = o.video_qformer.heads = o.audio.qformer_heads = 2;
  o.image_qformer.queries = o.video_qformer.queries = 4;
  o.image_qformer.layers = 3;
  o.image_qformer.look_every = 2;
  o.video_qformer.positions = 6;
  o.video_qformer.nothing_token = o.audio.nothing_token = false;
  o.local.enabled = false;
  o.decoder.width = 16;
  o.decoder.layers = 2;
  o.decoder.heads = o.decoder.key_value_heads = 2;
  o.decoder.hidden = 24;
  o.decoder.norm_epsilon = 1e-6;
  o.decoder.vocabulary = 40;
  o.decoder.tied_output = o.decoder.utterance_embedding = false;
  return o;
}

ModelOptions timechat_options() {
  ModelOptions o = common_options();
  o.image_qformer.vocabulary = 30;
  o.image_qformer.keep_text = true;
  o.video_qformer.window = {.windows = Windows::sliding, .whole = false, .window_length = 3, .stride = 3};
  o.audio.enabled = false;
  o.decoder.lora = {.rank = 4, .alpha = 4, .targets = {"query", "key", "value", "output"}};
  return o;
}

ModelOptions affectgpt_2024_options() {
  ModelOptions o = common_options();
  o.image_qformer.timestamp_text = false;
  o.video_qformer.window.windows = o.audio.window.windows = Windows::none;
  o.audio.style = AudioStyle::imagebind;
  o.audio.width = 12;
  o.audio.layers = o.audio.heads = o.audio.qformer_layers = 2;
  o.audio.projection = 10;
  o.audio.queries = 2;
  o.audio.positions = 3;
  return o;
}

ModelOptions affectgpt_2025_options() {
  ModelOptions o = common_options();
  o.visual.style = VisualStyle::clip;
  o.visual.projection = 10;
  o.video_qformer.pooling = VideoPooling::attention;
  o.audio.pooling = Pooling::attention;
  o.audio.style = AudioStyle::hubert;
  o.audio.width = 16;
  o.audio.layers = 4;
  o.audio.heads = 2;
  o.audio.hidden = 24;
  o.audio.wave_channels = 6;
  o.audio.joint_normalisation = true;
  o.fusion = {.enabled = true, .width = 12};
  o.decoder.heads = 4;
  o.decoder.key_value_heads = 2;
  o.decoder.query_key_value_bias = true;
  o.decoder.lora = {.rank = 4, .alpha = 4, .targets = {"query", "key", "value", "output", "gate", "up", "down"}};
  return o;
}

ModelOptions emotion_llama_options() {
  ModelOptions o = common_options();
  o.video_qformer.pooling = VideoPooling::patches;
  o.video_qformer.queries = o.video_qformer.merge = 3;
  o.audio.enabled = false;
  o.features = {.names = {"face", "video", "voice"}, .widths = {6, 7, 5}, .class_token = true};
  o.decoder.lora = {.rank = 4, .alpha = 4, .targets = {"query", "value"}};
  return o;
}

class Lineage : public testing::Test {
 protected:
  /// The files in the order in which they are loaded.
  void load(const std::string& name, const ModelOptions& options, const std::vector<std::string>& files) {
    folder_ = lineages / name;
    recorded_ = std::make_unique<checkpoint::TensorSource>(folder_ / "reference.safetensors");
    model_ = std::make_unique<MicroEmo>(options, InputShapes{.frame_width = 12, .frame_height = 12, .mel_bands = 38});
    std::set<std::string> loaded;
    for (const std::string& file : files) {
      const auto report = load_public_weights(*model_, folder_ / file, /*allow_unexpected=*/true);
      loaded.insert(report.loaded.begin(), report.loaded.end());
    }
    EXPECT_TRUE(nn::initialise(*model_, 0, loaded).empty()) << "some parameter is in no file";
    add_pictures(media_layout(options));
    add_sound(media_layout(options));
  }
  at::Tensor recorded(const std::string& name) const { return recorded_->tensor(name).clone(); }

  void expect_what_the_public_code_computes() {
    const at::Tensor media_nD = model_->media_tokens(batch_);
    EXPECT_LT(error_of(media_nD, recorded("output.media")), allowed_error);
    const at::Tensor hidden_RLD = model_->decoder().forward(model_->splice(batch_, media_nD));
    EXPECT_LT(error_of(model_->decoder().logits(hidden_RLD), recorded("output.logits")), allowed_error);
    EXPECT_NEAR(loss().item<double>(), recorded("output.loss").item<double>(), 1e-5);
  }
  void expect_gradients_of_the_public_code() {
    const checkpoint::NamedTensors expected = checkpoint::read_all_parts(folder_ / "gradients.safetensors");
    for (auto& item : model_->named_parameters()) item.value().requires_grad_(expected.contains(item.key()));
    loss().backward();
    for (const auto& [name, wanted] : expected) {
      const at::Tensor* parameter = model_->named_parameters().find(name);
      ASSERT_TRUE(parameter && parameter->grad().defined()) << name;
      at::Tensor actual = parameter->grad();
      // A stretched table: each row of the file is several here.
      if (actual.sizes() != wanted.sizes()) actual = actual.view({wanted.size(0), -1, wanted.size(1)}).sum(1);
      EXPECT_LT((actual - wanted).abs().max().item<double>(), 1e-4 * std::max(wanted.abs().max().item<double>(), 0.1)) << name;
    }
    EXPECT_GT(expected.size(), 15u);
  }

  std::unique_ptr<MicroEmo> model_;
  ClipBatch batch_;
  fs::path folder_;

 private:
  at::Tensor loss() const {
    const LossTerm answer = model_->forward(batch_).terms.at(0);
    return answer.sum / answer.count;
  }
  void add_pictures(const MediaLayout& layout) {
    batch_.ids_RL = recorded("input.ids");
    batch_.media_RL = recorded("input.media");
    batch_.labels_RL = recorded("input.labels");
    batch_.utterance_RL = at::zeros_like(batch_.ids_RL);
    batch_.lengths_R = at::full({batch_.ids_RL.size(0)}, batch_.ids_RL.size(1), at::kLong);
    batch_.frames_BTCHW = recorded("input.frames");
    const int64_t clips = batch_.frames_BTCHW.size(0), frames = batch_.frames_BTCHW.size(1);
    batch_.frame_times_BT = at::arange(frames, at::kFloat).expand({clips, -1});
    batch_.frame_mask_BT = at::ones({clips, frames}, at::kBool);
    for (size_t i = 0; recorded_->contains("input.feature" + std::to_string(i)); ++i)
      batch_.features_BC.push_back(recorded("input.feature" + std::to_string(i)));
    if (recorded_->contains("input.text")) batch_.time_text_BTL = recorded("input.text");
    batch_.clips = {at::tensor({0.0f, 1e6f}).expand({clips, 1, 2}), at::ones({clips, 1}, at::kBool)};
    batch_.video_windows = windows_of(layout.video, batch_.clips, batch_.frame_times_BT, batch_.frame_mask_BT);
  }
  void add_sound(const MediaLayout& layout) {
    if (!recorded_->contains("input.pieces")) return;
    batch_.pieces_BK = recorded("input.pieces");
    batch_.piece_mask_BK = at::ones({batch_.pieces_BK.size(0), batch_.pieces_BK.size(1)}, at::kBool);
    batch_.piece_times_BK = at::arange(batch_.pieces_BK.size(1), at::kFloat).expand({batch_.pieces_BK.size(0), -1});
    batch_.piece_s = 2;
    batch_.audio_windows = windows_of(layout.audio, batch_.clips, batch_.piece_times_BK, batch_.piece_mask_BK);
  }

  std::unique_ptr<checkpoint::TensorSource> recorded_;
};

struct TimeChat : Lineage {
  TimeChat() { load("timechat", timechat_options(), {"eva.safetensors", "llama", "instructblip.pth", "state.pth"}); }
};
struct AffectGpt2024 : Lineage {
  AffectGpt2024() {
    load("affectgpt-2024", affectgpt_2024_options(),
         {"eva.safetensors", "blip2.safetensors", "imagebind.safetensors", "llama", "state.pth"});
  }
};
struct AffectGpt2025 : Lineage {
  AffectGpt2025() { load("affectgpt-2025", affectgpt_2025_options(), {"clip", "hubert", "qwen2", "state.pth"}); }
};

struct EmotionLlama : Lineage {
  EmotionLlama() { load("emotion-llama", emotion_llama_options(), {"eva.safetensors", "llama", "state.pth"}); }
};

TEST_F(TimeChat, AnswersAsItsPublicWiringDoes) { expect_what_the_public_code_computes(); }
TEST_F(TimeChat, HasTheGradientsOfItsPublicWiring) { expect_gradients_of_the_public_code(); }
TEST_F(AffectGpt2024, AnswersAsItsPublicWiringDoes) { expect_what_the_public_code_computes(); }
TEST_F(AffectGpt2024, HasTheGradientsOfItsPublicWiring) { expect_gradients_of_the_public_code(); }
TEST_F(AffectGpt2025, AnswersAsItsPublicWiringDoes) { expect_what_the_public_code_computes(); }
TEST_F(AffectGpt2025, HasTheGradientsOfItsPublicWiring) { expect_gradients_of_the_public_code(); }

TEST_F(EmotionLlama, AnswersAsItsPublicWiringDoes) { expect_what_the_public_code_computes(); }
TEST_F(EmotionLlama, HasTheGradientsOfItsPublicWiring) { expect_gradients_of_the_public_code(); }

/// What the frames' ViT gives, in the batch in place of the frames.
void encode_frames(const MicroEmo& model, ClipBatch& batch) {
  const at::NoGradGuard no_grad;
  const ModelOptions& o = model.options();
  const at::Tensor pictures = normalised_pictures(o.visual.style, batch.frames_BTCHW.flatten(0, 1));
  const at::Tensor encoded = o.visual.style == VisualStyle::clip ? model.visual_encoder()->features(pictures).unsqueeze(1)
                                                                 : model.visual_encoder()->forward(pictures);
  batch.encoded_BTSC = encoded.view({batch.frames_BTCHW.size(0), batch.frames_BTCHW.size(1), encoded.size(1), encoded.size(2)});
  batch.frames_BTCHW = at::Tensor();
}

void expect_the_same_from_encoded_frames(MicroEmo& model, ClipBatch batch) {
  for (const at::Tensor& parameter : model.visual_encoder()->parameters()) parameter.set_requires_grad(false);
  const at::Tensor from_pictures_nD = model.media_tokens(batch);
  encode_frames(model, batch);
  EXPECT_TRUE(model.media_tokens(batch).equal(from_pictures_nD));
  batch.encoded_BTSC = batch.encoded_BTSC + 1;
  EXPECT_GT(error_of(model.media_tokens(batch), from_pictures_nD), 1e-3) << "they are not what is read";
}

TEST_F(TimeChat, ReadsFramesThatWereEncodedBefore) { expect_the_same_from_encoded_frames(*model_, batch_); }
TEST_F(AffectGpt2025, ReadsFramesThatWereEncodedBefore) { expect_the_same_from_encoded_frames(*model_, batch_); }
TEST_F(EmotionLlama, ReadsFramesThatWereEncodedBefore) { expect_the_same_from_encoded_frames(*model_, batch_); }

TEST_F(TimeChat, RefusesEncodedFramesWhereTheirEncoderLearns) {
  for (const at::Tensor& parameter : model_->visual_encoder()->parameters()) parameter.set_requires_grad(true);
  encode_frames(*model_, batch_);
  expect_error(
      ErrorKind::internal, [&] { model_->media_tokens(batch_); }, "cannot teach the picture encoder");
  const at::NoGradGuard no_grad;
  EXPECT_NO_THROW(model_->media_tokens(batch_)) << "nothing learns here";
}

TEST_F(TimeChat, RefusesEncodedFramesOfAnotherNumber) {
  for (const at::Tensor& parameter : model_->visual_encoder()->parameters()) parameter.set_requires_grad(false);
  encode_frames(*model_, batch_);
  const at::Tensor right_BTSC = batch_.encoded_BTSC;
  for (const at::Tensor& wrong : {right_BTSC.slice(1, 1), right_BTSC.slice(0, 1), right_BTSC.flatten(0, 1)}) {
    batch_.encoded_BTSC = wrong;
    expect_error(
        ErrorKind::internal, [&] { model_->media_tokens(batch_); }, "do not fit the frames of the batch");
  }
}

TEST_F(EmotionLlama, RefusesAClipWithoutAPicture) {
  batch_.frame_mask_BT = at::tensor({1, 0}).view({2, 1}).to(at::kBool);
  batch_.ids = {"first", "second"};
  expect_error(
      ErrorKind::data, [&] { model_->media_tokens(batch_); }, "clip 'second' has no picture");
}

TEST_F(EmotionLlama, RefusesMoreThanOneFrame) {
  batch_.frames_BTCHW = batch_.frames_BTCHW.repeat({1, 2, 1, 1, 1});
  batch_.frame_mask_BT = at::ones({2, 2}, at::kBool);
  const Error error = expect_error(
      ErrorKind::data, [&] { model_->media_tokens(batch_); }, "2 frames of a clip, and the model takes the patches of one");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("prepare.frame_count=1"));
}

/// What a lineage computes when one switch is set otherwise.
class Switches : public Lineage {
 protected:
  void expect_another_outcome(const std::string& name, const ModelOptions& options, const std::vector<std::string>& files) {
    load(name, options, files);
    const at::Tensor media_nD = model_->media_tokens(batch_), wanted = recorded("output.media");
    ASSERT_EQ(media_nD.sizes(), wanted.sizes());
    EXPECT_GT(error_of(media_nD, wanted), 1e-3);
  }
};

TEST_F(Switches, OfTimeChatDecideItsTokens) {
  const std::vector<std::string> files{"eva.safetensors", "llama", "instructblip.pth", "state.pth"};
  ModelOptions without_text = timechat_options(), longer = timechat_options();
  without_text.image_qformer.keep_text = false;
  longer.video_qformer.window.window_length = 4;
  expect_another_outcome("timechat", without_text, files);
  expect_another_outcome("timechat", longer, files);
  // Files in another order leave the image Q-Former of the earlier one.
  expect_another_outcome("timechat", timechat_options(), {"eva.safetensors", "llama", "state.pth", "instructblip.pth"});
}

TEST_F(Switches, OfAffectGpt2025DecideItsTokens) {
  ModelOptions apart = affectgpt_2025_options();
  apart.audio.joint_normalisation = false;
  expect_another_outcome("affectgpt-2025", apart, {"clip", "hubert", "qwen2", "state.pth"});
}

TEST_F(Switches, OfEmotionLlamaDecideItsTokens) {
  const std::vector<std::string> files{"eva.safetensors", "llama", "state.pth"};
  load("emotion-llama", emotion_llama_options(), files);
  const at::Tensor wanted = recorded("output.media");
  batch_.features_BC[1] = batch_.features_BC[1].flip(0);
  const at::Tensor other = model_->media_tokens(batch_);
  // Three tokens of patches of both clips come first; of each clip's four then the second is that of the other clip.
  for (const int64_t row : {7, 11}) EXPECT_GT(error_of(other[row], wanted[row]), 1e-3);
  for (const int64_t row : {0, 5, 6, 8, 9, 10, 12, 13}) EXPECT_LT(error_of(other[row], wanted[row]), allowed_error) << row;
}

TEST_F(AffectGpt2025, RefusesAHubertOfFewerStatesThanAreAveraged) {
  ModelOptions options = affectgpt_2025_options();
  options.audio.layers = 2;
  MicroEmo model(options, InputShapes{.frame_width = 12, .frame_height = 12});
  nn::initialise(model, 1);
  expect_error(
      ErrorKind::config, [&] { model.media_tokens(batch_); }, "the last 4 states of 3 cannot be averaged");
}

TEST_F(TimeChat, RefusesAFileWithPartsThatItLacksUnlessTheyMayBeLeftAside) {
  expect_error(
      ErrorKind::checkpoint, [&] { load_public_weights(*model_, folder_ / "instructblip.pth", /*allow_unexpected=*/false); },
      "image_projection.weight");
}

TEST_F(TimeChat, RefusesAFileOfAnotherWidthAndKeepsWhatItHad) {
  const at::Tensor before = model_->named_parameters()["decoder.tokens.weight"].clone();
  expect_error(
      ErrorKind::checkpoint, [&] { load_public_weights(*model_, test::encoder_data / "llama", false); },
      "decoder.block0.attention_norm.weight: file [32], model [16]");
  EXPECT_TRUE(before.equal(model_->named_parameters()["decoder.tokens.weight"]));
}

TEST_F(AffectGpt2024, ThatMayNotSayNothingRefusesAClipWithoutSound) {
  batch_.piece_mask_BK[1].fill_(false);
  batch_.ids = {"first", "second"};
  expect_error(
      ErrorKind::data, [&] { model_->media_tokens(batch_); }, "clip 'second' has no picture or no sound");
}

TEST_F(AffectGpt2025, TakesPaddingOfFramesAndPiecesForNothing) {
  const at::Tensor before = model_->media_tokens(batch_);
  const auto longer = [](const at::Tensor& t, double value) { return at::cat({t, at::full_like(t.slice(1, 0, 1), value)}, 1); };
  batch_.frames_BTCHW = longer(batch_.frames_BTCHW, 200);
  batch_.frame_times_BT = longer(batch_.frame_times_BT, 0);
  batch_.frame_mask_BT = longer(batch_.frame_mask_BT, 0);
  batch_.pieces_BK = longer(batch_.pieces_BK, 7);
  batch_.piece_times_BK = longer(batch_.piece_times_BK, 0);
  batch_.piece_mask_BK = longer(batch_.piece_mask_BK, 0);
  EXPECT_LT(error_of(model_->media_tokens(batch_), before), allowed_error);
}

}  // namespace
}  // namespace microemo::model
