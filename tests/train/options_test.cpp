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
  expect_without_effect("train.augment.timechat_crop", {"train.augment.timechat_crop=true", "model.visual.enabled=false"},
                        "model.visual.enabled is true");
  expect_without_effect("train.augment.face_shift", {"train.augment.face_shift=1", "model.local.enabled=false"},
                        "model.local.enabled is true");
}

TEST_F(Options, RefuseAnExceptionFromAWeightDecayThatIsOff) {
  expect_without_effect("train.no_decay", {"train.weight_decay=0", "train.no_decay=[]"}, "train.weight_decay is above 0");
}

TEST_F(Options, RefuseKeysOfAnotherSchedule) {
  expect_without_effect("train.lavis.first_epoch", {"train.lavis.first_epoch=1"}, "train.schedule is lavis");
  expect_without_effect("train.final_fraction", {"train.schedule=lavis", "train.final_fraction=0.1"},
                        "train.schedule is cosine or linear");
  expect_without_effect("train.no_decay", {"train.decay_rule=lavis", "train.no_decay=[x]"}, "train.decay_rule is patterns");
}

TEST_F(Options, RefuseEpochsThatAreNoWholeNumberOfSteps) {
  load({"train.schedule=lavis", "train.lavis.iterations_per_epoch=3102", "train.lavis.iterations_per_step=8"});
  const Error error = expect_error(
      ErrorKind::config, [&] { check_options(options); }, "epochs of 3102 iterations are no whole number of steps of 8");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("iterations_per_epoch=3104"));
}

TEST_F(Options, RefuseALowestRateAboveTheHighest) {
  load({"train.schedule=lavis", "train.learning_rate=1e-5", "train.lavis.lowest_rate=1e-5"});
  EXPECT_NO_THROW(check_options(options));
  load({"train.schedule=lavis", "train.learning_rate=5e-6", "train.lavis.lowest_rate=1e-5"});
  const Error error = expect_error(
      ErrorKind::config, [&] { check_options(options); }, "the lowest learning rate, 1e-05, is above the highest, 5e-06");
  EXPECT_EQ(error.place(), "train.lavis.lowest_rate and train.learning_rate");
}

TEST_F(Options, RefuseATypeOfFrozenMatricesWhenNoneIsFrozen) {
  for (const std::string type : {"bf16", "int8", "nf4"}) {
    options = {};
    load({"train.frozen_dtype=" + type});
    const Error error = expect_error(
        ErrorKind::config, [&] { check_options(options); }, "it has no effect");
    EXPECT_EQ(error.place(), "train.frozen_dtype");
    load({"train.frozen_dtype=" + type, "train.frozen=[decoder.block0.up.weight]"});
    EXPECT_NO_THROW(check_options(options));
  }
  options = {};
  load({"train.frozen_dtype=nf4", "train.frozen=[visual_encoder.*]"});
  expect_error(
      ErrorKind::config, [&] { check_options(options); }, "every matrix of the decoder's blocks is trained");
  load({"train.frozen_dtype=fp32"});
  EXPECT_NO_THROW(check_options(options));
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

TEST_F(Options, RefuseFaceWindowsOfALengthBesideFramesOfNoRate) {
  load({"prepare.frame_rule=uniform"});
  const Error error = expect_error(
      ErrorKind::config, [&] { check_options(options); }, "may leave gaps");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("model.local.window_s=0"));
  load({"prepare.frame_rule=uniform", "model.local.window_s=0"});
  EXPECT_NO_THROW(check_options(options));
}

TEST_F(Options, RefuseALocalBranchWithoutFaces) {
  load({"prepare.faces=false"});
  expect_error(
      ErrorKind::config, [&] { check_options(options); }, "the local branch looks at faces");
  load({"prepare.faces=false", "model.local.enabled=false"});
  EXPECT_NO_THROW(check_options(options));
  options = {};
  expect_without_effect("prepare.face_size", {"prepare.faces=false", "prepare.face_size=48"}, "prepare.faces is true");
}

TEST_F(Options, RefusePartsThatDoNotFitBeforeAnyWeightIsRead) {
  const auto refused = [&](const std::vector<std::string>& overrides, const std::string& message) {
    options = {};
    load(overrides);
    expect_error(
        ErrorKind::config, [&] { check_options(options); }, message);
  };
  refused({"model.visual.width=66"}, "heads");
  refused({"model.decoder.heads=5"}, "a decoder of 128 channels cannot have 5 heads");
  refused({"model.visual.patch=24"}, "cannot be cut into patches of 24");
  refused({"model.video_qformer.width=30", "model.video_qformer.heads=4"}, "heads");
  refused({"model.local.encoder=shared"}, "the ViT of whole frames reads colour pictures of 112 x 64");
  refused({"model.decoder.lora.rank=4", "model.decoder.lora.targets=[query,wrong]"}, "no projection 'wrong'");
}

