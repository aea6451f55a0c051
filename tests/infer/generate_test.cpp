#include "microemo/infer/generate.h"

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

TEST_F(Generate, DoesNotDependOnTheNumberOfRowsDecodedTogether) {
  const Answer alone = answer({{0, 0}}).front();
  for (const size_t copies : {2, 7, 8, 9, 21}) {
    for (const Answer& one : answer(std::vector<Question>(copies, {0, 0}))) {
      EXPECT_EQ(one.ids, alone.ids) << copies;
      EXPECT_EQ(one.log_probability, alone.log_probability) << copies;
    }
  }
}

TEST_F(Generate, DoesNotDependOnTheBatchSize) {
  const auto large = answer(questions);
  options.batch_clips = 1;
  const auto small = answer(questions);
  for (size_t i = 0; i < questions.size(); ++i) EXPECT_EQ(small[i].log_probability, large[i].log_probability) << "question " << i;
}

TEST_F(Generate, ReturnsAnswersInTheOrderOfTheQuestions) {
  const auto forward = answer(questions);
  const auto backward = answer({questions.rbegin(), questions.rend()});
  for (size_t i = 0; i < questions.size(); ++i) EXPECT_EQ(backward[questions.size() - 1 - i].ids, forward[i].ids);
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
