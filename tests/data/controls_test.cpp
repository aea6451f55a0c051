#include "microemo/data/controls.h"

#include <set>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/tiny_model.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

using test::expect_error;
using test::spoken;
using testing::ElementsAre;
using testing::HasSubstr;

/// Three clips, of which the second has two utterances that say the same and the third a single one.
class Controls : public testing::Test {
 protected:
  Controls() {
    samples_ = {tiny_.clip(1, 4, {spoken(0, 0.3, "This"), spoken(0.4, 0.5, "frame"), spoken(0.6, 0.7, "is")}),
                tiny_.clip(2, 3, {spoken(0, 0.2, "same"), spoken(0.3, 0.5, "same")}), tiny_.clip(3, 5, {spoken(0, 0.9, "one")})};
    for (size_t i = 0; i < samples_.size(); ++i) samples_[i].index = int64_t(i);
    own_ = samples_;
  }
  std::vector<std::string> apply(const ControlOptions& options) {
    samples_ = own_;
    return apply_controls(samples_, options);
  }
  static std::multiset<std::string> texts(const Sample& sample) {
    std::multiset<std::string> texts;
    for (const Utterance& utterance : sample.clip.utterances) texts.insert(utterance.text);
    return texts;
  }

  test::TinyModel tiny_;
  std::vector<Sample> samples_, own_;
};

TEST_F(Controls, ChangeNothingByDefault) {
  EXPECT_TRUE(apply({}).empty());
  for (size_t i = 0; i < samples_.size(); ++i) {
    EXPECT_TRUE(samples_[i].prepared.frames_TCHW.is_same(own_[i].prepared.frames_TCHW));
    EXPECT_TRUE(samples_[i].prepared.mel_FM.is_same(own_[i].prepared.mel_FM));
    EXPECT_EQ(texts(samples_[i]), texts(own_[i]));
  }
  EXPECT_EQ(control_name({}), "");
}

TEST_F(Controls, TakeAwayWhatIsNotNamed) {
  apply({.modalities = {"frames", "transcript"}});
  const PreparedClip& clip = samples_[0].prepared;
  EXPECT_TRUE(clip.frames_TCHW.equal(own_[0].prepared.frames_TCHW));
  EXPECT_FALSE(clip.face_mask_N.any().item<bool>());
  EXPECT_EQ(clip.face_times_N.size(0), own_[0].prepared.face_times_N.size(0));
  EXPECT_FALSE(clip.has_sound());
  EXPECT_EQ(samples_[0].clip.utterances[0].text, "This");
  EXPECT_TRUE(own_[0].prepared.face_mask_N.all().item<bool>());  // the tensors are not changed
}

TEST_F(Controls, LeaveTheTimesOfFramesThatTheFaceNeeds) {
  apply({.modalities = {"face"}});
  EXPECT_TRUE(samples_[0].prepared.frames_TCHW.eq(127).all().item<bool>());
  EXPECT_TRUE(samples_[0].prepared.frame_times_T.equal(own_[0].prepared.frame_times_T));
  EXPECT_TRUE(samples_[0].prepared.faces_NCSS.equal(own_[0].prepared.faces_NCSS));
  EXPECT_EQ(samples_[0].clip.utterances[0].text, "");
  EXPECT_EQ(samples_[0].clip.utterances[0].end_s, 0.3);
}

TEST_F(Controls, LeaveTheQuestionAlone) {
  apply({.control = Control::question_only});
  for (const Sample& sample : samples_) {
    EXPECT_EQ(sample.prepared.frames_TCHW.size(0), 0);
    EXPECT_EQ(sample.prepared.faces_NCSS.size(0), 0);
    EXPECT_FALSE(sample.prepared.has_sound());
    for (const Utterance& utterance : sample.clip.utterances) EXPECT_EQ(utterance.text, "");
  }
}

TEST_F(Controls, ShowAnotherClipToEveryClip) {
  for (const int64_t seed : {0, 1, 2}) {
    EXPECT_TRUE(apply({.control = Control::mismatched_video, .control_seed = seed}).empty());
    std::set<void*> shown;
    for (size_t i = 0; i < samples_.size(); ++i) {
      EXPECT_FALSE(samples_[i].prepared.frames_TCHW.is_same(own_[i].prepared.frames_TCHW)) << i;
      shown.insert(samples_[i].prepared.frames_TCHW.data_ptr());
      EXPECT_EQ(texts(samples_[i]), texts(own_[i]));
      EXPECT_GE(samples_[i].prepared.duration_s, own_[i].prepared.duration_s);
    }
    EXPECT_EQ(shown.size(), 3u);
  }
}

TEST_F(Controls, ShuffleTheWordsOfAClipAmongItsUtterances) {
  EXPECT_THAT(apply({.control = Control::shuffled_utterances}), ElementsAre("clip2", "clip3"));
  EXPECT_EQ(texts(samples_[0]), texts(own_[0]));
  bool other = false;
  for (size_t u = 0; u < 3; ++u) {
    other = other || samples_[0].clip.utterances[u].text != own_[0].clip.utterances[u].text;
    EXPECT_EQ(samples_[0].clip.utterances[u].start_s, own_[0].clip.utterances[u].start_s);
  }
  EXPECT_TRUE(other);
}

TEST_F(Controls, AreTheSameForTheSameSeed) {
  apply({.control = Control::shuffled_utterances, .control_seed = 5});
  const std::vector<Sample> first = samples_;
  apply({.control = Control::shuffled_utterances, .control_seed = 5});
  for (size_t u = 0; u < 3; ++u) EXPECT_EQ(samples_[0].clip.utterances[u].text, first[0].clip.utterances[u].text);
}

TEST_F(Controls, RefuseWhatCannotBe) {
  const auto refused = [&](const ControlOptions& options, const std::string& message, const std::string& hint) {
    const Error error = expect_error(
        ErrorKind::config, [&] { apply(options); }, message);
    EXPECT_THAT(error.next_step(), HasSubstr(hint));
  };
  refused({.modalities = {"frame"}}, "there is no modality 'frame'", "did you mean frames?");
  refused({.modalities = {}}, "no modality is left", "control=question_only");
  refused({.modalities = {"face", "face"}}, "'face' stands twice", "leave one");
  refused({.modalities = {"face"}, .control = Control::question_only}, "question_only takes every modality away", "leave one");
  own_.resize(1);
  samples_ = own_;
  expect_error(
      ErrorKind::data, [&] { apply_controls(samples_, {.control = Control::mismatched_video}); }, "there is no other clip");
}

TEST(ModalitySets, AreAllButTheEmptyOneTheFullOneFirst) {
  const auto sets = modality_sets();
  ASSERT_EQ(sets.size(), 15u);
  EXPECT_EQ(sets.front(), all_modalities);
  EXPECT_EQ(std::set(sets.begin(), sets.end()).size(), 15u);
  EXPECT_THAT(sets.back(), ElementsAre("transcript"));
}

TEST(ControlName, SaysWhatIsLeftAndWhatIsDone) {
  EXPECT_EQ(control_name({.modalities = {"frames", "sound"}}), "frames+sound");
  EXPECT_EQ(control_name({.control = Control::question_only}), "question_only");
  EXPECT_EQ(control_name({.modalities = {"face"}, .control = Control::shuffled_utterances}), "face, shuffled_utterances");
}

}  // namespace
}  // namespace microemo::data
