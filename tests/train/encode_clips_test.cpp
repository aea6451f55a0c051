// Frozen encoders that run once for each clip: what steps learn is what they learn where the encoders run in them.
#include "microemo/train/encode_clips.h"

#include <fmt/ranges.h>

#include "infer/tiny_model.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/data/encoded.h"
#include "microemo/model/vit.h"
#include "microemo/train/load_run.h"
#include "parallel/ranks.h"
#include "train/support.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using parallel::Group;
using test::expect_error;

/// Six prepared clips to train on, two of which have the same contents, and two to validate on; one has no sound. A model that
/// looks with a ViT and listens with a small HuBERT, both frozen.
class EncodeClips : public testing::Test {
 protected:
  EncodeClips() {
    tiny_.options.audio = {.style = model::AudioStyle::hubert, .width = 16, .layers = 3, .heads = 2, .hidden = 32};
    tiny_.options.audio.wave_channels = 8;
    tiny_.options.audio.piece_tokens = 2;
    tiny_.options.audio.qformer_heads = 2;
    tiny_.options.alignment = {.movement = 0.5, .window_movement = 0.3};
    tiny_.prepare.sound = data::SoundInput::samples;
    options_.model = tiny_.options;
    options_.prepare = tiny_.prepare;
    options_.train = test::small_options(6);
    options_.train.learning_rate = 1e-3;
    options_.train.batch = 4;
    options_.train.micro_batch = 2;
    options_.train.frozen = {"visual_encoder.*", "audio_encoder.*"};
    options_.train.encoder_cache = (folder_.path() / "encoded").string();
    for (uint64_t i = 0; i < 8; ++i) write_clip(i);
  }

  void write_clip(uint64_t i) {
    data::Utterance utterance = test::spoken(0.1, 0.5, i % 2 == 0 ? "This frame" : "is sampled at");
    utterance.labels = {i % 3 == 0 ? "happy" : "sad"};
    utterance.face = i % 2 == 0 ? "none" : "brow_up";
    const uint64_t contents = i == 5 ? 4 : i;
    data::Sample sample = tiny_.clip(10 * contents, 3 + int64_t(contents % 3), {utterance}, /*sound=*/false);
    const int64_t pieces = contents == 1 ? 0 : 1 + int64_t(contents % 2);
    sample.prepared.pieces_K = test::random_bytes({pieces, 32000}, at::kChar, contents).to(at::kFloat) / 128;
    sample.prepared.piece_times_K = test::times(pieces, 0.5) + 1;
    sample.clip.id = "clip" + std::to_string(i);
    sample.index = int64_t(i);
    sample.entry = folder_.path() / "cache" / fmt::format("{:02}", contents) / fmt::format("{:064}.safetensors", contents);
    data::write_prepared(sample.entry, sample.prepared);
    (i < 6 ? data_.samples : data_.validation).push_back(sample);
  }

  std::shared_ptr<model::MicroEmo> make_model() const { return build_model(options_, *tiny_.tokenizer); }
  EncodedClips encode(TrainingData& data, model::MicroEmo& model, const fs::path& checkpoint = {}) const {
    Group alone;
    return encode_clips(options_, data, tiny_.tokenizer, model, checkpoint, at::kCPU, alone);
  }
  EncodedClips encode() const {
    TrainingData data = data_;
    return encode(data, *make_model());
  }

  /// A task whose encoders run in the steps, or before them.
  Task task(bool encoded, const fs::path& checkpoint = {}) const {
    auto data = std::make_shared<TrainingData>(data_);
    const auto model = make_model();
    EncodedClips result;
    if (encoded) result = encode(*data, *model, checkpoint);
    Task made = microemo_task(options_, data, tiny_.tokenizer, model);
    made.on_host = result.kept.not_run;
    return made;
  }

  /// Entries with one frame, and pieces of sound of this shape.
  void rewrite_clips(at::IntArrayRef piece) {
    for (auto* samples : {&data_.samples, &data_.validation})
      for (data::Sample& sample : *samples) {
        data::PreparedClip& clip = sample.prepared;
        std::vector<int64_t> sizes = {clip.piece_times_K.size(0)};
        sizes.insert(sizes.end(), piece.begin(), piece.end());
        clip.pieces_K = test::random_bytes(sizes, at::kChar, sizes[0]).to(at::kFloat) / 32;
        clip.frames_TCHW = clip.frames_TCHW.slice(0, 0, 1).clone();
        clip.frame_times_T = clip.frame_times_T.slice(0, 0, 1).clone();
        data::write_prepared(sample.entry, clip);
      }
  }

