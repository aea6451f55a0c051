#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "infer/tiny_model.h"
#include "microemo/nn/loss.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

using test::expect_error;
using test::spoken;
using test::TinyModel;

Utterance labelled(double start_s, double end_s, const std::string& text, const std::string& face = "",
                   const std::string& voice = "") {
  Utterance utterance = spoken(start_s, end_s, text);
  utterance.labels = {"joyful", "proud"};
  utterance.face = face;
  utterance.voice = voice;
  return utterance;
}

model::ClipBatch build(const TinyModel& tiny, const std::vector<Sample>& samples, const std::vector<Question>& questions,
                       Purpose purpose, const AugmentOptions& augment = {}, uint64_t draw = 0) {
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  return tiny.builder->build(pointers, questions, purpose, augment, draw);
}

TEST(BatchBuilder, PadsClipsOfDifferentLengthAndMarksThePadding) {
  const TinyModel tiny;
  const auto batch = build(tiny, {tiny.clip(1, 4, {labelled(0, 0.5, "at")}), tiny.clip(2, 7, {labelled(0, 1, "at")})},
                           {{0, 0}, {1, 0}}, Purpose::train);
  EXPECT_EQ(batch.frames_BTCHW.sizes(), at::IntArrayRef({2, 7, 3, 32, 32}));
  EXPECT_EQ(batch.frame_mask_BT.sum(1)[0].item<int64_t>(), 4);
  EXPECT_EQ(batch.face_padding_BN.sum(1)[0].item<int64_t>(), 20);
  EXPECT_EQ(batch.mel_mask_BF.sum(1)[1].item<int64_t>(), 140);
  EXPECT_TRUE(batch.time_text_BTL[0][5].eq(-1).all().item<bool>());
}

TEST(BatchBuilder, LabelsAreTheAnswerShiftedByOneAndNothingElse) {
  const TinyModel tiny;
  const auto batch = build(tiny, {tiny.clip(1, 4, {labelled(0, 0.5, "at")})}, {{0, 0}}, Purpose::train);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < batch.labels_RL.size(1); ++i)
    if (const int64_t label = batch.labels_RL[0][i].item<int64_t>(); label != nn::ignored_label) {
      labels.push_back(label);
      if (i + 1 < batch.ids_RL.size(1)) {
        EXPECT_EQ(batch.ids_RL[0][i + 1].item<int64_t>(), label);
      }
    }
  ASSERT_FALSE(labels.empty());
  EXPECT_EQ(labels.back(), tiny.tokenizer->end_id());
  labels.pop_back();
  EXPECT_EQ(tiny.tokenizer->decode(labels), "The person feels joyful and proud.");
}

TEST(BatchBuilder, APromptIsTheTrainingRowUpToItsAnswer) {
  const TinyModel tiny;
  const std::vector<Sample> samples = {tiny.clip(1, 4, {labelled(0, 0.5, "at")})};
  const auto train = build(tiny, samples, {{0, 0}}, Purpose::train), prompt = build(tiny, samples, {{0, 0}}, Purpose::generate);
  const int64_t length = prompt.lengths_R[0].item<int64_t>();
  EXPECT_TRUE(at::equal(train.ids_RL.slice(1, 0, length), prompt.ids_RL));
  EXPECT_TRUE(at::equal(train.media_RL.slice(1, 0, length), prompt.media_RL));
  EXPECT_NE(train.labels_RL[0][length - 1].item<int64_t>(), nn::ignored_label);
}

TEST(BatchBuilder, EveryMediaTokenOfTheClipStandsOnceInItsRows) {
  const TinyModel tiny;
  const std::vector<Sample> samples = {tiny.clip(1, 4, {labelled(0, 0.3, "at"), labelled(0.4, 0.7, "is")}),
                                       tiny.clip(2, 4, {labelled(0, 0.3, "at")})};
  const auto batch = build(tiny, samples, {{0, 1}, {1, 0}}, Purpose::generate);
  const int64_t rows = tiny.model->media_tokens(batch).size(0), video = 4, audio = 2, windows = 3;
  EXPECT_EQ(rows, 2 * windows * (video + audio));
  const at::Tensor first = batch.media_RL[0], used = first.masked_select(first.ge(0));
  EXPECT_EQ(used.numel(), windows * (video + audio));
  EXPECT_EQ(std::get<0>(at::_unique(used)).numel(), used.numel());
  const at::Tensor second = batch.media_RL[1], used_second = second.masked_select(second.ge(0));
  EXPECT_EQ(used_second.numel(), 2 * (video + audio));  // its third window is padding
  EXPECT_EQ(used_second.min().item<int64_t>(), windows * video);
}

