#include "microemo/train/options.h"

#include "infer/tiny_model.h"
#include "microemo/base/files.h"
#include "microemo/text/tokenizer.h"
#include "microemo/train/load_run.h"
#include "support/errors.h"

namespace microemo::train {
namespace {

using test::expect_error;

struct Options : testing::Test {
  RunOptions options;

  ResolvedConfig load(const std::vector<std::string>& overrides) { return load_config(options, {}, overrides); }
  void expect_without_effect(const std::string& key, const std::vector<std::string>& overrides, const std::string& when) {
    expect_error(
        ErrorKind::config, [&] { load(overrides); }, fmt::format("'{}' has no effect unless {}", key, when));
    options = {};
  }
};

TEST_F(Options, RefuseTheKeysOfALocalBranchThatIsOff) {
  for (const std::string key :
       {"patch=4", "layers=1", "patch_features=8", "temporal_layers=1", "heads=2", "temporal_reach_s=1", "window_s=1"})
    expect_without_effect("model.local." + key.substr(0, key.find('=')), {"model.local.enabled=false", "model.local." + key},
                          "model.local.enabled is true");
}

TEST_F(Options, RefuseWhatReadsThePictureWhenItIsOff) {
  for (const std::string key : {"visual.width=8", "image_qformer.queries=1", "local.window_s=1", "video_qformer.windows=none"})
    expect_without_effect("model." + key.substr(0, key.find('=')), {"model.visual.enabled=false", "model." + key},
                          "model.visual.enabled is true");
}

TEST_F(Options, RefuseTheKeysOfASoundBranchThatIsOff) {
  for (const std::string key : {"windows=none", "width=8", "queries=1", "clip_s=1", "mel_mean=0"})
    expect_without_effect("model.audio." + key.substr(0, key.find('=')), {"model.audio.enabled=false", "model.audio." + key},
                          "model.audio.enabled is true");
}

TEST_F(Options, RefuseAdaptersOfRankZero) {
  expect_without_effect("model.decoder.lora.alpha", {"model.decoder.lora.alpha=8"}, "model.decoder.lora.rank is above 0");
  expect_without_effect("model.decoder.lora.targets", {"model.decoder.lora.targets=[up]"}, "model.decoder.lora.rank is above 0");
}

TEST_F(Options, RefuseToAugmentWhatIsNotLookedAt) {
  expect_without_effect("train.augment.flip", {"train.augment.flip=true", "model.visual.enabled=false"},
                        "model.visual.enabled is true");
  expect_without_effect("train.augment.face_shift", {"train.augment.face_shift=1", "model.local.enabled=false"},
                        "model.local.enabled is true");
}

TEST_F(Options, RefuseAnExceptionFromAWeightDecayThatIsOff) {
  expect_without_effect("train.no_decay", {"train.weight_decay=0", "train.no_decay=[]"}, "train.weight_decay is above 0");
}

TEST_F(Options, RefuseAModelThatHasNothingToLearn) {
  load({"model.alignment.answer=0"});
  expect_error(
      ErrorKind::config, [&] { check_options(options); }, "every loss has the weight 0");
  load({"model.alignment.answer=0", "model.alignment.window_voice=1"});
  EXPECT_NO_THROW(check_options(options));
}

TEST_F(Options, RefuseToValidateByAnAnswerThatIsNotLearned) {
  expect_without_effect("train.valid_every", {"model.alignment.answer=0", "train.valid_every=5"},
                        "model.alignment.answer is above 0");
}

TEST_F(Options, LetAnAblationSwitchABranchOffThatTheFileSets) {
  const TemporaryFolder place;
  write_file_atomic(place.path() / "train.yaml",
                    "model: {local: {window_s: 1}, audio: {queries: 3}, alignment: {movement: 1, window_voice: 1}}\n"
                    "train: {augment: {flip: true, face_shift: 1}}\n");
  EXPECT_NO_THROW(
      load_config(options, {place.path() / "train.yaml"}, {"model.visual.enabled=false", "model.audio.enabled=false"}));
}

TEST_F(Options, LetTheWeightsOfTheAlignmentStayWhenABranchIsOff) {
  EXPECT_NO_THROW(load({"model.local.enabled=false", "model.alignment.movement=1"}));
}

TEST_F(Options, RefuseNumbersThatNoMachineHolds) {
  for (const std::string key : {"model.visual.width=100000", "model.visual.patch=100000", "model.image_qformer.queries=100000",
                                "model.local.patch_features=100000", "model.audio.width=100000", "model.decoder.width=10000000",
                                "model.decoder.layers=100000", "model.decoder.hidden=10000000", "train.batch=9000000000000000000",
                                "model.decoder.max_tokens=9000000000000000000", "model.decoder.utterances=9000000000000000000",
                                "model.decoder.vocabulary=9000000000000000000", "train.steps=9000000000000000000"})
    expect_error(
        ErrorKind::config, [&] { load({key}); }, "at most");
}

TEST_F(Options, RefuseFaceWindowsThatLeaveGaps) {
  load({"model.local.window_s=0.19", "prepare.frame_rate=5"});
  const Error error = expect_error(
      ErrorKind::config, [&] { check_options(options); }, "face windows of 0.19 s leave gaps");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("0.2 or more"));
}

TEST_F(Options, TakeFaceWindowsThatJustTile) {
  load({"model.local.window_s=0.2", "prepare.frame_rate=5"});
  EXPECT_NO_THROW(check_options(options));
}

TEST_F(Options, LookAtFaceWindowsOnlyWithALocalBranch) {
  load({"model.local.enabled=false", "prepare.frame_rate=1"});
  EXPECT_NO_THROW(check_options(options));
}

TEST_F(Options, RefuseATokenTableThatIsSmallerThanTheTokenizer) {
  const test::TinyModel tiny;
  options.model = tiny.options;
  options.prepare = tiny.prepare;
  options.model.decoder.vocabulary = 10;
  expect_error(
      ErrorKind::config, [&] { build_model(options, *tiny.tokenizer); },
      "model.decoder.vocabulary is 10, and the tokenizer has 330 tokens");
}

}  // namespace
}  // namespace microemo::train