  fs::path folder(const std::string& name) const {
    fs::create_directories(folder_.path() / name);
    return folder_.path() / name;
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::recursive_directory_iterator(options_.train.encoder_cache))
      if (entry.is_regular_file()) all.push_back(entry.path());
    std::ranges::sort(all);
    return all;
  }

  /// Two steps with and without the cache.
  void expect_the_same_steps() const {
    const Task runs = task(false), kept = task(true);
    for (const int64_t step : {0, 3}) {
      for (const model::ClipBatch& batch : kept.batches(step)) EXPECT_FALSE(batch.frames_BTCHW.defined());
      const double wanted = forward_backward(runs, runs.batches(step)).loss,
                   loss = forward_backward(kept, kept.batches(step)).loss;
      EXPECT_NEAR(loss, wanted, 1e-6 * wanted);
      EXPECT_LT(test::relative_distance(test::gradients_of(*runs.module), test::gradients_of(*kept.module)), 5e-6);
    }
  }

  /// Cut in two by the checkpoint of a run, behind which the cache is gone.
  void expect_resumed(int64_t encoded_again) {
    options_.train.valid_every = 2;
    options_.train.valid_answers = 2;
    options_.train.valid_tokens = 4;
    const RunOutcome expected = Trainer(task(true), options_.train, folder("whole")).run();
    const RunOutcome half = Trainer(task(true), options_.train, folder("parts")).run(3);
    fs::remove_all(options_.train.encoder_cache);
    const int64_t seed = options_.train.seed;
    // Encoders of other values, as a model without values may have any.
    options_.train.seed = seed + 1;
    auto data = std::make_shared<TrainingData>(data_);
    const auto model = make_model();
    options_.train.seed = seed;
    EXPECT_EQ(encode(*data, *model, half.checkpoint).encoded, encoded_again);
    const Task resumed = microemo_task(options_, data, tiny_.tokenizer, model);
    const RunOutcome rest = Trainer(resumed, options_.train, folder("parts"), half.checkpoint).run();
    EXPECT_EQ(rest.step, expected.step);
    for (const char* file : {"model.safetensors", "optimizer.safetensors"})
      EXPECT_EQ(read_file(rest.checkpoint / file), read_file(expected.checkpoint / file)) << file;
    EXPECT_EQ(test::timeless_metrics(folder("parts")), test::timeless_metrics(folder("whole")));
  }

  void expect_refused(const std::string& message, const std::string& place) const {
    expect_error(
        ErrorKind::config, [&] { encode(); }, message);
    expect_error(
        ErrorKind::config, [&] { check_options(options_); }, place);
  }

  TemporaryFolder folder_;
  test::TinyModel tiny_;
  RunOptions options_;
  TrainingData data_;
};

TEST_F(EncodeClips, GiveTheLossAndGradientsOfEncodersThatRun) { expect_the_same_steps(); }

TEST_F(EncodeClips, GiveThemForClipsTokensToo) {
  options_.model.visual = {
      .style = model::VisualStyle::clip, .width = 16, .patch = 16, .layers = 1, .heads = 2, .projection = 16};
  expect_the_same_steps();
}

TEST_F(EncodeClips, GiveThemForPatchesOfOneFrameItsClassTokenAndImageBind) {
  options_.model.visual = {.style = model::VisualStyle::eva, .width = 16, .patch = 16, .layers = 1, .heads = 2, .hidden = 32};
  options_.model.local.enabled = false;
  options_.model.features.class_token = true;
  options_.model.video_qformer = {.pooling = model::VideoPooling::patches, .merge = 2, .queries = 2};
  options_.model.audio = {.style = model::AudioStyle::imagebind, .width = 16, .layers = 1, .heads = 2, .projection = 16};
  options_.prepare.sound = data::SoundInput::imagebind;
  options_.prepare.mel_bands = 32;
  rewrite_clips({204, 32});
  expect_the_same_steps();
}

