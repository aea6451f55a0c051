// Rows after a template, against the public layouts (tests/reference/prompts.py).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "infer/tiny_model.h"
#include "microemo/base/json.h"
#include "microemo/nn/loss.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

using test::expect_error;
using test::spoken;
using test::TinyModel;

constexpr const char* timechat =
    "{begin}[INST] <<SYS>>\n \n<</SYS>>\n\n<Video>{video}</Video> The clip shows {frames} frames at {times} seconds. {question} "
    "[/INST] "
    "{answer} {end}";
constexpr const char* affectgpt_2024 =
    "{begin}###Human: You hear <Audio>{audio}</Audio>. You see <Video>{video}</Video>. The words are "
    "<Subtitle>{words}</Subtitle>. "
    "{question} ###Assistant: {split}{answer}###";
constexpr const char* affectgpt_2025 =
    "{begin}###Human: Both: <Multi>{fused}</Multi>. You hear <Audio>{audio}</Audio>. You see <Video>{video}</Video>. The words "
    "are "
    "{words}. {question} ###Assistant: {split}{answer}###{end}";

constexpr const char* emotion_llama =
    "{begin}[INST] <video>{video}</video> <feature>{features}</feature> The person says: {words}. {question}  [/INST]{split}"
    "{answer}{end}";

class Prompt : public testing::Test {
 protected:
  Prompt() {
    tiny_.tokenizer =
        std::make_shared<text::Tokenizer>(std::string(MICROEMO_SOURCE_DIR) + "/tests/data/text/tokenizer.model", legacy_);
    tiny_.options.video_qformer.window.windows = tiny_.options.audio.window.windows = model::Windows::none;
    Utterance first = spoken(0, 0.3, "This"), second = spoken(0.4, 0.7, "frame is sampled");
    second.labels = {"joyful", "proud"};
    sample_ = tiny_.clip(1, 4, {first, second});
  }
  model::ClipBatch row(const std::string& text, Purpose purpose, PromptOptions options = {}) const {
    options.text = text;
    const BatchBuilder builder(tiny_.tokenizer, tiny_.options, tiny_.prepare, options);
    return builder.build({&sample_}, {{0, 1}}, purpose, {}, 0);
  }
  static std::vector<int64_t> numbers(const at::Tensor& row) {
    return {row.const_data_ptr<int64_t>(), row.const_data_ptr<int64_t>() + row.numel()};
  }
  /// Ids with -1 for media, as the script writes them.
  static std::vector<int64_t> ids(const model::ClipBatch& batch) {
    return numbers(at::where(batch.media_RL[0].ge(0), -1, batch.ids_RL[0]).contiguous());
  }
  void expect_public_row(const std::string& name, const std::string& text, const PromptOptions& options = {}) const {
    const Json wanted = read_json(std::string(MICROEMO_SOURCE_DIR) + "/tests/data/prompts.json").at(name);
    const model::ClipBatch trained = row(text, Purpose::train, options);
    EXPECT_EQ(ids(trained), wanted.at("ids").get<std::vector<int64_t>>());
    std::vector<int64_t> following = wanted.at("labels").get<std::vector<int64_t>>();
    following.erase(following.begin());  // ours say what follows each place
    following.push_back(nn::ignored_label);
    EXPECT_EQ(numbers(trained.labels_RL[0].contiguous()), following);
    EXPECT_EQ(ids(row(text, Purpose::generate, options)), wanted.at("asked").get<std::vector<int64_t>>());
  }
  void refused(const std::string& text, const std::string& message, const std::string& hint = "") const {
    const Error error = expect_error(
        ErrorKind::config, [&] { check_prompt({.text = text}, tiny_.options); }, message);
    EXPECT_EQ(error.place(), "prompt.text");
    EXPECT_THAT(error.next_step(), testing::HasSubstr(hint));
  }

  static constexpr text::TokenizerOptions legacy_{.legacy = true};
  TinyModel tiny_;
  Sample sample_;
};

/// What of the public layouts differs in silence.
class ParityChecklist : public Prompt {};

TEST_F(ParityChecklist, LabelsOfTimeChatAreTheAnswerTheBlankBehindItAndTheEnd) {
  tiny_.options.audio.enabled = false;
  expect_public_row("timechat", timechat);
}

TEST_F(ParityChecklist, LabelsOfAffectGpt2024AreAnAnswerTokenizedApart) { expect_public_row("affectgpt_2024", affectgpt_2024); }

TEST_F(ParityChecklist, LabelsOfAffectGpt2025LackTheEndAndItsQuestionsTheBegin) {
  tiny_.options.video_qformer.pooling = model::VideoPooling::attention;
  tiny_.options.audio.pooling = model::Pooling::attention;
  tiny_.options.fusion.enabled = true;
  expect_public_row("affectgpt_2025", affectgpt_2025, {.text = {}, .learn_end = false, .begin_when_asked = false});
}

TEST_F(ParityChecklist, LabelsOfEmotionLlamaAreTheAnswerAndTheEndTokenizedApart) {
  tiny_.options.audio.enabled = false;
  tiny_.options.features = {.names = {"face", "video", "voice"}, .widths = {6, 7, 5}};
  for (const int64_t width : tiny_.options.features.widths) sample_.features.push_back(at::zeros({width}));
  expect_public_row("emotion_llama", emotion_llama);
}

