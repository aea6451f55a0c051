#include "microemo/data/synth_labels.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/data/synth_script.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/wheel.h"

namespace microemo::data {
namespace {

constexpr double none_probability = 0.22;

std::vector<Factors> all_factors() {
  std::vector<Factors> all;
  for (Sentiment sentiment : all_sentiments)
    for (FaceUnit unit : all_units)
      for (Manner manner : all_manners) all.push_back({sentiment, unit, manner});
  return all;
}

double ceiling(const Knowledge& knowledge) { return score_ceiling(knowledge, none_probability); }

TEST(SynthLabels, MeanOneGroupOfTheProjectsOwnWheelEach) {
  const eval::EmotionWheel wheel = eval::load_wheel(std::filesystem::path(MICROEMO_SOURCE_DIR) / "data/wheels/microemo.csv");
  const auto& class_of = wheel.grouping("group").class_of;
  for (const LabelGroup& group : label_groups())
    for (const std::string& word : group.synonyms) {
      ASSERT_TRUE(class_of.contains(word)) << word;
      EXPECT_EQ(class_of.at(word), group.name) << word;
    }
}

TEST(SynthLabels, HaveTwoToFourSynonymsInAGroup) {
  for (const LabelGroup& group : label_groups()) {
    EXPECT_GE(group.synonyms.size(), 2u) << group.name;
    EXPECT_LE(group.synonyms.size(), 4u) << group.name;
  }
}

TEST(SynthLabels, StandInOneGroupOnly) {
  std::set<std::string> words;
  for (const LabelGroup& group : label_groups())
    for (const std::string& word : group.synonyms) EXPECT_TRUE(words.insert(word).second) << word;
}

TEST(SynthLabels, AreAllUsedAndAllDeclared) {
  std::set<std::string> used, declared;
  for (const Factors& factors : all_factors()) used.insert(groups_of(factors).begin(), groups_of(factors).end());
  for (const LabelGroup& group : label_groups()) declared.insert(group.name);
  EXPECT_EQ(used, declared);
}

TEST(SynthLabels, AreOneOrTwoDifferentGroupsForEachCombination) {
  for (const Factors& factors : all_factors()) {
    const std::set<std::string> groups(groups_of(factors).begin(), groups_of(factors).end());
    EXPECT_EQ(groups.size(), groups_of(factors).size());
    EXPECT_GE(groups.size(), 1u);
    EXPECT_LE(groups.size(), 2u);
  }
}

TEST(SynthLabels, ChangeWithTheVoiceInAboutHalfOfTheCells) {
  int changed = 0, cells = 0;
  for (Sentiment sentiment : all_sentiments)
    for (FaceUnit unit : all_units) {
      ++cells;
      changed += groups_of({sentiment, unit, Manner::flat}) != groups_of({sentiment, unit, Manner::lively});
    }
  EXPECT_GT(changed, 0.4 * cells);
  EXPECT_LT(changed, 0.6 * cells);
}

TEST(SynthLabels, ChangeWithTheWordsForEveryMovementAndVoice) {
  for (FaceUnit unit : all_units)
    for (Manner manner : all_manners) {
      std::set<std::vector<std::string>> labels;
      for (Sentiment sentiment : all_sentiments) labels.insert(groups_of({sentiment, unit, manner}));
      EXPECT_EQ(labels.size(), all_sentiments.size()) << name_of(unit) << " " << name_of(manner);
    }
}

TEST(SynthLabels, ChangeWithTheFaceForAllWordsAndVoices) {
  for (Sentiment sentiment : all_sentiments)
    for (Manner manner : all_manners) {
      std::set<std::vector<std::string>> labels;
      for (FaceUnit unit : all_units) labels.insert(groups_of({sentiment, unit, manner}));
      EXPECT_EQ(labels.size(), all_units.size()) << name_of(sentiment) << " " << name_of(manner);
    }
}

TEST(SynthLabels, AreWhatTheAnswerSaysAndNothingElse) {
  for (const Factors& factors : all_factors())
    EXPECT_EQ(eval::extract_labels(answer_text(factors, groups_of(factors))), groups_of(factors))
        << answer_text(factors, groups_of(factors));
}

TEST(SynthLabels, DoNotStandAmongTheCluesOfTheAnswer) {
  const eval::EmotionWheel wheel = eval::load_wheel(std::filesystem::path(MICROEMO_SOURCE_DIR) / "data/wheels/microemo.csv");
  for (const Factors& factors : all_factors()) {
    std::string clues = answer_text(factors, {"x"});
    std::ranges::replace_if(
        clues, [](char c) { return c == ',' || c == ':' || c == '.'; }, ' ');
    std::istringstream words(clues);
    for (std::string word; words >> word;)
      EXPECT_FALSE(wheel.grouping("group").class_of.contains(eval::normalise_label(word))) << word;
  }
}

TEST(SynthCeilings, LeaveRoomForEveryFactor) {
  EXPECT_LT(ceiling({}), 0.20);
  EXPECT_LT(ceiling({.words = true}), 0.35);
  EXPECT_LT(ceiling({.words = true, .voice = true}), 0.45);
  EXPECT_LT(ceiling({.face = true, .voice = true}), 0.60);
  EXPECT_LT(ceiling({.words = true, .face = true}), 0.85);
}

TEST(SynthCeilings, ReachOneWhenEverythingIsKnown) {
  EXPECT_NEAR(ceiling({.words = true, .face = true, .voice = true}), 1.0, 1e-12);
}

TEST(SynthCeilings, GrowWithWhatIsKnown) {
  EXPECT_LT(ceiling({}), ceiling({.words = true}));
  EXPECT_LT(ceiling({.words = true}), ceiling({.words = true, .voice = true}));
  EXPECT_LT(ceiling({.words = true, .voice = true}), ceiling({.words = true, .face = true}));
}

TEST(SynthCeilings, EqualTheMajorityWhenTheFaceAlwaysRests) {
  // Three labels of one group each, equally likely, whatever the voice: one of them scores a third, two of them 2/3 * 2/3, all
  // three 2/4.
  EXPECT_NEAR(score_ceiling({}, 1.0), 0.5, 1e-12);
  EXPECT_NEAR(score_ceiling({.words = true}, 1.0), 1.0, 1e-12);
}

/// Mean F of one answer over the utterances of many scripts.
double measured_f(const std::vector<ClipScript>& scripts, const std::set<std::string>& answer) {
  double sum = 0;
  int64_t count = 0;
  for (const ClipScript& script : scripts)
    for (const ScriptedUtterance& u : script.utterances) {
      const auto& truth = groups_of({u.sentence.sentiment, u.unit, u.manner});
      const auto hits = std::ranges::count_if(truth, [&](const std::string& group) { return answer.contains(group); });
      sum += 2.0 * double(hits) / double(truth.size() + answer.size());
      ++count;
    }
  return sum / double(count);
}

TEST(SynthCeilings, BoundWhatAFixedAnswerScoresOnDrawnScripts) {
  std::vector<ClipScript> scripts;
  for (int64_t i = 0; i < 2000; ++i) scripts.push_back(draw_script({}, SynthPart::train, i));
  double best = 0;
  for (const LabelGroup& first : label_groups())
    for (const LabelGroup& second : label_groups()) best = std::max(best, measured_f(scripts, {first.name, second.name}));
  EXPECT_LT(best, ceiling({}) + 0.01);
  EXPECT_GT(best, ceiling({}) - 0.03);
}

}  // namespace
}  // namespace microemo::data
