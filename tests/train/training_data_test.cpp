#include "microemo/checkpoint/folder.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "microemo/train/run_folder.h"
#include "train/prepared_set.h"
#include "train/support.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

class Prepared : public testing::Test {
 protected:
  Prepared() { config_ = load_config(options_, {folder_.path() / "train.json"}); }

  Error refusal(ErrorKind kind, const std::string& part) {
    return expect_error(
        kind, [&] { load_training_data(options_); }, part);
  }

  TemporaryFolder folder_;
  test::PreparedSet set_{folder_.path()};
  RunOptions options_;
  ResolvedConfig config_;
};

TEST_F(Prepared, TrainsOnTheClipsOfItsSplitOnly) {
  const TrainingData data = load_training_data(options_);
  EXPECT_EQ(data.samples.size(), 6u);
  EXPECT_TRUE(data.validation.empty());
  EXPECT_EQ(data.manifest_hash.size(), 64u);
}

TEST_F(Prepared, ReadsTheClipsOfValidationWhenAsked) {
  options_.train.valid_every = 5;
  EXPECT_EQ(load_training_data(options_).validation.size(), 2u);
}

TEST_F(Prepared, AnEmptySplitTakesAll) {
  options_.train.split = "";
  EXPECT_EQ(load_training_data(options_).samples.size(), 8u);
}

TEST_F(Prepared, AManifestWithoutAnySplitIsTakenWhole) {
  for (auto& clip : set_.clips) clip.split.clear();
  set_.write_clips();
  EXPECT_EQ(load_training_data(options_).samples.size(), 8u);
}

TEST_F(Prepared, RefusesASplitThatNoClipHas) {
  options_.train.split = "trian";
  const Error error = refusal(ErrorKind::data, "no clip has the split 'trian'; the manifest has train, valid");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("train.split"));
}

TEST_F(Prepared, RefusesAMissingManifestOption) {
  options_.train.manifest = "";
  refusal(ErrorKind::config, "train.manifest is not set");
}

TEST_F(Prepared, RefusesAMissingCacheOption) {
  options_.train.cache = "";
  refusal(ErrorKind::config, "train.cache is not set");
}

TEST_F(Prepared, RefusesAManifestThatDoesNotExist) {
  options_.train.manifest = (folder_.path() / "absent.jsonl").string();
  refusal(ErrorKind::data, "absent.jsonl");
}

TEST_F(Prepared, RefusesAClipThatIsNotPrepared) {
  options_.prepare.frame_rate = 7;
  refusal(ErrorKind::data, "clip 'clip0'");
}

TEST_F(Prepared, ListsTheClipsThatMayBeMissing) {
  fs::remove(data::cache_file(folder_.path() / "cache", set_.clips[2], options_.prepare));
  options_.train.allow_missing = true;
  const TrainingData data = load_training_data(options_);
  EXPECT_EQ(data.samples.size(), 5u);
  EXPECT_EQ(data.missing, (std::vector<std::string>{"clip20"}));
}

TEST_F(Prepared, RefusesAClipWithNothingToTrainOn) {
  for (auto& utterance : set_.clips[1].utterances) utterance.labels.clear();
  set_.write_clips();
  const Error error = refusal(ErrorKind::data, "clip 'clip10' has no utterance with labels");
  EXPECT_THAT(error.place(), testing::HasSubstr("line 2"));
}

TEST_F(Prepared, AModelThatReadsAloneNeedsNoVideosAndNoCache) {
  for (auto& clip : set_.clips) clip.video.clear();
  set_.write_clips();
  options_.train.cache.clear();
  options_.model.visual.enabled = options_.model.audio.enabled = false;
  const auto data = std::make_shared<const TrainingData>(load_training_data(options_));
  EXPECT_EQ(data->samples.size(), 6u);
  const auto tokenizer = std::make_shared<const text::Tokenizer>(options_.train.tokenizer);
  const Task task = microemo_task(options_, data, tokenizer, build_model(options_, *tokenizer));
  EXPECT_GT(forward_backward(task, task.batches(0)).answer_loss, 0);
}

TEST_F(Prepared, RefusesAClipOfWordsAloneWhereTheModelLooks) {
  set_.clips[1].video.clear();
  set_.write_clips();
  refusal(ErrorKind::data, "clip 'clip10' has no video");
}

