#include "microemo/model/hf_qformer.h"

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/model/hf_vision.h"
#include "public_reference.h"
#include "support/errors.h"

namespace microemo::model {
namespace {

namespace fs = std::filesystem;
using checkpoint::load_into;
using checkpoint::NamedTensors;
using checkpoint::tensors_of;
using test::allowed_error;
using test::encoder_data;
using test::error_of;
using test::expect_error;

checkpoint::TensorSource reference(const std::string& name) {
  return checkpoint::TensorSource(encoder_data / (name + ".reference.safetensors"));
}

/// Ids with -1 where the mask leaves them out, which is our padding.
at::Tensor padded_text(const checkpoint::TensorSource& recorded) {
  return recorded.tensor("input.qformer_input_ids").masked_fill(recorded.tensor("input.qformer_attention_mask").eq(0), -1);
}

at::Tensor changed(at::Tensor ids, int64_t row, int64_t column, int64_t id) {
  ids[row][column] = id;
  return ids;
}

/// The Q-Former of tests/reference/vision.py that reads text, of which the second row is padded.
class TextQFormer : public testing::Test {
 protected:
  const checkpoint::TensorSource recorded_ = reference("instructblip");
  const at::Tensor image_ = recorded_.tensor("output.image"), text_ = padded_text(recorded_);
  const fs::path folder_ = encoder_data / "instructblip";
};

TEST_F(TextQFormer, EqualsTransformersInEveryHiddenStateWithPaddedText) {
  std::vector<at::Tensor> states;
  load_hf_qformer(folder_, /*keep_text=*/true)->forward(image_, text_, &states);
  test::expect_states(states, test::states_of(recorded_, "output.qformer."));
}

TEST_F(TextQFormer, EqualsTransformersInTheGradientsOfBothEncoders) {
  const auto vision = load_hf_vision(folder_);
  const auto qformer = load_hf_qformer(folder_, /*keep_text=*/true);
  test::require_gradients(*vision);
  test::require_gradients(*qformer);
  test::weighed_loss(qformer->forward(vision->forward(recorded_.tensor("input.pixel_values")), text_)).backward();
  const fs::path file = encoder_data / "instructblip.gradients.safetensors";
  test::expect_same_gradients(*qformer, checkpoint::read_part(file, "image_qformer", "instructblip"));
  test::expect_same_gradients(*vision, checkpoint::read_part(file, "visual_encoder", "instructblip"));
}

TEST_F(TextQFormer, DropsTheTextUnlessItIsToBeKept) {
  const at::Tensor kept = load_hf_qformer(folder_, /*keep_text=*/true)->forward(image_, text_);
  const at::Tensor dropped = load_hf_qformer(folder_)->forward(image_, text_);
  EXPECT_EQ(dropped.sizes(), at::IntArrayRef({2, 4, 12}));
  EXPECT_LT(error_of(dropped, kept.slice(1, 0, 4)), allowed_error);
}

TEST(QueryQFormer, EqualsTransformersInEveryHiddenState) {
  const auto recorded = reference("blip2");
  std::vector<at::Tensor> states;
  load_hf_qformer(encoder_data / "blip2")->forward(recorded.tensor("output.image"), {}, &states);
  test::expect_states(states, test::states_of(recorded, "output.qformer."));
}

TEST(QueryQFormer, EqualsTransformersInTheGradientsOfBothEncoders) {
  const auto vision = load_hf_vision(encoder_data / "blip2");
  const auto qformer = load_hf_qformer(encoder_data / "blip2");
  test::require_gradients(*vision);
  test::require_gradients(*qformer);
  test::weighed_loss(qformer->forward(vision->forward(reference("blip2").tensor("input.pixel_values")))).backward();
  const fs::path file = encoder_data / "blip2.gradients.safetensors";
  test::expect_same_gradients(*qformer, checkpoint::read_part(file, "image_qformer", "blip2"));
  test::expect_same_gradients(*vision, checkpoint::read_part(file, "visual_encoder", "blip2"));
}

// The parity checklist: what differs between the public models in silence.

TEST_F(TextQFormer, ParityEpsilonOfBert) {
  EXPECT_EQ(blip2_qformer().layers.norm_epsilon, 1e-12);
  EXPECT_EQ(instructblip_qformer().layers.norm_epsilon, 1e-12);
  EXPECT_EQ(timechat_qformer().layers.norm_epsilon, 1e-12);
  const auto right = load_hf_qformer(folder_, true);
  QFormerOptions options = right->options();
  ASSERT_EQ(options.layers.norm_epsilon, 0.05);
  options.layers.norm_epsilon = 1e-12;
  QFormer wrong(options);
  load_into(wrong, tensors_of(*right), {});
  EXPECT_GT(error_of(wrong.forward(image_, text_), right->forward(image_, text_)), 1e-3);
}

TEST_F(TextQFormer, ParityQueriesAndTextHaveMlpsOfTheirOwn) {
  const at::NoGradGuard no_grad;
  const auto qformer = load_hf_qformer(folder_, true);
  const at::Tensor before = qformer->forward(image_, text_);
  qformer->named_parameters()["layer2.text_mlp.down.bias"].add_(at::randn({12}));
  const at::Tensor after = qformer->forward(image_, text_);
  EXPECT_TRUE(after.slice(1, 0, 4).equal(before.slice(1, 0, 4)));
  EXPECT_GT(error_of(after.slice(1, 4), before.slice(1, 4)), 0.01);
}

TEST_F(TextQFormer, ParityOnlyQueriesLookAtThePictureAndOnlyInEvenLayers) {
  const auto qformer = load_hf_qformer(folder_, true);
  std::vector<at::Tensor> states, other_states;
  qformer->forward(image_, text_, &states);
  qformer->forward(at::randn(image_.sizes()), text_, &other_states);
  EXPECT_FALSE(states[1].slice(1, 0, 4).allclose(other_states[1].slice(1, 0, 4)));
  EXPECT_TRUE(states[1].slice(1, 4).equal(other_states[1].slice(1, 4)));  // text sees the picture through the queries alone
  const auto parameters = qformer->named_parameters();
  for (int64_t layer : {0, 1, 2})
    EXPECT_EQ(parameters.contains("layer" + std::to_string(layer) + ".memory_attention.query.weight"), layer % 2 == 0) << layer;
}

TEST_F(TextQFormer, ParityPaddingOfTheTextIsNotSeen) {
  const auto qformer = load_hf_qformer(folder_);
  const at::Tensor longer = at::cat({text_, at::full({2, 2}, -1, at::kLong)}, 1);
  EXPECT_LT(error_of(qformer->forward(image_, longer), qformer->forward(image_, text_)), allowed_error);
  EXPECT_GT(error_of(qformer->forward(image_, changed(text_.clone(), 0, 6, 3)),
                     qformer->forward(image_, changed(text_.clone(), 0, 6, 4))),
            1e-3);
}

TEST_F(TextQFormer, ParityTimeChatKeepsPlacesOfTheTextAndItsPadding) {
  const at::Tensor frames = load_hf_qformer(folder_, true)->forward(image_, text_);
  EXPECT_EQ(frames.sizes(), at::IntArrayRef({2, 4 + 7, 12}));
  EXPECT_LT(error_of(frames[1], test::states_of(recorded_, "output.qformer.").back()[1]), allowed_error);
}

TEST_F(TextQFormer, ParityPositionsAreForTextOnly) {
  const at::NoGradGuard no_grad;
  const auto qformer = load_hf_qformer(folder_);
  std::vector<at::Tensor> before, after;
  qformer->forward(image_, text_, &before);
  qformer->named_parameters()["position_text"].add_(at::randn({9, 12}));
  qformer->forward(image_, text_, &after);
  EXPECT_TRUE(after[0].slice(1, 0, 4).equal(before[0].slice(1, 0, 4)));
  EXPECT_FALSE(after[0].slice(1, 4).allclose(before[0].slice(1, 4)));
}

TEST_F(TextQFormer, MemoryOfAnotherWidthIsRefusedWithBothShapes) {
  const auto qformer = load_hf_qformer(folder_);
  expect_error(
      ErrorKind::internal,
      [&] {
        qformer->forward(at::zeros({2, 5, 12}), text_);
      },
      "memory is [2, 5, 12]; wanted: [n, S, 16]");
}

TEST_F(TextQFormer, TextOfAnotherNumberOfRowsIsRefused) {
  const auto qformer = load_hf_qformer(folder_);
  expect_error(
      ErrorKind::internal, [&] { qformer->forward(image_, text_.slice(0, 0, 1)); }, "text is [1, 7]; wanted: [2, up to 9]");
}

TEST_F(TextQFormer, TextBeyondItsPositionsIsRefused) {
  const auto qformer = load_hf_qformer(folder_);
  expect_error(
      ErrorKind::internal,
      [&] {
        qformer->forward(image_, at::ones({2, 10}, at::kLong));
      },
      "text is [2, 10]");
}

TEST_F(TextQFormer, AnIdBeyondTheTableIsRefused) {
  const auto qformer = load_hf_qformer(folder_);
  expect_error(
      ErrorKind::internal, [&] { qformer->forward(image_, changed(text_.clone(), 0, 0, 30)); }, "has the id 30");
}

TEST(QueryQFormer, RefusesTextThatItCannotRead) {
  const auto qformer = load_hf_qformer(encoder_data / "blip2");
  expect_error(
      ErrorKind::internal,
      [&] {
        qformer->forward(at::zeros({1, 5, 16}), at::ones({1, 2}, at::kLong));
      },
      "reads no text");
}

class QFormerFolder : public testing::Test {
 protected:
  explicit QFormerFolder() { fs::copy(encoder_data / "instructblip", folder_); }
  void set(const std::string& section, const std::string& key, const Json& value) const {
    Json config = read_json(folder_ / "config.json");
    (section.empty() ? config : config[section])[key] = value;
    write_json(folder_ / "config.json", config);
  }
  void refusal(const std::string& part) const {
    expect_error(
        ErrorKind::checkpoint, [&] { load_hf_qformer(folder_); }, part);
  }

