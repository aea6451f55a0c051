#include "microemo/train/microemo_task.h"

#include <set>

#include "infer/tiny_model.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/train/load_run.h"
#include "train/support.h"

namespace microemo::train {
namespace {

/// Sixteen clips of unequal lengths, with everything the loss can use.
class RealModel : public testing::Test {
 protected:
  RealModel() {
    tiny_.options.alignment = {.movement = 0.5, .window_movement = 0.3, .window_voice = 0.2, .none_weight = 0.3};
    options_.model = tiny_.options;
    options_.prepare = tiny_.prepare;
    options_.train = test::small_options(12);
    options_.train.learning_rate = 1e-3;
    for (uint64_t i = 0; i < 16; ++i) data_->samples.push_back(clip(i));
  }

  data::Sample clip(uint64_t i) const {
    const double length = 0.8 + 0.1 * static_cast<double>(i % 3);
    std::vector<data::Utterance> utterances;
    for (uint64_t u = 0; u <= i % 2; ++u) {
      data::Utterance utterance = test::spoken(0.4 * double(u), 0.4 * double(u) + 0.3, u == 0 ? "This frame" : "is sampled at");
      utterance.labels = i % 3 == 0 ? std::vector<std::string>{"happy", "calm"} : std::vector<std::string>{"sad"};
      utterance.face = i % 4 == 0 ? "none" : "brow_up";
      utterance.voice = i % 2 == 0 ? "flat" : "lively";
      utterances.push_back(utterance);
    }
    data::Sample sample = tiny_.clip(10 * i, static_cast<int64_t>(5 * length), utterances);
    sample.index = static_cast<int64_t>(i);
    if (i % 4 != 0) sample.clip.movements.push_back({"brow_up", 0.05, 0.15, 0.25, 0.1, 0});
    sample.prepared.face_mask_N[1] = false;
    return sample;
  }

  Task task() const { return microemo_task(options_, data_, tiny_.tokenizer, build_model(options_, *tiny_.tokenizer)); }

  std::filesystem::path folder() {
    const auto path = folder_.path() / std::to_string(++folders_);
    std::filesystem::create_directories(path);
    return path;
  }

