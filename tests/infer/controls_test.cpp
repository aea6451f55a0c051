#include "microemo/data/controls.h"

#include <gtest/gtest.h>

#include "infer/tiny_model.h"
#include "microemo/infer/generate.h"

namespace microemo::infer {
namespace {

using test::spoken;

/// A clip of one utterance and one of two.
class ControlledClips : public testing::Test {
 protected:
  std::vector<Answer> answers(const data::ControlOptions& options) const {
    std::vector<data::Sample> samples = {tiny_.clip(1, 4, {spoken(0, 0.7, "This")}),
                                         tiny_.clip(2, 3, {spoken(0, 0.2, "frame"), spoken(0.3, 0.5, "is")})};
    data::apply_controls(samples, options);
    return generate_answers(*tiny_.model, *tiny_.builder, {&samples[0], &samples[1]}, {{0, 0}, {1, 0}, {1, 1}},
                            {.max_new_tokens = 6});
  }
  test::TinyModel tiny_;
};

TEST_F(ControlledClips, AreAnsweredWithEverySetOfModalities) {
  for (const std::vector<std::string>& set : data::modality_sets())
    for (const Answer& answer : answers({.modalities = set})) EXPECT_TRUE(std::isfinite(answer.log_probability));
}

TEST_F(ControlledClips, AreAnsweredOtherwiseUnderEveryControl) {
  const std::vector<Answer> plain = answers({});
  for (const data::Control control :
       {data::Control::question_only, data::Control::mismatched_video, data::Control::shuffled_utterances}) {
    const std::vector<Answer> controlled = answers({.control = control});
    EXPECT_NE(controlled[1].log_probability, plain[1].log_probability) << int(control);
  }
}

}  // namespace
}  // namespace microemo::infer