TEST_F(EncodeClips, GiveThemForPooledClipTokensAndWhisper) {
  options_.model.visual = {
      .style = model::VisualStyle::clip, .width = 16, .patch = 16, .layers = 1, .heads = 2, .projection = 16};
  options_.model.video_qformer = {.pooling = model::VideoPooling::attention};
  options_.model.audio = {.style = model::AudioStyle::whisper, .width = 16, .layers = 1, .heads = 2, .piece_tokens = 3};
  options_.prepare.sound = data::SoundInput::whisper;
  options_.prepare.mel_bands = 80;
  rewrite_clips({80, 3000});
  expect_the_same_steps();
}

TEST_F(EncodeClips, GiveThemWhereOneEncoderAloneIsFrozen) {
  options_.train.frozen = {"visual_encoder.*"};
  expect_the_same_steps();
  const Task kept = task(true);
  EXPECT_TRUE(kept.batches(0)[0].pieces_BK.defined());
  EXPECT_EQ(kept.on_host, std::vector<std::string>{"visual_encoder"});
}

TEST_F(EncodeClips, GiveThemBehindAFrozenImageQFormer) {
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  expect_the_same_steps();
  const Task kept = task(true);
  EXPECT_TRUE(kept.batches(1)[0].encoded_queries_BTQC.defined());
  EXPECT_FALSE(kept.batches(1)[0].encoded_BTSC.defined());
  EXPECT_EQ(kept.on_host, (std::vector<std::string>{"visual_encoder", "image_qformer"}));
  options_.model.image_qformer.timestamp_text = false;
  expect_the_same_steps();
}

TEST_F(EncodeClips, GiveThemForAClipWithoutFramesToo) {
  data::Sample& sample = data_.samples[2];
  data::PreparedClip& clip = sample.prepared;
  clip.frames_TCHW = clip.frames_TCHW.slice(0, 0, 0).clone();
  clip.frame_times_T = clip.frame_times_T.slice(0, 0, 0).clone();
  data::write_prepared(sample.entry, clip);
  expect_the_same_steps();
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  options_.train.recompute = "all";
  expect_the_same_steps();
}

TEST_F(EncodeClips, TeachNoImageQFormer) {
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  const Task kept = task(true);
  const auto parameters = kept.module->named_parameters();
  parameters["image_qformer.queries"].set_requires_grad(true);
  expect_error(
      ErrorKind::internal, [&] { forward_backward(kept, kept.batches(0)); }, "cannot teach");
}

TEST_F(EncodeClips, KeepTheImageQFormersTokensOnlyWhereTheyAreTheSameInEveryStep) {
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  const auto queries_of = [&](double dropout, bool keep_text) {
    options_.model.image_qformer.dropout = dropout;
    options_.model.image_qformer.keep_text = keep_text;
    const EncodedClips result = encode();
    EXPECT_TRUE(result.kept.frames);
    return result.kept.queries;
  };
  EXPECT_TRUE(queries_of(0, false));
  EXPECT_FALSE(queries_of(0.1, false));
  EXPECT_FALSE(queries_of(0, true)) << "their number depends on the other clips of a batch";
  options_.train.frozen = {"visual_encoder.*", "image_qformer.layer0.*"};
  EXPECT_FALSE(queries_of(0, false));
  expect_the_same_steps();
}

TEST_F(EncodeClips, HaveOtherTokensBehindAnImageQFormerThatReadsTimesOtherwise) {
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  EXPECT_EQ(encode().encoded, 7);
  options_.prompt.time_special = true;
  EXPECT_EQ(encode().encoded, 7);
  options_.model.image_qformer.heads = 1;
  EXPECT_EQ(encode().encoded, 7);
  options_.model.visual.heads = 4;
  EXPECT_EQ(encode().encoded, 7) << "the ViT before it is another";
  options_.model.video_qformer.queries += 1;
  EXPECT_EQ(encode().encoded, 0);
}

