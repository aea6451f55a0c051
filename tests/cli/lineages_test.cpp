// The shipped configurations of the public lineages from the video file to the score, at tiny sizes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/formats/npy.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path source = MICROEMO_SOURCE_DIR;

/// Two clips with sound, of which the second has two utterances.
class LineageCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::string lines;
    for (const std::string id : {"a", "b"}) {
      test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=1", "-f", "lavfi", "-i", "sine=r=16000:d=1", "-metadata",
                    "title=" + id, "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-c:a", "pcm_s16le",
                    path(id + ".mkv")});
      Json utterances = Json::array({{{"start_s", 0.1}, {"end_s", 0.5}, {"text", "This frame"}, {"labels", {"happy"}}}});
      if (id == "b")
        utterances.push_back({{"start_s", 0.6}, {"end_s", 0.9}, {"text", "is sampled"}, {"labels", {"sad", "tired"}}});
      lines += Json{{"id", id}, {"video", id + ".mkv"}, {"utterances", utterances}}.dump() + "\n";
    }
    write_file_atomic(path("clips.jsonl"), lines);
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  std::string microemo(std::vector<std::string> words) const {
    words.insert(words.begin(), MICROEMO_BINARY);
    const test::CommandResult result = test::run_command(words, {.folder = folder_.path()});
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return result.standard_output + result.standard_error;
  }
  void prepare(const std::string& config) const {
    EXPECT_THAT(
        microemo({"prepare", "clips.jsonl", "--cache", "cache", "--config", (source / "configs" / config).string(), "tiny.yaml"}),
        HasSubstr("2 clips in cache"));
  }
  std::string train(std::vector<std::string> configs, const std::string& run, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{"train"};
    for (const std::string& config : configs) words.push_back((source / "configs" / config).string());
    words.insert(words.end(), {"tiny.yaml", "--out", run, "train.manifest=clips.jsonl", "train.cache=cache",
                               "train.tokenizer=" + (source / "tests/data/text/tokenizer.model").string()});
    words.insert(words.end(), more.begin(), more.end());
    return microemo(words);
  }
  /// Prepares, trains two steps and asks about all three utterances.
  void run_whole(const std::string& config, const std::vector<std::string>& more, const std::string& frames = few_frames) const {
    std::string text = steps + ("prepare: " + frames + "\n");
    for (const std::string& line : more) text += line + "\n";
    write_file_atomic(path("tiny.yaml"), text);
    prepare(config);
    EXPECT_THAT(train({config}, "run"), HasSubstr("finished 2 steps"));
    microemo({"eval", "run", "clips.jsonl", "generate.max_new_tokens=4"});
    const Json scores = read_json(folder_.path() / "run/eval/clips-step-00000002/scores.json");
    EXPECT_EQ(scores.at("answers"), 3);
  }

  static constexpr const char* steps = "train: {steps: 2, batch: 2, warmup_steps: 0}\n";
  static constexpr const char* few_frames = "{frame_count: 4, frame_width: 28, frame_height: 28}";
  TemporaryFolder folder_;
};

constexpr const char* eva = "  visual: {width: 16, patch: 14, layers: 1, heads: 2, hidden: 32}";
constexpr const char* video =
    "  video_qformer: {queries: 2, layers: 1, heads: 2, positions: 8}\n"
    "  decoder: {vocabulary: 400, width: 32, layers: 1, heads: 2, key_value_heads: 2, hidden: 32, max_tokens: 512}";

TEST_F(LineageCommand, TimeChatIsPreparedTrainedAndAsked) {
  run_whole("timechat/train.yaml",
            {"model:", eva, "  image_qformer: {queries: 2, layers: 1, heads: 2, width: 16, hidden: 32, vocabulary: 400}", video,
             "  audio: {enabled: false}"});
}

TEST_F(LineageCommand, AffectGpt2024IsPreparedTrainedAndAsked) {
  run_whole("affectgpt-2024/train.yaml",
            {"model:", eva, "  image_qformer: {queries: 2, layers: 1, heads: 2, width: 16, hidden: 32}", video,
             "  audio: {width: 16, layers: 1, heads: 2, projection: 12, queries: 2, qformer_layers: 1, qformer_heads: 2, "
             "qformer_width: 16, qformer_hidden: 32}"});
}

TEST_F(LineageCommand, AffectGpt2025IsPreparedTrainedAndAsked) {
  run_whole("affectgpt-2025/train.yaml",
            {"prompt: {begin_piece: <unk>}", "model:", "  visual: {width: 16, patch: 14, layers: 1, heads: 2, projection: 12}",
             "  audio: {width: 32, layers: 3, heads: 2, hidden: 32, wave_channels: 8}", "  fusion: {width: 12}",
             "  decoder: {vocabulary: 400, width: 32, layers: 1, heads: 2, key_value_heads: 2, hidden: 32, max_tokens: 512}"});
}

/// Each clip gets a vector for each of the model's features.
void add_features(const fs::path& folder) {
  std::string lines;
  read_jsonl(folder / "clips.jsonl", [&](Json clip, int64_t) {
    const auto id = clip.at("id").get<std::string>();
    for (const char* name : {"face_mae", "video_mae", "hubert"}) {
      const std::string file = id + "-" + name + ".npy";
      formats::write_npy(folder / file, formats::make_npy(std::vector<float>(6, id == "a" ? 1.0f : -1.0f), {1, 6}));
      clip["features"][name] = file;
    }
    lines += clip.dump() + "\n";
  });
  write_file_atomic(folder / "clips.jsonl", lines);
}

