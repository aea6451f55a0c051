#include "microemo/infer/generate.h"

#include <cmath>
#include <numeric>
#include <set>

#include <ATen/core/grad_mode.h>

#include "support/errors.h"
#include "tiny_model.h"

namespace microemo::infer {
namespace {

using data::Question;
using test::spoken;

/// Clips of different lengths and words, one without sound, one without a face or a picture.
struct Generate : ::testing::Test {
  test::TinyModel tiny;
  std::vector<data::Sample> clips = {tiny.clip(10, 4, {spoken(0.0, 0.3, "what does"), spoken(0.4, 0.7, "the person feel")}),
                                     tiny.clip(20, 9, {spoken(0.2, 1.4, "at second")}),
                                     tiny.clip(30, 4, {spoken(0.0, 0.3, "feel the"), spoken(0.3, 0.7, "what person does")}),
                                     tiny.clip(40, 6, {spoken(0.1, 1.0, "this frame")}, false),
                                     tiny.clip(50, 0, {spoken(0.1, 0.9, "the clip")}, false)};
  std::vector<Question> questions = {{0, 0}, {0, 1}, {1, 0}, {2, 0}, {2, 1}, {3, 0}, {4, 0}};
  GenerateOptions options{.max_new_tokens = 12, .batch_clips = 16};

  std::vector<const data::Sample*> samples() const {
    std::vector<const data::Sample*> result;
    for (const data::Sample& clip : clips) result.push_back(&clip);
    return result;
  }
  std::vector<Answer> answer(const std::vector<Question>& asked) const {
    return generate_answers(*tiny.model, *tiny.builder, samples(), asked, options);
  }
  /// The row of the table of words that belongs to </s>; the prompt does not contain it.
  at::Tensor end_row() const { return tiny.model->decoder().output_weight().detach()[tiny.tokenizer->end_id()]; }
  void never_end() const { end_row().zero_(); }

  at::Tensor prompt(const Question& question) const {
    const at::NoGradGuard no_grad;
    const auto batch =
        tiny.builder->build({&clips[size_t(question.sample)]}, {{0, question.utterance}}, data::Purpose::generate, {}, 0);
    return tiny.model->splice(batch, tiny.model->media_tokens(batch));
  }
};

TEST_F(Generate, ChoosesNoTokenThatTheTokenizerLacks) {
  // Public tables have more rows than their tokenizer; one of those is made the most probable here.
  test::TinyModel wider;
  wider.options.decoder.vocabulary = wider.tokenizer->size() + 3;
  wider.options.decoder.tied_output = false;
  model::MicroEmo model(wider.options, data::input_shapes(wider.prepare, wider.tokenizer->size()));
  nn::initialise(model, 1);
  {
    const at::NoGradGuard no_grad;
    const at::Tensor output = model.decoder().output_weight();
    output.select(0, wider.tokenizer->size() + 1).copy_(output.select(0, 0) * 1000);
    output.select(0, wider.tokenizer->size() + 2).copy_(output.select(0, 0) * -1000);
  }
  for (const Answer& answer : generate_answers(model, *wider.builder, samples(), questions, options))
    for (const int64_t id : answer.ids) EXPECT_LT(id, wider.tokenizer->size());
}

TEST_F(Generate, EndsWithTheTextThatClosesAnAnswerInTheTemplate) {
  never_end();
  data::PromptOptions prompt{.text = "{begin}The clip: {video}{audio} {question} {answer}"};
  const auto answered = [&] {
    const data::BatchBuilder builder(tiny.tokenizer, tiny.options, tiny.prepare, prompt);
    return generate_answers(*tiny.model, builder, samples(), {{0, 0}}, options)[0];
  };
  const Answer whole = answered();
  ASSERT_GT(whole.text.size(), 6u);
  ASSERT_FALSE(whole.complete);
  const std::string closing = whole.text.substr(3, 2);
  prompt.text += " " + (closing == "{" ? "{{" : closing);
  const Answer cut = answered();
  EXPECT_TRUE(cut.complete);
  EXPECT_LT(cut.ids.size(), whole.ids.size());
  const std::string before = whole.text.substr(0, whole.text.find(closing));
  EXPECT_EQ(cut.text, before.substr(0, before.find_last_not_of(' ') + 1));
}

TEST_F(Generate, WithACacheEqualsReadingEverythingAgainForEachToken) {
  never_end();
  const at::NoGradGuard no_grad;
  const auto answers = answer(questions);
  for (size_t i = 0; i < questions.size(); ++i) {
    const auto& decoder = tiny.model->decoder();
    at::Tensor tokens_1LC = prompt(questions[i]);
    const at::Tensor utterance_11 = at::full({1, 1}, questions[i].utterance + 1, at::kLong);
    std::vector<int64_t> ids;
    for (int64_t step = 0; step < options.max_new_tokens; ++step) {
      const at::Tensor next_1 = decoder.logits(decoder.forward(tokens_1LC).select(1, -1)).argmax(-1);
      ids.push_back(next_1.item<int64_t>());
      tokens_1LC = at::cat({tokens_1LC, decoder.add_utterances(decoder.embed(next_1.unsqueeze(1)), utterance_11)}, 1);
    }
    EXPECT_EQ(answers[i].ids, ids) << "question " << i;
  }
}

TEST_F(Generate, GivesEachQuestionTheSameBitsAloneAsAmongOthers) {
  const auto together = answer(questions);
  for (size_t i = 0; i < questions.size(); ++i) {
    const Answer alone = answer({questions[i]}).front();
    EXPECT_EQ(alone.ids, together[i].ids) << "question " << i;
    EXPECT_EQ(alone.log_probability, together[i].log_probability) << "question " << i;
  }
}

TEST_F(Generate, GivesEqualQuestionsEqualAnswers) {
  const Answer alone = answer({{0, 0}}).front();
  for (const size_t copies : {2, 7, 8, 9, 21}) {
    for (const Answer& one : answer(std::vector<Question>(copies, {0, 0}))) {
      EXPECT_EQ(one.ids, alone.ids) << copies;
      EXPECT_EQ(one.log_probability, alone.log_probability) << copies;
    }
  }
}

/// How answers are written, and whether the model may end them.
struct Manner {
  const char* name;
  SamplingOptions sampling;
  bool ends;
};

class GenerateBatches : public Generate, public testing::WithParamInterface<Manner> {
 protected:
  GenerateBatches() {
    options.sampling = GetParam().sampling;
    options.max_new_tokens = 24;
    // Rows that end at different lengths leave the batch, and others take their places.
    if (GetParam().ends)
      options.stop = {"e", "t"};
    else
      never_end();
  }
  void expect_same(const std::vector<Answer>& got, const std::vector<Answer>& wanted, const std::string& where) const {
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].ids, wanted[i].ids) << "question " << i << ", " << where;
      EXPECT_EQ(got[i].text, wanted[i].text) << "question " << i << ", " << where;
      EXPECT_EQ(got[i].log_probability, wanted[i].log_probability) << "question " << i << ", " << where;
      EXPECT_EQ(got[i].complete, wanted[i].complete) << "question " << i << ", " << where;
    }
  }
};