TEST_F(EncodeClips, HaveOtherTokensWhereAFileBesideTheVocabularyOfTimesIsAnother) {
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  const fs::path words = folder("words");
  fs::copy_file(fs::path(MICROEMO_SOURCE_DIR) / "tests/data/text/kinds/bert/vocab.txt", words / "vocab.txt");
  options_.prompt.time_tokenizer = words.string();
  options_.model.image_qformer.vocabulary = text::Tokenizer(words).size();
  EXPECT_EQ(encode().encoded, 7);
  write_file_atomic(words / "tokenizer_config.json", R"({"do_lower_case": true})");
  EXPECT_EQ(encode().encoded, 0) << "as it is without that file";
  write_file_atomic(words / "tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_EQ(encode().encoded, 7);
}

TEST_F(EncodeClips, AreReadWhereTheirTokensAreNotAskedFor) {
  options_.train.frozen = {"audio_encoder.*"};
  // As load_training_data leaves them for train.encoder_cache.
  for (data::Sample& sample : data_.samples) sample.prepared = data::read_prepared_without_frames(sample.entry);
  auto data = std::make_shared<TrainingData>(data_);
  const auto model = make_model();
  const EncodedClips result = encode(*data, *model);
  EXPECT_FALSE(result.kept.frames);
  const Task kept = microemo_task(options_, data, tiny_.tokenizer, model);
  for (const model::ClipBatch& batch : kept.batches(0)) {
    EXPECT_EQ(batch.frames_BTCHW.size(3), 32);
    EXPECT_FALSE(batch.pieces_BK.defined());
  }
  for (data::Sample& sample : data_.samples) sample.prepared = data::read_prepared(sample.entry);
  const Task runs = task(false);
  const double wanted = forward_backward(runs, runs.batches(0)).loss;
  EXPECT_NEAR(forward_backward(kept, kept.batches(0)).loss, wanted, 1e-6 * wanted);
}

TEST_F(EncodeClips, AreNotReadFromMemoryAnyMore) {
  auto data = data_;
  const auto model = make_model();
  encode(data, *model);
  for (const auto* samples : {&data.samples, &data.validation})
    for (const data::Sample& sample : *samples) {
      EXPECT_EQ(sample.prepared.frames_TCHW.numel(), 0);
      EXPECT_EQ(sample.prepared.frames_TCHW.size(0), sample.prepared.frame_times_T.size(0));
      EXPECT_EQ(sample.prepared.pieces_K.numel(), 0);
    }
}

TEST_F(EncodeClips, ResumeBitForBitWithAnEmptyCacheAndTheCheckpointsEncoders) {
  expect_resumed(14);
  options_.train.frozen.emplace_back("image_qformer.*");
  fs::remove_all(folder("whole")), fs::remove_all(folder("parts"));
  expect_resumed(14);
}

TEST_F(EncodeClips, EncodeEveryContentOnceAndKeepWhatIsThere) {
  const EncodedClips first = encode();
  EXPECT_EQ(first.clips, 7) << "two clips have the same contents";
  EXPECT_EQ(first.encoded, 14) << "frames and sound";
  EXPECT_EQ(files().size(), 14u);
  EXPECT_EQ(encode().encoded, 0);
  const std::string bytes = read_file(files()[3]);
  fs::remove(files()[3]);
  fs::resize_file(files()[5], 40);
  EXPECT_EQ(encode().encoded, 2);
  EXPECT_EQ(read_file(files()[3]), bytes) << "the same clip gives the same bytes";
}

TEST_F(EncodeClips, HaveAFolderForEveryEncoder) {
  encode();
  options_.model.image_qformer.queries += 1;
  options_.model.audio.queries += 1;
  options_.train.learning_rate = 2e-3;
  EXPECT_EQ(encode().encoded, 0) << "what reads the tokens changes nothing";
  options_.model.audio.piece_tokens = 1;
  EXPECT_EQ(encode().encoded, 7) << "of sound alone";
  options_.model.audio.heads = 4;
  EXPECT_EQ(encode().encoded, 7) << "of sound alone, whose weights are the same";
  options_.model.visual.heads = 4;
  EXPECT_EQ(encode().encoded, 7) << "of frames alone";
  options_.train.compute_dtype = ComputeType::bf16;
  EXPECT_EQ(encode().encoded, 7) << "frames are computed otherwise";
  options_.train.seed = 99;
  EXPECT_EQ(encode().encoded, 14) << "other weights";
}

TEST_F(EncodeClips, HaveAnotherFolderWhereAllTokensOfClipAreTaken) {
  options_.model.visual = {
      .style = model::VisualStyle::clip, .width = 16, .patch = 16, .layers = 1, .heads = 2, .projection = 16};
  options_.model.local.enabled = false;
  EXPECT_EQ(encode().encoded, 14);
  options_.model.video_qformer = {.pooling = model::VideoPooling::patches, .merge = 2};
  options_.model.video_qformer.queries = 2;
  EXPECT_EQ(encode().encoded, 7) << "of frames alone";
}

TEST_F(EncodeClips, AreKeptInHalfTheBytesWhereTheyAreComputedInBf16) {
  options_.train.compute_dtype = ComputeType::bf16;
  TrainingData data = data_;
  const auto model = make_model();
  encode(data, *model);
  const data::Sample& sample = data.samples[2];
  const at::Tensor kept = data::read_encoded(sample.encoded_frames, sample.prepared.frame_times_T.size(0), "");
  EXPECT_EQ(kept.scalar_type(), at::kBFloat16);
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(model->encode_frames(data_.samples[2].prepared.frames_TCHW).equal(kept.to(at::kFloat)));
}

TEST_F(EncodeClips, AreEncodedInTheirOrderWhereAClipHasMoreOfThemThanOneCallTakes) {
  data::Sample& sample = data_.samples[0];
  sample = tiny_.clip(7, /*frames=*/70, {test::spoken(0.1, 0.5, "This frame")}, /*sound=*/false);
  sample.prepared.pieces_K = test::random_bytes({33, 3200}, at::kChar, 1).to(at::kFloat) / 128;
  sample.prepared.piece_times_K = test::times(33, 0.2);
  sample.entry = folder_.path() / "cache" / "ff" / (std::string(64, 'f') + ".safetensors");
  data::write_prepared(sample.entry, sample.prepared);
  const data::PreparedClip clip = sample.prepared;
  const auto model = make_model();
  encode(data_, *model);
  const at::NoGradGuard no_grad;
  const at::Tensor frames = data::read_encoded(sample.encoded_frames, 70, ""),
                   pieces = data::read_encoded(sample.encoded_sound, 33, "");
  for (const int64_t row : {0, 31, 32, 40, 64, 69})
    EXPECT_TRUE(model->encode_frames(clip.frames_TCHW.slice(0, row, row + 1)).allclose(frames.slice(0, row, row + 1), 1e-4, 1e-5))
        << row;
  for (const int64_t row : {0, 31, 32})
    EXPECT_TRUE(model->encode_pieces(clip.pieces_K.slice(0, row, row + 1)).allclose(pieces.slice(0, row, row + 1), 1e-4, 1e-5))
        << row;
}

TEST_F(EncodeClips, ReadTheTimesOfTheirOwnFramesWhereAClipHasMoreOfThemThanOneCallTakes) {
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  data::Sample& sample = data_.samples[0];
  sample = tiny_.clip(7, /*frames=*/40, {test::spoken(0.1, 0.5, "This frame")}, /*sound=*/false);
  sample.prepared.frames_TCHW.copy_(sample.prepared.frames_TCHW.slice(0, 0, 1).clone());
  sample.entry = folder_.path() / "cache" / "ff" / (std::string(64, 'f') + ".safetensors");
  data::write_prepared(sample.entry, sample.prepared);
  const at::Tensor times_T = sample.prepared.frame_times_T, frame_1CHW = sample.prepared.frames_TCHW.slice(0, 0, 1);
  const auto model = make_model();
  encode(data_, *model);
  const at::NoGradGuard no_grad;
  const data::BatchBuilder builder(tiny_.tokenizer, options_.model, options_.prepare);
  const at::Tensor kept = data::read_encoded(sample.encoded_queries, 40, "");
  EXPECT_FALSE(kept[0].allclose(kept[32], 1e-4, 1e-5)) << "of the same pixels at another time";
  for (const int64_t row : {0, 8, 31, 32, 39}) {
    const at::Tensor text_1L = builder.time_text(times_T.slice(0, row, row + 1));
    EXPECT_TRUE(model->encode_queries(frame_1CHW, text_1L)[0].allclose(kept[row], 1e-4, 1e-5)) << row;
  }
}

TEST_F(EncodeClips, AreKeptOnlyWhereTheyAreTheSameInEveryStep) {
  options_.train.augment.flip = true;
  expect_refused("changed at random", "train.augment.flip");
  options_.train.augment = {.timechat_crop = true};
  expect_refused("changed at random", "train.augment.timechat_crop");
  options_.train.augment = {.face_shift = 2};
  EXPECT_EQ(encode().encoded, 14) << "faces have an encoder of their own";
  options_.train.frozen = {"decoder.*", "visual_encoder.block0.*", "audio_encoder.norm*"};
  expect_refused("it has no effect", "train.encoder_cache");
  options_.train.frozen = {"audio_encoder.*"};
  options_.train.augment = {.flip = true};
  EXPECT_FALSE(encode().kept.frames) << "the sound of a mirrored clip is the same";
}

TEST_F(EncodeClips, AreNotKeptOfPiecesThatAreNormalisedTogetherWithThoseOfOtherClips) {
  options_.model.audio.joint_normalisation = true;
  const EncodedClips result = encode();
  EXPECT_TRUE(result.kept.frames);
  EXPECT_FALSE(result.kept.sound);
  expect_the_same_steps();
  options_.train.frozen = {"audio_encoder.*"};
  expect_refused("not the same in every step", "model.audio.joint_normalisation");
}

TEST_F(EncodeClips, AreNotKeptOfAnEncoderThatDropsBlocks) {
  options_.model.audio = {.style = model::AudioStyle::imagebind, .width = 16, .layers = 1, .heads = 2};
  options_.prepare.sound = data::SoundInput::imagebind;
  options_.prepare.mel_bands = 32;
  const auto kept = [&] {
    model::MicroEmo model(options_.model, data::input_shapes(options_.prepare, 1));
    select_trainable(model, options_.train);
    return kept_encoders(options_, model);
  };
  EXPECT_TRUE(kept().sound);
  options_.model.audio.drop_path = 0.1;
  EXPECT_FALSE(kept().sound);
  EXPECT_TRUE(kept().frames);
}

TEST_F(EncodeClips, LeaveTheEncoderAloneThatReadsFacesToo) {
  EXPECT_EQ(encode().kept.not_run, (std::vector<std::string>{"visual_encoder", "audio_encoder"}));
  options_.model.local.encoder = model::FaceEncoder::shared;
  options_.prepare.face_input = data::FaceInput::rgb;
  EXPECT_EQ(encode().kept.not_run, std::vector<std::string>{"audio_encoder"});
}

TEST_F(EncodeClips, GiveThemBehindAFrozenImageQFormerWhereFacesAreReadByTheSameEncoder) {
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  options_.model.local.encoder = model::FaceEncoder::shared;
  options_.prepare.face_input = data::FaceInput::rgb;
  options_.prepare.face_size = options_.prepare.frame_height = options_.prepare.frame_width = 32;
  for (auto* samples : {&data_.samples, &data_.validation})
    for (data::Sample& sample : *samples) {
      data::PreparedClip& clip = sample.prepared;
      const uint64_t contents = sample.index == 5 ? 4 : uint64_t(sample.index);  // as write_clip has it
      clip.frames_TCHW = test::random_bytes({clip.frame_times_T.size(0), 3, 32, 32}, at::kByte, contents);
      clip.faces_NCSS = test::random_bytes({clip.face_times_N.size(0), 3, 32, 32}, at::kByte, contents + 10);
      data::write_prepared(sample.entry, clip);
    }
  expect_the_same_steps();
  EXPECT_EQ(encode().kept.not_run, std::vector<std::string>{"image_qformer"});
}

TEST_F(EncodeClips, NameAnEntryThatIsDamagedInTheMiddleOfARun) {
  const Task kept = task(true);
  for (const fs::path& file : files()) {
    std::string bytes = read_file(file);
    bytes.back() = char(bytes.back() ^ 1);
    write_file_atomic(file, bytes);
  }
  expect_error(
      ErrorKind::data, [&] { kept.batches(1); }, "clip 'clip");
  expect_error(
      ErrorKind::data, [&] { kept.validation_batch(0); }, "its contents are not those that were written");
}

TEST_F(EncodeClips, StopWhenAskedAndGoOn) {
  request_stop();
  const EncodedClips stopped = encode();
  clear_stop_request();
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.encoded, 0);
  EXPECT_FALSE(encode().stopped);
  EXPECT_EQ(files().size(), 14u);
}