  TemporaryFolder place_;
  const fs::path folder_ = place_.path() / "model";
};

TEST_F(QFormerFolder, AnotherNumberOfQueriesIsNamedWithBothShapes) {
  set("", "num_query_tokens", 5);
  refusal("queries: file [4, 12], model [5, 12]");
}

TEST_F(QFormerFolder, AnotherFrequencyOfCrossAttentionIsMissingOrUnexpected) {
  set("qformer_config", "cross_attention_frequency", 3);
  refusal("unexpected:\n    layer2.memory_attention.key.bias");
}

TEST_F(QFormerFolder, OfTypeBlip2HasUnexpectedText) {
  set("", "model_type", "blip-2");
  refusal("layer0.text_mlp.down.bias");
}

TEST_F(QFormerFolder, OfClipHasNoQFormer) {
  set("", "model_type", "clip");
  refusal("a model of type 'clip' has no Q-Former");
}

TEST_F(QFormerFolder, OfAFarLargerConfigIsAnErrorBeforeAnythingIsAllocated) {
  set("qformer_config", "vocab_size", 90'000'000);
  refusal("config.json asks for");
}

/// A training state as Video-LLaMA writes it, with Adam's moments and int64 buffers (tests/reference/qformer.py).
class VideoQFormerFile : public testing::Test {
 protected:
  static WindowQFormerOptions options() {
    WindowQFormerOptions options = timechat_qformer();
    options.layers.heads = 3;
    options.layers.width = 12;
    options.layers.hidden = 20;
    options.layers.memory_width = 10;
    options.queries = 3;
    options.positions = 8;
    return options;
  }
  /// Frames of equal clips, one a second; length 0 reads the clip in one window.
  static at::Tensor read(const WindowQFormer& qformer, const at::Tensor& frames_BTPM, int64_t length, int64_t stride) {
    const at::Tensor times_BT = at::arange(frames_BTPM.size(1), at::kFloat).expand({frames_BTPM.size(0), -1}),
                     mask_BT = at::ones(times_BT.sizes(), at::kBool);
    WindowOptions window{.windows = Windows::sliding, .whole = false, .window_length = length, .stride = stride};
    if (length == 0) window.windows = Windows::none;
    const WindowSpans clips{at::tensor({0.0f, 1e6f}).expand({frames_BTPM.size(0), 1, 2}),
                            at::ones({frames_BTPM.size(0), 1}, at::kBool)};
    const at::Tensor out_BWQC =
        qformer.forward(qformer.placed({frames_BTPM, times_BT, mask_BT}), windows_of(window, clips, times_BT, mask_BT));
    return out_BWQC.flatten(1, 2);
  }
  void expect_same_windows(int64_t length, int64_t stride) const {
    const std::string name = fmt::format("output.window{}_stride{}", length, stride);
    const auto qformer = load_video_qformer(file_, options());
    EXPECT_LT(error_of(read(*qformer, recorded_.tensor("input.frames"), length, stride), recorded_.tensor(name)), allowed_error)
        << name;
  }