TEST_F(Options, RefusePatchesAndFeaturesThatDoNotFit) {
  // Frames of 112 x 64 have 28 patches of 16.
  const std::vector<std::string> fitting{"model.video_qformer.pooling=patches", "model.video_qformer.queries=7",
                                         "model.local.enabled=false", "prepare.frame_rule=uniform", "prepare.frame_count=1"};
  const auto with = [&](const std::vector<std::string>& more) {
    options = {};
    std::vector<std::string> overrides = fitting;
    overrides.insert(overrides.end(), more.begin(), more.end());
    load(overrides);
  };
  const auto refused = [&](const std::vector<std::string>& more, const std::string& message, const std::string& hint) {
    with(more);
    const Error error = expect_error(
        ErrorKind::config, [&] { check_options(options); }, message);
    EXPECT_THAT(error.next_step(), testing::HasSubstr(hint));
  };
  with({"model.features.names=[voice,face]", "model.features.widths=[8,4]"});
  EXPECT_NO_THROW(check_options(options));
  refused({"model.video_qformer.queries=8"}, "8 tokens of 4 patches each are asked for, and a frame has 28 patches", "queries=7");
  refused({"model.video_qformer.merge=5"}, "7 tokens of 5 patches each", "queries=5");
  refused({"model.local.enabled=true", "model.local.window_s=0"}, "the local branch would change them",
          "model.local.enabled=false");
  refused({"prepare.frame_count=2"}, "the patches of one frame, and prepare takes more", "prepare.frame_count=1");
  refused({"model.features.names=[voice,face]", "model.features.widths=[8]"}, "2 features have names, and 1 have widths",
          "in the order of the names");
  refused({"model.features.names=[voice,voice]", "model.features.widths=[8,8]"}, "'voice' is empty or stands twice",
          "of its own");
  refused({"model.features.names=['']", "model.features.widths=[8]"}, "'' is empty or stands twice", "of its own");
  refused({"model.features.class_token=true"}, "a class token is asked for, and the encoder of style plain has none",
          "model.visual.style=eva");
  options = {};
  load({"model.features.class_token=true"});
  expect_error(
      ErrorKind::config, [&] { check_options(options); }, "a class token is asked for, and the model takes no patches");
}

TEST_F(Options, RefuseMoreMediaTokensThanARowHolds) {
  load({"prepare.frame_rule=uniform", "prepare.frame_count=96", "model.local.window_s=0", "model.video_qformer.windows=sliding",
        "model.video_qformer.window_length=8", "model.video_qformer.stride=8", "model.video_qformer.queries=64"});
  const Error error = expect_error(
      ErrorKind::config, [&] { check_options(options); },
      "834 tokens of picture and sound leave no room for words in rows of 512");
  EXPECT_EQ(error.place(), "model.decoder.max_tokens");
}

TEST_F(Options, RefuseASoundThatTheEncoderCannotRead) {
  load({"model.audio.style=hubert"});
  const Error error = expect_error(
      ErrorKind::config, [&] { check_options(options); }, "style hubert cannot read");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("prepare.sound=samples"));
  options = {};
  load({"prepare.sound=imagebind"});
  expect_error(
      ErrorKind::config, [&] { check_options(options); }, "style plain cannot read");
}

TEST_F(Options, RefuseMoreFramesThanPositions) {
  load({"prepare.frame_rule=uniform", "prepare.frame_count=33", "model.local.window_s=0", "model.video_qformer.positions=32"});
  expect_error(
      ErrorKind::config, [&] { check_options(options); }, "33 frames of a clip are more than the 32 positions");
}

TEST_F(Options, RefuseKeysOfWindowsOfAnotherKind) {
  expect_without_effect("model.video_qformer.window_s", {"model.video_qformer.window_s=1"},
                        "model.video_qformer.windows is fixed");
  expect_without_effect("model.audio.stride", {"model.audio.stride=1"}, "model.audio.windows is sliding");
  expect_without_effect("model.video_qformer.whole", {"model.video_qformer.windows=none", "model.video_qformer.whole=true"},
                        "model.video_qformer.windows is not none");
  expect_without_effect("model.video_qformer.order", {"model.video_qformer.whole=false", "model.video_qformer.order=whole_last"},
                        "model.video_qformer.whole is true and model.video_qformer.windows is not none");
}

TEST_F(Options, RefuseKeysOfPartsOfAnotherStyle) {
  expect_without_effect("model.visual.projection", {"model.visual.projection=8"}, "model.visual.style is clip");
  expect_without_effect("model.image_qformer.queries", {"model.visual.style=clip", "model.image_qformer.queries=8"},
                        "model.visual.style is plain or eva");
  expect_without_effect("model.audio.patch_frames", {"model.audio.style=imagebind", "model.audio.patch_frames=8"},
                        "model.audio.style is plain");
  expect_without_effect("model.video_qformer.queries", {"model.video_qformer.pooling=attention", "model.video_qformer.queries=8"},
                        "model.video_qformer.pooling is qformer");
  expect_without_effect("model.video_qformer.merge", {"model.video_qformer.merge=2"}, "model.video_qformer.pooling is patches");
  expect_without_effect("model.image_qformer.queries", {"model.video_qformer.pooling=patches", "model.image_qformer.queries=8"},
                        "model.video_qformer.pooling is qformer or attention");
  expect_without_effect("model.fusion.width", {"model.fusion.width=8"}, "model.fusion.enabled is true");
  expect_without_effect("model.local.patch", {"model.local.encoder=shared", "model.local.patch=8"}, "model.local.encoder is own");
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