TEST(BatchBuilder, WithoutUtteranceWindowsTheWholeClipsTokensRemain) {
  TinyModel tiny;
  tiny.options.video_qformer.window.windows = tiny.options.audio.window.windows = model::Windows::none;
  const BatchBuilder builder(tiny.tokenizer, tiny.options, tiny.prepare);
  const model::MicroEmo whole(tiny.options, input_shapes(tiny.prepare, tiny.tokenizer->size()));
  const Sample sample = tiny.clip(1, 4, {labelled(0, 0.3, "at"), labelled(0.4, 0.7, "is")});
  const auto batch = builder.build({&sample}, {{0, 1}}, Purpose::generate, {}, 0);
  EXPECT_EQ(batch.media_RL.ge(0).sum().item<int64_t>(), 4 + 2);
  EXPECT_EQ(whole.media_tokens(batch).size(0), 4 + 2);
}

TEST(BatchBuilder, WithoutPictureAndSoundTheWordsRemain) {
  TinyModel tiny;
  tiny.options.visual.enabled = tiny.options.audio.enabled = false;
  const BatchBuilder builder(tiny.tokenizer, tiny.options, tiny.prepare);
  const model::MicroEmo words(tiny.options, input_shapes(tiny.prepare, tiny.tokenizer->size()));
  const Sample sample = tiny.clip(1, 4, {labelled(0, 0.3, "at")});
  const auto batch = builder.build({&sample}, {{0, 0}}, Purpose::train, {}, 0);
  EXPECT_FALSE(batch.media_RL.ge(0).any().item<bool>());
  EXPECT_GT(words.forward(batch).terms.at(0).count, 0);
}

TEST(BatchBuilder, AFlipMirrorsPicturesAndTurnsHorizontalMovementRound) {
  const TinyModel tiny;
  const std::vector<Sample> samples = {tiny.clip(1, 4, {labelled(0, 0.5, "at")})};
  const auto plain = build(tiny, samples, {{0, 0}}, Purpose::train);
  uint64_t draw = 0;
  model::ClipBatch flipped;
  do flipped = build(tiny, samples, {{0, 0}}, Purpose::train, {.flip = true}, ++draw);
  while (at::equal(flipped.frames_BTCHW, plain.frames_BTCHW) && draw < 64);
  EXPECT_TRUE(at::equal(flipped.frames_BTCHW, plain.frames_BTCHW.flip(4)));
  EXPECT_TRUE(at::equal(flipped.faces_BNCSS.select(2, 0), plain.faces_BNCSS.select(2, 0).flip(3).neg()));
  EXPECT_TRUE(at::equal(flipped.faces_BNCSS.select(2, 1), plain.faces_BNCSS.select(2, 1).flip(3)));
}

TEST(BatchBuilder, AugmentationDependsOnDrawAndSampleAlone) {
  const TinyModel tiny;
  Sample first = tiny.clip(1, 4, {labelled(0, 0.5, "at")}), second = tiny.clip(2, 4, {labelled(0, 0.5, "at")});
  second.index = 1;
  const AugmentOptions augment{.flip = true, .face_shift = 2};
  const auto alone = build(tiny, {second}, {{0, 0}}, Purpose::train, augment, 77);
  const auto together = build(tiny, {first, second}, {{0, 0}, {1, 0}}, Purpose::train, augment, 77);
  EXPECT_TRUE(at::equal(alone.faces_BNCSS[0], together.faces_BNCSS[1]));
}

TEST(BatchBuilder, NamesMovementsWhereTheyAreStrongAndIgnoresTheirFaintEnds) {
  const TinyModel tiny;
  Sample sample = tiny.clip(1, 5, {labelled(0, 0.9, "at", "brow_up", "lively")});
  sample.clip.movements = {{"brow_up", 0.2, 0.4, 0.6, 0.06, 0}};
  const auto batch = build(tiny, {sample}, {{0, 0}}, Purpose::train);
  const auto label_at = [&](double seconds) { return batch.movement_BN[0][std::llround(seconds * 25)].item<int64_t>(); };
  EXPECT_EQ(label_at(0.08), 0);
  EXPECT_EQ(label_at(0.20), nn::ignored_label);
  EXPECT_EQ(label_at(0.40), 1);
  EXPECT_EQ(label_at(0.72), 0);
  EXPECT_EQ(batch.movement_BT[0][2].item<int64_t>(), 1);  // the whole frame at 0.4 s
  EXPECT_EQ(batch.window_movement_BW[0][1].item<int64_t>(), 1);
  EXPECT_EQ(batch.window_voice_BW[0][1].item<int64_t>(), 1);
  EXPECT_EQ(batch.window_movement_BW[0][0].item<int64_t>(), nn::ignored_label);
}

TEST(BatchBuilder, RealClipsHaveNoMovementLabels) {
  const TinyModel tiny;
  const auto batch = build(tiny, {tiny.clip(1, 4, {labelled(0, 0.5, "at")})}, {{0, 0}}, Purpose::train);
  EXPECT_TRUE(batch.movement_BN.eq(nn::ignored_label).all().item<bool>());
  EXPECT_TRUE(batch.window_movement_BW.eq(nn::ignored_label).all().item<bool>());
}