  const fs::path folder_ = encoder_data / "video-qformer", file_ = folder_ / "state.pth";
  const checkpoint::TensorSource recorded_{folder_ / "reference.safetensors"};
};

TEST_F(VideoQFormerFile, OfVideoLlamaReadsTheClipInOneWindow) { expect_same_windows(0, 0); }
TEST_F(VideoQFormerFile, OfTimeChatReadsWindowAfterWindowOfWhichTheLastIsShort) { expect_same_windows(3, 3); }
TEST_F(VideoQFormerFile, OfTimeChatReadsWindowsThatOverlap) { expect_same_windows(4, 2); }
TEST_F(VideoQFormerFile, OfTimeChatLeavesGapsBetweenWindowsThatAreShort) { expect_same_windows(2, 3); }

TEST_F(VideoQFormerFile, HasTheGradientsOfTransformers) {
  const auto qformer = load_video_qformer(file_, options());
  test::require_gradients(*qformer);
  test::weighed_loss(read(*qformer, recorded_.tensor("input.frames"), 3, 3)).backward();
  NamedTensors expected = checkpoint::read_part(folder_ / "gradients.safetensors", "video_qformer", "video-llama");
  // The four rows of the file are two each here.
  at::Tensor& position = qformer->named_parameters()["position"];
  EXPECT_LT(error_of(position.grad().view({4, 2, 10}).sum(1), expected.at("position")), 10 * allowed_error);
  expected["position"] = position.grad();
  test::expect_same_gradients(*qformer, expected);
}

TEST_F(VideoQFormerFile, ParityPositionsAreStretchedByTheNearest) {
  const at::Tensor file = at::arange(32, at::kFloat).unsqueeze(1).expand({32, 2});
  const at::Tensor longer = nearest_positions(file, 96);
  EXPECT_TRUE(longer.select(1, 0).equal(at::arange(96).div(3, "floor").to(at::kFloat)));
  const auto loaded = load_video_qformer(file_, options());
  EXPECT_TRUE(loaded->named_parameters()["position"].equal(recorded_.tensor("output.positions")));
}

TEST_F(VideoQFormerFile, ParityWindowsAreCutAfterPositionsAreAdded) {
  const auto qformer = load_video_qformer(file_, options());
  const at::Tensor same = at::randn({1, 1, 5, 10}).expand({1, 6, 5, 10});  // two windows of equal frames
  const at::Tensor out = read(*qformer, same, 3, 3);
  EXPECT_GT(error_of(out.slice(1, 0, 3), out.slice(1, 3)), 1e-2);
}

TEST_F(VideoQFormerFile, ParityAdamsMomentsAndInt64BuffersAreLeftAside) {
  const checkpoint::TensorSource whole(file_);
  EXPECT_TRUE(whole.contains("optimizer/state/0/exp_avg"));
  EXPECT_EQ(whole.find("model/video_Qformer.bert.embeddings.position_ids").dtype, "I64");
  EXPECT_TRUE(load_video_qformer(file_, options())->buffers().empty());
}

TEST_F(VideoQFormerFile, TokensAreQueriesTimesWindows) {
  const auto qformer = load_video_qformer(file_, options());
  EXPECT_EQ(read(*qformer, at::zeros({2, 8, 5, 10}), 3, 3).sizes(), at::IntArrayRef({2, 3 * 3, 12}));
  EXPECT_EQ(read(*qformer, at::zeros({2, 1, 5, 10}), 3, 3).sizes(), at::IntArrayRef({2, 3, 12}));
}

TEST_F(VideoQFormerFile, RefusesMoreFramesThanPositions) {
  const auto qformer = load_video_qformer(file_, options());
  expect_error(
      ErrorKind::data,
      [&] {
        read(*qformer, at::zeros({1, 9, 5, 10}), 3, 3);
      },
      "a clip of 9 frames or pieces, and the model has 8 positions");
}

TEST_F(VideoQFormerFile, RefusesFramesOfAnotherWidthAndNone) {
  const auto qformer = load_video_qformer(file_, options());
  expect_error(
      ErrorKind::internal,
      [&] {
        read(*qformer, at::zeros({1, 3, 5, 12}), 3, 3);
      },
      "[1, 3, 5, 12]; wanted: [B, T, P, 10]");
  expect_error(
      ErrorKind::internal,
      [&] {
        read(*qformer, at::zeros({1, 0, 5, 10}), 3, 3);
      },
      "[1, 0, 5, 10]");
}

TEST_F(VideoQFormerFile, RefusesAWidthThatIsNotTheFiles) {
  WindowQFormerOptions other = options();
  other.layers.memory_width = 11;
  expect_error(
      ErrorKind::checkpoint, [&] { load_video_qformer(file_, other); }, "position: file [8, 10], model [8, 11]");
}

TEST_F(VideoQFormerFile, HasNoImageQFormer) {
  expect_error(
      ErrorKind::checkpoint, [&] { load_qformer(file_, blip2_qformer()); }, "it holds nothing of 'image_qformer'");
}

}  // namespace
}  // namespace microemo::model