TEST_F(Prompt, NeverReadsSpecialTokensInWhatPeopleSay) {
  tiny_.options.audio.enabled = false;
  sample_.clip.utterances[1].text = "bye</s>{end}";
  sample_.clip.utterances[1].question = "{answer}</s>?";
  const std::vector<int64_t> tokens = ids(row("{video}{words}{question} {answer}", Purpose::generate));
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), tiny_.tokenizer->end_id()), 0);
}

TEST_F(Prompt, WritesABraceThatIsDoubledAndAPieceByItsName) {
  tiny_.options.visual.enabled = tiny_.options.audio.enabled = false;
  const std::vector<int64_t> tokens = ids(row("{token:<unk>}{{x}}{answer}", Purpose::generate));
  EXPECT_EQ(tokens.front(), tiny_.tokenizer->unknown_id());
  EXPECT_EQ(tiny_.tokenizer->decode({tokens.begin() + 1, tokens.end()}), "{x}");
}

TEST_F(Prompt, BeginsWithAnotherPieceWhereOneIsNamed) {
  tiny_.options.visual.enabled = tiny_.options.audio.enabled = false;
  EXPECT_EQ(ids(row("{begin}{answer}", Purpose::generate)), (std::vector<int64_t>{tiny_.tokenizer->begin_id()}));
  EXPECT_EQ(ids(row("{begin}{answer}", Purpose::generate, {.begin_piece = "<unk>"})),
            (std::vector<int64_t>{tiny_.tokenizer->unknown_id()}));
}

TEST_F(ParityChecklist, FrameTimesAreOfTheDecodersTokenizerOrOfAnotherTokenizerWhereOneIsNamed) {
  const BatchBuilder own(tiny_.tokenizer, tiny_.options, tiny_.prepare),
      special(tiny_.tokenizer, tiny_.options, tiny_.prepare, {.time_tokenizer = {}, .time_special = true});
  const at::Tensor plain = own.build({&sample_}, {{0, 1}}, Purpose::generate, {}, 0).time_text_BTL,
                   around = special.build({&sample_}, {{0, 1}}, Purpose::generate, {}, 0).time_text_BTL;
  EXPECT_EQ(around[0][0][0].item<int64_t>(), tiny_.tokenizer->begin_id());
  EXPECT_TRUE(around.slice(2, 1).equal(plain));
  const std::string folder = std::string(MICROEMO_SOURCE_DIR) + "/tests/data/text/kinds/bert";
  const text::Tokenizer words(folder);
  const auto written = [&](bool around_it) {
    const BatchBuilder named(tiny_.tokenizer, tiny_.options, tiny_.prepare,
                             {.time_tokenizer = folder, .time_special = around_it});
    return numbers(named.build({&sample_}, {{0, 1}}, Purpose::generate, {}, 0).time_text_BTL[0][0].contiguous());
  };
  const std::string time = tiny_.tokenizer->decode(numbers(plain[0][0].contiguous()));
  EXPECT_THAT(time, testing::StartsWith("This frame is sampled at 0"));
  EXPECT_EQ(written(false), words.encode(time));
  EXPECT_EQ(written(true), words.encode(time, {.add_special = true}));
  EXPECT_NE(written(false), tiny_.tokenizer->encode(time));
  EXPECT_THROW(BatchBuilder(tiny_.tokenizer, tiny_.options, tiny_.prepare, {.time_tokenizer = "/no/such/vocab.txt"}), Error);
}

TEST_F(Prompt, RefusesATemplateThatCannotBeRead) {
  refused("{video}{audio}{anser}", "there is no placeholder {anser}", "did you mean {answer}?");
  refused("{video}{audio}{answer", "a brace is opened and not closed");
  refused("{video}{audio}}{answer}", "a brace is closed that was not opened");
  refused("{video}{audio}", "0 places for {answer}");
  refused("{video}{audio}{answer}{answer}", "2 places for {answer}");
  refused("{video}{audio}{token:}{answer}", "there is no placeholder {token:}");
}

TEST_F(Prompt, RefusesATemplateThatLosesTokensOrNamesThoseThatAreNot) {
  refused("{video}{answer}", "the model has tokens of audio, and the prompt no {audio}");
  refused("{audio}{answer}", "no {video}");
  refused("{video}{audio}{fused}{answer}", "the prompt has {fused}, and the model no tokens of fused");
  refused("{video}{video}{audio}{answer}", "{video} twice");
  refused("{video}{audio}{features}{answer}", "the prompt has {features}, and the model no tokens of features");
  tiny_.options.features = {.names = {"face"}, .widths = {6}};
  refused("{video}{audio}{answer}", "the model has tokens of features, and the prompt no {features}");
}

TEST_F(Prompt, RefusesToTrainOnNoAnswer) {
  sample_.clip.utterances[1].labels.clear();
  expect_error(
      ErrorKind::data, [&] { row(affectgpt_2024, Purpose::train); },
      "utterance 1 of clip 'clip1' has neither an answer nor labels");
  EXPECT_NO_THROW(row(affectgpt_2024, Purpose::generate));
}

TEST_F(Prompt, RefusesAPieceThatTheTokenizerLacks) {
  expect_error(
      ErrorKind::data, [&] { row("{token:<|im_end|>}{video}{audio}{answer}", Purpose::generate); }, "<|im_end|>");
}

}  // namespace
}  // namespace microemo::data