TEST_F(EncodeClips, StopBehindTheClipAtWorkWhenTimeIsOver) {
  int64_t asked = 0;
  Group alone;
  TrainingData data = data_;
  const EncodedClips stopped =
      encode_clips(options_, data, tiny_.tokenizer, *make_model(), {}, at::kCPU, alone, [&asked] { return ++asked > 3; });
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.encoded, 3);
  EXPECT_EQ(files().size(), 3u);
  EXPECT_EQ(encode().encoded, 11);
}

TEST_F(EncodeClips, RefuseTokensThatAreNotFinite) {
  TrainingData data = data_;
  const auto model = make_model();
  const at::NoGradGuard no_grad;
  model->visual_encoder()->parameters()[0].fill_(std::numeric_limits<float>::quiet_NaN());
  expect_error(
      ErrorKind::data, [&] { encode(data, *model); }, "NaN or infinite");
  expect_error(
      ErrorKind::data, [&] { encode(data, *model); }, "clip 'clip0'");
}

TEST_F(EncodeClips, NameTensorsOfACheckpointThatDoNotFitAsItDoes) {
  const RunOutcome run = Trainer(task(true), options_.train, folder("run")).run(1);
  options_.model.visual.hidden = 24;
  TrainingData data = data_;
  const auto model = make_model();
  expect_error(
      ErrorKind::checkpoint, [&] { encode(data, *model, run.checkpoint); }, "visual_encoder.block0.mlp.up.weight: file [");
}