TEST_F(LineageCommand, EmotionLlamaIsPreparedTrainedAndAsked) {
  add_features(folder_.path());
  run_whole("emotion-llama/train.yaml",
            {"model:", eva, "  video_qformer: {queries: 1}", "  features: {widths: [6, 6, 6]}",
             "  decoder: {vocabulary: 400, width: 32, layers: 1, heads: 2, key_value_heads: 2, hidden: 32, max_tokens: 512, "
             "lora: {rank: 4}}"},
            "{frame_count: 1, frame_width: 28, frame_height: 28}");
  const std::string answer =
      microemo({"predict", "a.mkv", "--run", "run", "--max-new-tokens", "2", "--feature", "face_mae=a-face_mae.npy", "--feature",
                "video_mae=a-video_mae.npy", "--feature", "hubert=a-hubert.npy"});
  EXPECT_THAT(answer, HasSubstr("timeline"));
  const auto refused = [&](int exit_code, std::vector<std::string> words, const std::string& message) {
    words.insert(words.begin(), {MICROEMO_BINARY, "predict", "a.mkv", "--run", "run"});
    const test::CommandResult result = test::run_command(words, {.folder = folder_.path()});
    EXPECT_EQ(result.exit_code, exit_code);
    EXPECT_THAT(result.standard_error, HasSubstr(message));
  };
  refused(3, {}, "clip 'a' has no feature 'face_mae', which the model reads; it has none");
  refused(2, {"--feature", "voice=a-hubert.npy"}, "the model reads no feature 'voice'");
  refused(2, {"--feature", "hubert"}, "'hubert' names no file of a feature");
}

TEST_F(LineageCommand, MicroEmosSecondStageBeginsWithTheFirst) {
  std::string text = steps + ("prepare: " + std::string(few_frames) + "\n");
  text +=
      "model:\n"
      "  visual: {width: 16, patch: 14, layers: 1, heads: 2, hidden: 32}\n"
      "  image_qformer: {queries: 2, layers: 1, heads: 2, width: 16, hidden: 32, vocabulary: 400}\n"
      "  local: {patch: 16, layers: 1, patch_features: 4, heads: 2}\n"
      "  audio: {width: 16, layers: 1, heads: 2, projection: 12, queries: 2, qformer_layers: 1, qformer_heads: 2, "
      "qformer_width: 16, qformer_hidden: 32}\n" +
      std::string(video) + "\n";
  write_file_atomic(path("tiny.yaml"), text);
  prepare("microemo-7b/train.yaml");
  train({"microemo-7b/train.yaml", "microemo-7b/align.yaml"}, "align");
  const std::string log = train({"microemo-7b/train.yaml", "microemo-7b/instruct.yaml"}, "instruct",
                                {"train.init_from=[align]", "train.init_partial=true"});
  EXPECT_THAT(log, HasSubstr("drawn from the seed: decoder (8)"));  // A and B of four projections of the only block
  EXPECT_THAT(log, HasSubstr("finished 2 steps"));
}

TEST_F(LineageCommand, ItsPublicFilesAreTheStart) {
  const std::string lineages = (source / "tests/data/checkpoint/lineages/timechat").string();
  write_file_atomic(
      path("tiny.yaml"),
      "train: {steps: 2, batch: 2, warmup_steps: 0}\n"
      "prepare: {frame_count: 6, frame_width: 12, frame_height: 12}\n"
      "model:\n"
      "  visual: {width: 16, patch: 4, layers: 2, heads: 2, hidden: 28}\n"
      "  image_qformer: {queries: 4, layers: 3, heads: 2, width: 12, hidden: 20, vocabulary: 30}\n"
      "  video_qformer: {queries: 4, layers: 2, heads: 2, hidden: 20, positions: 6, window_length: 3, stride: 3}\n"
      "  decoder: {vocabulary: 40, width: 16, layers: 2, heads: 2, key_value_heads: 2, hidden: 24, max_tokens: 512, "
      "norm_epsilon: 1e-6, lora: {rank: 4, alpha: 4}}\n");
  prepare("timechat/train.yaml");
  std::vector<std::string> words{"train",
                                 (source / "configs/timechat/train.yaml").string(),
                                 "tiny.yaml",
                                 "--out",
                                 "run",
                                 "--dry-run",
                                 "train.manifest=clips.jsonl",
                                 "train.cache=cache",
                                 "train.init_partial=true",
                                 "train.init_from=[" + lineages + "/eva.safetensors," + lineages + "/llama," + lineages +
                                     "/instructblip.pth," + lineages + "/state.pth]",
                                 "train.tokenizer=" + path("words.model")};
  microemo({"tokenize", "--train", "clips.jsonl", "--out", "words.model", "--vocabulary", "40", "--no-bytes"});
  words.insert(words.begin(), MICROEMO_BINARY);
  const test::CommandResult result = test::run_command(words, {.folder = folder_.path()});
  EXPECT_THAT(result.standard_error, HasSubstr("drawn from the seed: none"));
  // The tokenizer of 40 pieces writes times that the table of 30 rows lacks.
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("and the image Q-Former's table has 30 rows"));
  EXPECT_THAT(result.standard_error, HasSubstr("prompt.time_tokenizer"));
}

}  // namespace
}  // namespace microemo