TEST_P(GenerateBatches, ChangeNoAnswerByTheirSize) {
  const std::vector<Answer> wanted = answer(questions);
  for (const int64_t rows : {1, 2, 3, 7, 16, 40})
    for (const int64_t clips_held : {1, 2, 16}) {
      options.batch_rows = rows;
      options.batch_clips = clips_held;
      expect_same(answer(questions), wanted, fmt::format("{} rows, {} clips", rows, clips_held));
    }
}

TEST_P(GenerateBatches, ChangeNoAnswerByTheirOrder) {
  const std::vector<Answer> wanted = answer(questions);
  std::vector<size_t> order(questions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Random(seed, "order").shuffle(order);
    options.batch_rows = int64_t(1 + seed * 2);
    std::vector<Question> shuffled;
    std::vector<Answer> expected;
    for (const size_t i : order) {
      shuffled.push_back(questions[i]);
      expected.push_back(wanted[i]);
    }
    expect_same(answer(shuffled), expected, fmt::format("shuffle {}", seed));
  }
}

TEST_P(GenerateBatches, ChangeNoAnswerByTheOrderOfTheClips) {
  const std::vector<Answer> wanted = answer(questions);
  std::reverse(clips.begin(), clips.end());
  for (Question& question : questions) question.sample = int64_t(clips.size()) - 1 - question.sample;
  options.batch_rows = 3;
  expect_same(answer(questions), wanted, "clips reversed");
}

TEST_P(GenerateBatches, ChangeNoAnswerByWhatElseIsAsked) {
  const std::vector<Answer> wanted = answer(questions);
  for (size_t i = 0; i < questions.size(); ++i) expect_same(answer({questions[i]}), {wanted[i]}, fmt::format("{} alone", i));
}

INSTANTIATE_TEST_SUITE_P(Manners, GenerateBatches,
                         testing::Values(Manner{"greedy", {}, false}, Manner{"greedy_with_ends", {}, true},
                                         Manner{"drawn", {.temperature = 1.5, .seed = 5}, false},
                                         Manner{"drawn_with_all_options",
                                                {.temperature = 0.9, .top_p = 0.95, .repetition_penalty = 1.2, .top_k = 50},
                                                true}),
                         [](const auto& tested) { return tested.param.name; });

TEST_F(Generate, DrawsOtherAnswersFromOtherSeeds) {
  never_end();
  options.sampling = {.temperature = 1.5, .seed = 1};
  const Answer one = answer({{0, 0}}).front();
  options.sampling.seed = 2;
  EXPECT_NE(answer({{0, 0}}).front().ids, one.ids);
}