/// A run of two steps, left in RUN.
class Loaded : public Prepared {
 protected:
  Loaded() {
    start_run_folder(run_, config_, environment_json({}, {}), {options_.train.tokenizer, {}});
    const auto tokenizer = std::make_shared<const text::Tokenizer>(options_.train.tokenizer);
    model_ = build_model(options_, *tokenizer);
    const auto data = std::make_shared<const TrainingData>(load_training_data(options_));
    Trainer(microemo_task(options_, data, tokenizer, model_), options_.train, run_).run(2);
  }

  const fs::path run_ = folder_.path() / "run";
  std::shared_ptr<model::MicroEmo> model_;
};

TEST_F(Loaded, ARunIsOpenedWithItsWeightsAndOptions) {
  const LoadedRun loaded = load_run(run_);
  EXPECT_EQ(loaded.step, 2);
  EXPECT_EQ(loaded.options.model.decoder.width, 32);
  for (const auto& [name, tensor] : checkpoint::tensors_of(*loaded.model))
    EXPECT_TRUE(tensor.equal(checkpoint::tensors_of(*model_).at(name))) << name;
}

TEST_F(Loaded, ACheckpointNeedsNothingOutsideItsFolder) {
  const fs::path moved = folder_.path() / "moved";
  fs::rename(checkpoint::step_folder(run_, 2), moved);
  for (const char* name : {"run", "tokenizer.model", "manifest.jsonl", "train.json"}) fs::remove_all(folder_.path() / name);
  EXPECT_EQ(load_run(moved).step, 2);
}

TEST_F(Loaded, TheAveragesAreTakenWhenAskedForAndAnErrorWhenThereAreNone) {
  expect_error(
      ErrorKind::checkpoint, [&] { load_run(run_, /*averaged=*/true); }, "the checkpoint has no averaged weights");
  const auto own = checkpoint::tensors_of(*model_);
  const auto& [name, weight] = *own.begin();
  checkpoint::write_tensors(checkpoint::step_folder(run_, 2) / "ema.safetensors", {{name, weight.add(1)}});
  const auto averaged = checkpoint::tensors_of(*load_run(run_, /*averaged=*/true).model);
  EXPECT_TRUE(averaged.at(name).equal(weight.add(1)));
  EXPECT_TRUE(checkpoint::tensors_of(*load_run(run_).model).at(name).equal(weight));
}

TEST_F(Loaded, RefusesAFolderWithoutACheckpoint) {
  expect_error(
      ErrorKind::checkpoint, [&] { load_run(folder_.path()); }, "no whole checkpoint");
}

TEST_F(Loaded, AModelStartsFromTheWeightsOfARun) {
  options_.train.init_from = {run_.string()};
  const auto again = build_model(options_, text::Tokenizer(options_.train.tokenizer));
  for (const auto& [name, tensor] : checkpoint::tensors_of(*again))
    EXPECT_TRUE(tensor.equal(checkpoint::tensors_of(*model_).at(name))) << name;
}

TEST_F(Loaded, TheLaterOfSeveralStartsWins) {
  const fs::path other = folder_.path() / "other";
  start_run_folder(other, config_, environment_json({}, {}), {options_.train.tokenizer, {}});
  options_.train.seed = 5;
  const auto tokenizer = std::make_shared<const text::Tokenizer>(options_.train.tokenizer);
  const auto data = std::make_shared<const TrainingData>(load_training_data(options_));
  const auto later = build_model(options_, *tokenizer);
  Trainer(microemo_task(options_, data, tokenizer, later), options_.train, other).run(1);
  options_.train.init_from = {run_.string(), other.string()};
  const auto started = build_model(options_, *tokenizer);
  for (const auto& [name, tensor] : checkpoint::tensors_of(*started))
    EXPECT_TRUE(tensor.equal(checkpoint::tensors_of(*later).at(name))) << name;
}

TEST_F(Loaded, RefusesToStartFromAnotherModel) {
  options_.train.init_from = {run_.string()};
  options_.model.decoder.lora.rank = 2;
  expect_error(
      ErrorKind::checkpoint, [&] { build_model(options_, text::Tokenizer(options_.train.tokenizer)); }, "missing");
}

TEST_F(Loaded, APartOfTheWeightsIsTakenWhenAllowed) {
  options_.train.init_from = {run_.string()};
  options_.train.init_partial = true;
  options_.model.decoder.lora.rank = 2;
  EXPECT_NO_THROW(build_model(options_, text::Tokenizer(options_.train.tokenizer)));
}

}  // namespace
}  // namespace microemo::train