TEST_F(EncodeClips, NameAFolderThatCannotBeWritten) {
  options_.train.encoder_cache = (folder_.path() / "file" / "encoded").string();
  write_file_atomic(folder_.path() / "file", "no folder");
  expect_error(
      ErrorKind::environment, [&] { encode(); }, "file");
}

TEST_F(EncodeClips, AreSharedAmongRanks) {
  const double wanted = [&] {
    const Task runs = task(false);
    return forward_backward(runs, runs.batches(1)).loss;
  }();
  test::run_ranks(3, [&](Group& group) {
    auto data = std::make_shared<TrainingData>(data_);
    const auto model = make_model();
    const EncodedClips result = encode_clips(options_, *data, tiny_.tokenizer, *model, {}, at::kCPU, group);
    EXPECT_EQ(result.encoded, 14) << "none twice";
    Task task = microemo_task(options_, data, tiny_.tokenizer, model, {group.rank(), group.world()});
    parallel::GradientReducer reducer(group, model->parameters(), 0.01);
    EXPECT_NEAR(forward_backward(task, task.batches(1), reducer).loss, wanted, 1e-6 * wanted);
  });
  EXPECT_EQ(files().size(), 14u);
}

TEST_F(EncodeClips, AreEncodedByEachRankWhereTheyHaveNoFolderInCommon) {
  test::run_ranks(2, [&](Group& group) {
    RunOptions own = options_;
    own.train.encoder_cache = folder(fmt::format("of-rank-{}", group.rank())).string();
    TrainingData data = data_;
    const auto model = make_model();
    encode_clips(own, data, tiny_.tokenizer, *model, {}, at::kCPU, group);
    for (const data::Sample& sample : data.samples) EXPECT_TRUE(fs::exists(sample.encoded_frames)) << group.rank();
  });
}

TEST_F(EncodeClips, AreNotSharedByRanksWithOtherEncoders) {
  test::run_ranks(2, [&](Group& group) {
    RunOptions own = options_;
    own.train.seed = group.rank();
    TrainingData data = data_;
    const auto model = build_model(own, *tiny_.tokenizer);
    expect_error(
        ErrorKind::environment, [&] { encode_clips(own, data, tiny_.tokenizer, *model, {}, at::kCPU, group); },
        "the frozen encoder of frames");
  });
}

}  // namespace
}  // namespace microemo::train