  TemporaryFolder folder_;
  int folders_ = 0;
  test::TinyModel tiny_;
  RunOptions options_;
  std::shared_ptr<TrainingData> data_ = std::make_shared<TrainingData>();
};

TEST_F(RealModel, EveryTrainableParameterGetsAGradient) {
  const Task model = task();
  forward_backward(model, model.batches(0));
  for (const auto& item : model.module->named_parameters()) EXPECT_TRUE(item.value().grad().defined()) << item.key();
}

TEST_F(RealModel, AClipThatComesAgainInAStepDropsOtherNumbersHoweverTheStepIsCut) {
  options_.train.batch = 40;  // of 16 clips
  const auto keys = [&](int64_t micro_batch, Share share = {}) {
    options_.train.micro_batch = micro_batch;
    const Task cut = microemo_task(options_, data_, tiny_.tokenizer, build_model(options_, *tiny_.tokenizer), share);
    std::vector<uint64_t> clips, rows;
    for (const model::ClipBatch& batch : cut.batches(3)) {
      clips.insert(clips.end(), batch.clip_keys.rows().begin(), batch.clip_keys.rows().end());
      rows.insert(rows.end(), batch.row_keys.rows().begin(), batch.row_keys.rows().end());
    }
    return std::pair(clips, rows);
  };
  const auto [clips, rows] = keys(0);
  EXPECT_EQ(clips.size(), 40u);
  EXPECT_EQ(std::set<uint64_t>(clips.begin(), clips.end()).size(), clips.size());
  EXPECT_EQ(std::set<uint64_t>(rows.begin(), rows.end()).size(), rows.size());
  EXPECT_EQ(keys(7), std::pair(clips, rows));
  const auto first = keys(3, {.rank = 0, .world = 2}), second = keys(3, {.rank = 1, .world = 2});
  EXPECT_TRUE(std::equal(first.first.begin(), first.first.end(), clips.begin()));
  EXPECT_TRUE(std::equal(second.first.begin(), second.first.end(), clips.begin() + 20));
}

TEST_F(RealModel, EveryTrainableParameterMovesInAFewSteps) {
  const Task model = task();
  const auto before = checkpoint::tensors_of(*model.module);
  std::map<std::string, at::Tensor> start;
  for (const auto& [name, tensor] : before) start[name] = tensor.clone();
  options_.train.weight_decay = 0;
  Trainer(model, options_.train, folder()).run(4);
  for (const auto& item : model.module->named_parameters()) {
    // What stands for a missing picture or sound is read by clips that lack one; these lack nothing.
    const bool stands_for_nothing = item.key().find("embedding_nothing") != std::string::npos;
    EXPECT_EQ(item.value().equal(start[item.key()]), stands_for_nothing) << item.key();
  }
}

TEST_F(RealModel, FrozenAndRecomputedBlocksResumeBitForBitAndAreEvaluatedAsTheyAre) {
  options_.model.decoder.lora.rank = 4;
  options_.model.decoder.lora.dropout = 0.1;
  options_.train.trainable = {"*lora*", "video_*"};
  options_.train.frozen_dtype = FrozenChoice::nf4;
  const auto whole = folder(), parts = folder();
  const Task trained = task();
  const RunOutcome expected = Trainer(trained, options_.train, whole).run(4);
  options_.train.recompute = "all";
  const RunOutcome half = Trainer(task(), options_.train, parts).run(2);
  const RunOutcome rest = Trainer(task(), options_.train, parts, half.checkpoint).run(2);
  EXPECT_EQ(rest.step, expected.step);
  EXPECT_EQ(read_file(rest.checkpoint / "model.safetensors"), read_file(expected.checkpoint / "model.safetensors"));
  EXPECT_EQ(trained.module->named_parameters()["decoder.block0.up.weight"].scalar_type(), at::kByte);
}

TEST_F(RealModel, ThePictureEncoderComputedAgainGivesTheSameBits) {
  options_.train.recompute = "pictures";
  const Task again = task();
  options_.train.recompute = "none";
  const Task kept = task();
  EXPECT_EQ(forward_backward(again, again.batches(0)).loss, forward_backward(kept, kept.batches(0)).loss);
  const auto wanted = test::gradients_of(*kept.module), got = test::gradients_of(*again.module);
  ASSERT_EQ(wanted.size(), got.size());
  for (const auto& [name, gradient] : wanted) EXPECT_TRUE(gradient.equal(got.at(name))) << name;
}

TEST_F(RealModel, LayersOfQFormersAndFacesComputedAgainGiveTheSameBitsWithDropout) {
  options_.model.image_qformer.layers = options_.model.video_qformer.layers = 2;
  options_.model.audio.qformer_layers = 3;
  options_.model.local.temporal_layers = 2;
  options_.model.image_qformer.dropout = options_.model.video_qformer.dropout = options_.model.audio.qformer_dropout = 0.2;
  const auto result = [&](const std::string& recompute) {
    options_.train.recompute = recompute;
    const Task made = task();
    const double loss = forward_backward(made, made.batches(0)).loss;
    return std::pair(loss, test::gradients_of(*made.module));
  };
  const auto kept = result("none");
  for (const char* recompute : {"video_qformer", "audio_qformer.1-2", "image_qformer.0,faces", "faces.1", "all"}) {
    const auto again = result(recompute);
    EXPECT_EQ(again.first, kept.first) << recompute;
    ASSERT_EQ(again.second.size(), kept.second.size());
    for (const auto& [name, gradient] : kept.second)
      EXPECT_TRUE(gradient.equal(again.second.at(name))) << recompute << ", " << name;
  }
}

TEST_F(RealModel, AClipThatComesAgainInAStepIsFlippedForItself) {
  options_.train.batch = 40;  // of 16 clips
  options_.train.micro_batch = 1;
  options_.train.augment.flip = true;
  const Task model = task();
  const data::BatchBuilder builder(tiny_.tokenizer, options_.model, options_.prepare);
  int others = 0;
  for (int64_t step = 0; step < 2; ++step) {
    std::map<std::string, at::Tensor> first;
    for (const model::ClipBatch& batch : model.batches(step)) {
      const auto [found, is_first] = first.try_emplace(batch.ids.front(), batch.frames_BTCHW);
      if (!is_first) {
        others += !batch.frames_BTCHW.equal(found->second);
        continue;
      }
      // The first time it is drawn as if it came once.
      const auto sample = std::ranges::find(data_->samples, batch.ids.front(), [](const auto& s) { return s.clip.id; });
      const auto alone = builder.build({&*sample}, {{0, 0}}, data::Purpose::train, options_.train.augment,
                                       augmentation_draw(uint64_t(options_.train.seed), step));
      EXPECT_TRUE(batch.frames_BTCHW.equal(alone.frames_BTCHW)) << batch.ids.front();
    }
  }
  EXPECT_GT(others, 0);
}

TEST_F(RealModel, AClipThatComesAgainInAStepIsAskedOtherQuestions) {
  options_.train.batch = 64;
  options_.train.questions_per_clip = 1;
  const Task model = task();
  std::map<std::string, std::set<std::vector<int64_t>>> asked;
  for (const model::ClipBatch& batch : model.batches(0))
    for (int64_t row = 0; row < batch.ids_RL.size(0); ++row) {
      const at::Tensor ids_L = batch.ids_RL[row].narrow(0, 0, batch.lengths_R[row].item<int64_t>()).contiguous();
      const int64_t* first = ids_L.const_data_ptr<int64_t>();
      asked[batch.ids[size_t(row)]].insert({first, first + ids_L.numel()});
    }
  EXPECT_TRUE(std::ranges::any_of(asked, [](const auto& clip) { return clip.second.size() > 1; }));
}

TEST_F(RealModel, LengthBucketsChangeWhichClipsMeetAndResume) {
  const auto ids_of = [](const Task& task, int64_t step) {
    std::vector<std::string> ids;
    for (const model::ClipBatch& batch : task.batches(step)) ids.insert(ids.end(), batch.ids.begin(), batch.ids.end());
    return ids;
  };
  options_.train.length_buckets = 2;
  const Task first = task(), second = task();
  std::multiset<std::string> dealt, drawn;
  for (const int64_t step : {0, 1}) {
    EXPECT_EQ(ids_of(first, step), ids_of(second, step));
    for (const std::string& id : ids_of(first, step)) dealt.insert(id);
  }
  options_.train.length_buckets = 1;
  const Task plain = task();
  for (const int64_t step : {0, 1})
    for (const std::string& id : ids_of(plain, step)) drawn.insert(id);
  EXPECT_EQ(dealt, drawn);
}

TEST_F(RealModel, ValidationsAnswerAndScoreTheFirstClips) {
  for (uint64_t i = 20; i < 24; ++i) data_->validation.push_back(clip(i));
  options_.train.valid_every = 1;
  options_.train.valid_answers = 3;
  options_.train.valid_tokens = 4;
  const Task model = task();
  const auto all = model.answer_scores(0, 1), first = model.answer_scores(0, 2), second = model.answer_scores(1, 2);
  ASSERT_FALSE(all.empty());
  for (size_t g = 0; g < all.size(); ++g) {
    EXPECT_DOUBLE_EQ(all[g].first, first[g].first + second[g].first);
    EXPECT_EQ(all[g].second, first[g].second + second[g].second);
    EXPECT_GT(all[g].second, 0);
  }
  const ValidationResult result = validate(model);
  EXPECT_GE(result.at("valid_wheel_f"), 0);
  EXPECT_LE(result.at("valid_wheel_f"), 1);
  options_.train.valid_answers = 0;
  EXPECT_FALSE(validate(task()).contains("valid_wheel_f"));
}

TEST_F(RealModel, ValidationsRefuseAWheelThatIsNotThere) {
  options_.train.valid_answers = 1;
  options_.train.valid_wheel = "/no/such/wheel.csv";
  EXPECT_THROW(task(), Error);
}

TEST_F(RealModel, EncodersLearnWithoutTheDecoder) {
  options_.model.alignment.answer = 0;
  options_.train.frozen = {"decoder.*", "*_projection.*"};
  const Task model = task();
  const TermCounts counts = model.counts(model.batches(0).front());
  EXPECT_FALSE(counts.contains("answer"));
  EXPECT_GT(counts.at("movement"), 0);
  const StepResult result = forward_backward(model, model.batches(0));
  EXPECT_EQ(result.answer_loss, 0);
  EXPECT_GT(result.alignment_loss, 0);
  for (const auto& item : model.module->named_parameters())
    EXPECT_EQ(item.value().grad().defined(),
              !item.key().starts_with("decoder.") && item.key().find("_projection.") == std::string::npos)
        << item.key();
}

/// What an ablation takes away is the branch, not the supervision.
TEST_F(RealModel, AModelWithoutABranchIsTaughtTheSame) {
  const TermCounts full = task().counts(task().batches(0).front());
  options_.model.local.enabled = false;
  options_.model.video_qformer.window.windows = options_.model.audio.window.windows = model::Windows::none;
  const Task reduced = task();
  TermCounts counts = reduced.counts(reduced.batches(0).front());
  EXPECT_GT(counts.at("movement"), 0);
  EXPECT_EQ(counts.at("window_movement"), full.at("window_movement"));
  EXPECT_EQ(counts.at("window_voice"), full.at("window_voice"));
  forward_backward(reduced, reduced.batches(0));
  for (const auto& item : reduced.module->named_parameters()) EXPECT_TRUE(item.value().grad().defined()) << item.key();
}

/// As a whole, and every tensor that is not next to nothing.
void expect_same_gradients(const torch::nn::Module& expected, const torch::nn::Module& actual, int64_t micro_batch) {
  const auto wanted = test::gradients_of(expected), got = test::gradients_of(actual);
  EXPECT_LE(test::relative_distance(wanted, got), 5e-6) << micro_batch;
  double largest = 0;
  for (const auto& [name, gradient] : wanted) largest = std::max(largest, gradient.norm().item<double>());
  for (const auto& [name, gradient] : wanted) {
    if (gradient.norm().item<double>() <= 1e-7 * largest) continue;
    EXPECT_LE(test::relative_distance({{name, gradient}}, {{name, got.at(name)}}), 5e-6) << micro_batch << " " << name;
  }
}

TEST_F(RealModel, TheWayAStepIsCutDoesNotMatter) {
  const Task whole = task();
  const StepResult expected = forward_backward(whole, whole.batches(0));
  for (const int64_t micro_batch : {8, 4, 2, 1}) {
    options_.train.micro_batch = micro_batch;
    const Task cut = task();
    const StepResult result = forward_backward(cut, cut.batches(0));
    EXPECT_NEAR(result.loss, expected.loss, 1e-6 * expected.loss) << micro_batch;
    expect_same_gradients(*whole.module, *cut.module, micro_batch);
    EXPECT_EQ(result.movement_accuracy, expected.movement_accuracy);
  }
}

TEST_F(RealModel, NorDoesItWithDropout) {
  const double without = forward_backward(task(), task().batches(0)).loss;
  model::ModelOptions& model = options_.model;
  model.image_qformer.dropout = model.video_qformer.dropout = model.audio.qformer_dropout = 0.1;
  model.decoder.lora.rank = 4;
  model.decoder.lora.dropout = 0.1;
  const Task whole = task();
  const StepResult expected = forward_backward(whole, whole.batches(0));
  EXPECT_GT(std::abs(expected.loss - without), 1e-4);
  EXPECT_NE(forward_backward(whole, whole.batches(1)).loss, expected.loss);
  for (const int64_t micro_batch : {8, 4, 2, 1}) {
    options_.train.micro_batch = micro_batch;
    const Task cut = task();
    const StepResult result = forward_backward(cut, cut.batches(0));
    EXPECT_NEAR(result.loss, expected.loss, 1e-6 * expected.loss) << micro_batch;
    for (const at::Tensor& parameter : whole.module->parameters()) parameter.mutable_grad() = at::Tensor();
    forward_backward(whole, whole.batches(0));
    expect_same_gradients(*whole.module, *cut.module, micro_batch);
  }
}

TEST_F(RealModel, CountsAreThoseOfTheLossWhateverIsSwitchedOff) {
  for (const int part : {0, 1, 2, 3, 4}) {
    options_.model = tiny_.options;
    if (part == 1) options_.model.local.enabled = false;
    if (part == 2) options_.model.audio.enabled = false;
    if (part == 3) options_.model.video_qformer.window.windows = model::Windows::none;
    if (part == 4) options_.model.visual.enabled = false;
    const Task model = task();
    const model::ClipBatch batch = model.batches(0).front();
    TermCounts counted;
    for (const auto& term : model.loss(batch).terms) counted[term.name] = term.count;
    EXPECT_EQ(counted.size(), model.counts(batch).size()) << part;
    for (const auto& [name, count] : model.counts(batch)) EXPECT_NEAR(counted[name], count, 1e-6) << name << part;
  }
}

TEST_F(RealModel, ResumesBitForBit) {
  options_.train.augment = {.flip = true, .face_shift = 1};
  const auto whole = folder(), parts = folder();
  Trainer(task(), options_.train, whole).run();
  Trainer(task(), options_.train, parts).run(5);
  Trainer(task(), options_.train, parts, checkpoint::find_latest(parts)->path).run();
  EXPECT_EQ(read_file(checkpoint::step_folder(whole, 12) / "model.safetensors"),
            read_file(checkpoint::step_folder(parts, 12) / "model.safetensors"));
  EXPECT_EQ(test::timeless_metrics(whole), test::timeless_metrics(parts));
}

TEST_F(RealModel, ACapAsksFewerQuestions) {
  const int64_t all = task().batches(0).front().lengths_R.size(0);
  options_.train.questions_per_clip = 1;
  EXPECT_EQ(all, 24);
  EXPECT_EQ(task().batches(0).front().lengths_R.size(0), 16);
}

TEST_F(RealModel, ValidationReadsEveryClipOnce) {
  for (uint64_t i = 20; i < 27; ++i) data_->validation.push_back(clip(i));
  options_.train.micro_batch = 3;
  const Task model = task();
  std::vector<std::string> ids;
  for (int64_t i = 0; i < model.validation_batches; ++i)
    for (const std::string& id : model.validation_batch(i).ids) ids.push_back(id);
  EXPECT_THAT(ids, testing::ElementsAre("clip200", "clip210", "clip220", "clip230", "clip240", "clip250", "clip260"));
}

TEST(TrainableQuestions, ThoseWithLabelsOrAnAnswer) {
  data::Clip clip;
  clip.utterances.resize(3);
  clip.utterances[0].labels = {"sad"};
  clip.utterances[2].answer = "They are sad.";
  EXPECT_EQ(trainable_questions(clip), (std::vector<int64_t>{0, 2}));
}

}  // namespace
}  // namespace microemo::train