TEST_F(Generate, PenalisesTokensOfThePromptAndOfTheAnswer) {
  never_end();
  options.sampling.repetition_penalty = 1000;
  options.max_new_tokens = 40;
  const std::vector<int64_t> ids = answer({{1, 0}}).front().ids;
  const auto batch = tiny.builder->build({&clips[1]}, {{0, 0}}, data::Purpose::generate, {}, 0);
  std::set<int64_t> seen;
  for (int64_t i = 0; i < batch.ids_RL.size(1); ++i)
    if (batch.media_RL[0][i].item<int64_t>() < 0) seen.insert(batch.ids_RL[0][i].item<int64_t>());
  for (const int64_t id : ids) EXPECT_TRUE(seen.insert(id).second) << id;
}

TEST_F(Generate, EndsAtAStopTextAndLeavesItOut) {
  never_end();
  const Answer whole = answer({{1, 0}}).front();
  ASSERT_GT(whole.text.size(), 6u);
  options.stop = {whole.text.substr(4, 2)};
  const Answer cut = answer({{1, 0}}).front();
  EXPECT_EQ(cut.text, whole.text.substr(0, whole.text.find(options.stop[0])));
  EXPECT_TRUE(cut.complete);
  EXPECT_LT(cut.ids.size(), whole.ids.size());
}

TEST_F(Generate, HandsOverEveryTextAsItIsWritten) {
  never_end();
  options.batch_rows = 3;
  std::vector<std::string> shown(questions.size());
  int pieces = 0;
  const auto answers =
      generate_answers(*tiny.model, *tiny.builder, samples(), questions, options, [&](size_t question, const std::string& text) {
        shown[question] += text;
        ++pieces;
      });
  for (size_t i = 0; i < questions.size(); ++i) EXPECT_EQ(shown[i], answers[i].text) << "question " << i;
  EXPECT_GT(pieces, int(2 * questions.size()));
}

TEST_F(Generate, RefusesAModelWhoseLogitsAreNaN) {
  end_row().fill_(std::nan(""));
  test::expect_error(
      ErrorKind::data, [&] { answer(questions); }, "the model gives no probabilities for token 0 of the answer about 'clip10/0'");
}

TEST_F(Generate, RefusesOptionsOutsideTheirLimits) {
  const auto refused = [&](const GenerateOptions& bad, const char* says) {
    test::expect_error(
        ErrorKind::config, [&] { generate_answers(*tiny.model, *tiny.builder, samples(), questions, bad); }, says);
  };
  refused({.sampling = {.temperature = -1}}, "temperature is -1");
  refused({.sampling = {.temperature = std::nan("")}}, "temperature is nan");
  refused({.sampling = {.top_p = 0}}, "top_p is 0");
  refused({.stop = {""}}, "a text that ends answers is empty");
}

TEST_F(Generate, StopsAtTheLimitAndSaysSo) {
  never_end();
  const Answer cut = answer({{0, 0}}).front();
  EXPECT_EQ(cut.ids.size(), 12u);
  EXPECT_FALSE(cut.complete);
}

TEST_F(Generate, EndsWithTheEndTokenAndLeavesItOut) {
  const at::NoGradGuard no_grad;
  end_row().copy_(100 * tiny.model->decoder().forward(prompt({0, 0}))[0][-1]);
  const Answer empty = answer({{0, 0}}).front();
  EXPECT_TRUE(empty.complete);
  EXPECT_TRUE(empty.ids.empty());
  EXPECT_EQ(empty.text, "");
}

TEST_F(Generate, DecodesTheTextOfTheTokens) {
  const Answer one = answer({{1, 0}}).front();
  EXPECT_EQ(one.text, tiny.tokenizer->decode(one.ids));
}

TEST_F(Generate, AnswersFromTheWordsAlone) {
  tiny = test::TinyModel(256, /*words_only=*/true);
  never_end();
  EXPECT_EQ(answer({{1, 0}}).front().ids.size(), 12u);
}

TEST_F(Generate, StopsWhereTheDecoderHasNoMorePositions) {
  const int64_t length = prompt({1, 0}).size(1);
  tiny = test::TinyModel(length + 2);
  never_end();
  const Answer cut = answer({{1, 0}}).front();
  EXPECT_EQ(cut.ids.size(), 3u);
  EXPECT_FALSE(cut.complete);
}

TEST_F(Generate, RefusesAPromptThatDoesNotFit) {
  tiny = test::TinyModel(40);
  test::expect_error(
      ErrorKind::data,
      [&] {
        answer({{1, 0}});
      },
      "clip20");
}

TEST_F(Generate, RefusesAQuestionAboutAClipThatIsNotThere) {
  test::expect_error(
      ErrorKind::internal,
      [&] {
        answer({{5, 0}});
      },
      "question about clip 5 of 5");
}

TEST_F(Generate, RefusesAQuestionAboutAnUtteranceThatIsNotThere) {
  test::expect_error(
      ErrorKind::internal,
      [&] {
        answer({{1, 1}});
      },
      "question about utterance 1 of 1");
}

}  // namespace
}  // namespace microemo::infer