TEST(BatchBuilder, TakesAClipWithoutSound) {
  const TinyModel tiny;
  const auto batch = build(tiny, {tiny.clip(1, 4, {labelled(0, 0.5, "at")}, /*sound=*/false)}, {{0, 0}}, Purpose::train);
  EXPECT_FALSE(batch.mel_mask_BF.any().item<bool>());
  EXPECT_TRUE(tiny.model->media_tokens(batch).isfinite().all().item<bool>());
}

TEST(BatchBuilder, TakesAClipWithoutPictures) {
  const TinyModel tiny;
  const auto batch = build(tiny, {tiny.clip(1, 0, {labelled(0, 0.5, "at")}, /*sound=*/false)}, {{0, 0}}, Purpose::train);
  EXPECT_TRUE(tiny.model->media_tokens(batch).isfinite().all().item<bool>());
}

TEST(BatchBuilder, RefusesARowThatIsTooLong) {
  const TinyModel tiny(/*max_tokens=*/64);
  expect_error(
      ErrorKind::data,
      [&] {
        build(tiny, {tiny.clip(1, 4, {labelled(0, 0.5, std::string(90, 'a'))})}, {{0, 0}}, Purpose::train);
      },
      "model.decoder.max_tokens");
}

TEST(BatchBuilder, RefusesMoreUtterancesThanTheModelTakes) {
  const TinyModel tiny;
  std::vector<Utterance> many(17, labelled(0, 0.1, "at"));
  expect_error(
      ErrorKind::data,
      [&] {
        build(tiny, {tiny.clip(1, 4, many)}, {{0, 0}}, Purpose::train);
      },
      "17 utterances");
}

TEST(BatchBuilder, RefusesToTrainOnAnUtteranceWithoutAnswer) {
  const TinyModel tiny;
  expect_error(
      ErrorKind::data,
      [&] {
        build(tiny, {tiny.clip(1, 4, {spoken(0, 0.5, "at")})}, {{0, 0}}, Purpose::train);
      },
      "neither an answer nor labels");
}

TEST(MicroEmo, EveryParameterGetsAGradientFromAFullBatch) {
  TinyModel tiny;
  tiny.options.alignment = {.movement = 1, .window_movement = 0.5, .window_voice = 0.5};
  model::MicroEmo model(tiny.options, input_shapes(tiny.prepare, tiny.tokenizer->size()));
  nn::initialise(model, 1);
  const auto batch =
      build(tiny, {tiny.clip(1, 4, {labelled(0, 0.5, "at", "lid", "flat"), labelled(0.5, 0.7, "is", "none", "lively")})},
            {{0, 0}, {0, 1}}, Purpose::train);
  at::Tensor total = at::zeros({});
  for (const auto& term : model.forward(batch).terms) {
    EXPECT_GT(term.count, 0) << term.name;
    total = total + term.sum;
  }
  total.backward();
  for (const auto& item : model.named_parameters()) EXPECT_TRUE(item.value().grad().defined()) << item.key();
}

TEST(MicroEmo, AnUntrainedFaceBranchChangesNothing) {
  TinyModel tiny;
  model::ModelOptions without = tiny.options;
  without.local.enabled = false;
  model::MicroEmo faceless(without, input_shapes(tiny.prepare, tiny.tokenizer->size()));
  nn::initialise(faceless, 3);
  const auto batch = build(tiny, {tiny.clip(1, 4, {labelled(0, 0.5, "at")})}, {{0, 0}}, Purpose::generate);
  EXPECT_TRUE(at::equal(tiny.model->media_tokens(batch), faceless.media_tokens(batch)));
}

TEST(MicroEmo, AClipsTokensDoNotDependOnItsBatch) {
  const TinyModel tiny;
  const at::NoGradGuard no_grad;
  const Sample one = tiny.clip(1, 4, {labelled(0, 0.5, "at")}),
               other = tiny.clip(2, 9, {labelled(0, 1, "at"), labelled(1, 1.5, "is")});
  const at::Tensor alone = tiny.model->media_tokens(build(tiny, {one}, {{0, 0}}, Purpose::generate));
  const at::Tensor together = tiny.model->media_tokens(build(tiny, {one, other}, {{0, 0}}, Purpose::generate));
  EXPECT_TRUE(at::allclose(alone.slice(0, 0, 8), together.slice(0, 0, 8), 1e-4, 1e-5));  // windows 0 and 1, video
}

TEST(PromptSentences, HoldEveryDigit) {
  std::string all;
  for (const std::string& sentence : prompt_sentences()) all += sentence;
  for (char digit = '0'; digit <= '9'; ++digit) EXPECT_NE(all.find(digit), std::string::npos) << digit;
}

}  // namespace
}  // namespace microemo::data
