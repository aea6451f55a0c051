#include "microemo/data/synth_script.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/data/synth_face.h"

namespace microemo::data {
namespace {

constexpr int64_t many = 3000;

std::vector<ClipScript> draw_scripts(SynthPart part, int64_t count = many, const SynthOptions& options = {}) {
  std::vector<ClipScript> scripts;
  for (int64_t i = 0; i < count; ++i) scripts.push_back(draw_script(options, part, i));
  return scripts;
}

const std::vector<ClipScript>& train_scripts() {
  static const std::vector<ClipScript> scripts = draw_scripts(SynthPart::train);
  return scripts;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::vector<Sentence> all_sentences() {
  std::vector<Sentence> all;
  for (Sentiment sentiment : all_sentiments)
    for (int adjective = 0; adjective < synth_adjectives; ++adjective)
      for (int frame = 0; frame < synth_frames; ++frame) all.push_back({sentiment, adjective, frame});
  return all;
}

bool same(const ClipScript& a, const ClipScript& b) {
  const auto text = [](const ClipScript& script) {
    std::ostringstream stream;
    stream << script.portrait << script.voice << script.eye_distance << script.head_x << script.frames;
    for (const ScriptedUtterance& u : script.utterances)
      stream << u.sentence.text() << u.start_s << u.end_s << u.labels.at(0) << u.pitch;
    for (const Movement& movement : script.movements) stream << movement.unit << movement.apex_s << movement.amplitude;
    for (double blink : script.blinks_s) stream << blink;
    return stream.str();
  };
  return text(a) == text(b);
}

TEST(SynthText, SaysInBracketsWhatFaceAndVoiceDo) {
  for (int64_t i = 0; i < 200; ++i) {
    const Clip clip = draw_text_clip({}, i);
    EXPECT_TRUE(clip.video.empty());
    EXPECT_TRUE(clip.movements.empty());
    EXPECT_EQ(clip.split, "train");
    for (const Utterance& u : clip.utterances) {
      const std::string told = u.text.substr(1, u.text.find(')') - 1);  // "flat voice, brows rise"
      EXPECT_THAT(u.answer, testing::HasSubstr(" words, " + told + ": the person feels "));
      EXPECT_FALSE(u.labels.empty());
    }
  }
}

TEST(SynthText, HoldsNoSentenceOfTheTestPart) {
  std::set<std::string> unseen, read;
  for (const Sentence& sentence : all_sentences())
    if (part_of(sentence) == SynthPart::test) unseen.insert(sentence.text());
  for (int64_t i = 0; i < many; ++i)
    for (const Utterance& u : draw_text_clip({}, i).utterances) read.insert(u.text.substr(u.text.find(')') + 2));
  EXPECT_EQ(read.size(), 210u);  // each of the 300 but those of the test part
  for (const std::string& sentence : read) EXPECT_FALSE(unseen.contains(sentence)) << sentence;
}

TEST(SynthText, IsOtherDialoguesThanTheClips) {
  const Clip told = draw_text_clip({}, 0), shown = to_clip(draw_script({}, SynthPart::train, 0), "a.mp4");
  EXPECT_NE(told.id, shown.id);
  EXPECT_NE(told.utterances.at(0).text.substr(told.utterances.at(0).text.find(')') + 2), shown.utterances.at(0).text);
}

TEST(SynthScript, IsTheSameForTheSameNumber) {
  EXPECT_TRUE(same(draw_script({}, SynthPart::train, 7), draw_script({}, SynthPart::train, 7)));
}

TEST(SynthScript, DiffersForAnotherNumberPartOrSeed) {
  const ClipScript script = draw_script({}, SynthPart::train, 7);
  EXPECT_FALSE(same(script, draw_script({}, SynthPart::train, 8)));
  EXPECT_FALSE(same(script, draw_script({}, SynthPart::test, 7)));
  EXPECT_FALSE(same(script, draw_script({.seed = 2}, SynthPart::train, 7)));
}

TEST(SynthScript, HoldsOneToFourUtterances) {
  std::set<size_t> counts;
  for (const ClipScript& script : train_scripts()) counts.insert(script.utterances.size());
  EXPECT_EQ(counts, (std::set<size_t>{1, 2, 3, 4}));
}

TEST(SynthScript, LeavesHalfASecondBetweenUtterances) {
  for (const ClipScript& script : train_scripts())
    for (size_t i = 1; i < script.utterances.size(); ++i) {
      const double pause_s = script.utterances[i].start_s - script.utterances[i - 1].end_s;
      EXPECT_GT(pause_s, 0.499);
      EXPECT_LT(pause_s, 0.701);
    }
}

TEST(SynthScript, KeepsEveryUtteranceInsideTheClip) {
  for (const ClipScript& script : train_scripts()) {
    EXPECT_GE(script.utterances.front().start_s, 0.2);
    EXPECT_LE(script.utterances.back().end_s, script.duration_s() - 0.15);
  }
}

TEST(SynthScript, GivesUtterancesTimesThatTheQuestionNamesExactly) {
  for (const ClipScript& script : train_scripts())
    for (const Utterance& u : to_clip(script, "x.mp4").utterances) {
      EXPECT_THAT(u.question, testing::HasSubstr(fmt::format("{:.1f}", u.start_s)));
      EXPECT_THAT(u.question, testing::HasSubstr(fmt::format("{:.1f}", u.end_s)));
      EXPECT_DOUBLE_EQ(u.start_s, std::round(u.start_s * 10) / 10);
    }
}

TEST(SynthScript, MovesTheFaceWithinTheUtteranceOrThePauseItBelongsTo) {
  for (const ClipScript& script : train_scripts())
    for (const Movement& movement : script.movements) {
      if (movement.utterance >= 0) {
        const ScriptedUtterance& u = script.utterances.at(size_t(movement.utterance));
        EXPECT_GE(movement.onset_s, u.start_s - 1e-4);
        EXPECT_LE(movement.offset_s, u.end_s + 1e-4);
        continue;
      }
      for (const ScriptedUtterance& u : script.utterances)
        EXPECT_TRUE(movement.offset_s <= u.start_s + 1e-4 || movement.onset_s >= u.end_s - 1e-4) << script.id;
    }
}

TEST(SynthScript, MovesTheFaceOncePerUtteranceThatNamesAUnit) {
  for (const ClipScript& script : train_scripts())
    for (size_t i = 0; i < script.utterances.size(); ++i) {
      std::vector<std::string> units;
      for (const Movement& movement : script.movements)
        if (movement.utterance == int64_t(i)) units.push_back(movement.unit);
      const FaceUnit unit = script.utterances[i].unit;
      EXPECT_EQ(units, unit == FaceUnit::none ? std::vector<std::string>{} : std::vector<std::string>{name_of(unit)});
    }
}

TEST(SynthScript, PutsEveryApexOnAFrameBetweenOnsetAndOffset) {
  for (const ClipScript& script : train_scripts())
    for (const Movement& movement : script.movements) {
      EXPECT_NEAR(movement.apex_s * synth_rate, std::round(movement.apex_s * synth_rate), 1e-9);
      EXPECT_LT(movement.onset_s, movement.apex_s);
      EXPECT_LT(movement.apex_s, movement.offset_s);
    }
}

TEST(SynthScript, KeepsMovementsWithinTheOptions) {
  const SynthOptions options;
  for (const ClipScript& script : train_scripts())
    for (const Movement& movement : script.movements) {
      EXPECT_GE(movement.amplitude, options.amplitude_min);
      EXPECT_LE(movement.amplitude, options.amplitude_max);
      EXPECT_GE(movement.offset_s - movement.onset_s, options.movement_min_s - 2e-4);
      EXPECT_LE(movement.offset_s - movement.onset_s, options.movement_max_s + 2e-4);
    }
}

TEST(SynthScript, PutsAMovementIntoThreePausesOfFive) {
  double pauses = 0, moved = 0;
  for (const ClipScript& script : train_scripts()) {
    pauses += double(script.utterances.size()) - 1;
    moved += double(std::ranges::count(script.movements, -1, &Movement::utterance));
  }
  EXPECT_NEAR(moved / pauses, 0.6, 0.03);
}

TEST(SynthScript, BlinksInsideUtterancesAndOutside) {
  int inside = 0, outside = 0;
  for (const ClipScript& script : train_scripts())
    for (double blink : script.blinks_s) {
      const auto covers = [&](const ScriptedUtterance& u) { return u.start_s <= blink && blink < u.end_s; };
      (std::ranges::any_of(script.utterances, covers) ? inside : outside) += 1;
    }
  EXPECT_GT(inside, 500);
  EXPECT_GT(outside, 500);
}

TEST(SynthScript, DoesNotBlinkWhenToldSo) {
  for (const ClipScript& script : draw_scripts(SynthPart::train, 50, {.blinks_per_s = 0})) EXPECT_TRUE(script.blinks_s.empty());
}

TEST(SynthScript, AnswersWithinFourteenWords) {
  for (const ClipScript& script : train_scripts())
    for (const Utterance& u : to_clip(script, "x.mp4").utterances) EXPECT_LE(words_of(u.answer).size(), 14u) << u.answer;
}

TEST(SynthScript, DrawsEverySynonym) {
  std::set<std::string> drawn, declared;
  for (const ClipScript& script : train_scripts())
    for (const ScriptedUtterance& u : script.utterances) drawn.insert(u.labels.begin(), u.labels.end());
  for (const LabelGroup& group : label_groups()) declared.insert(group.synonyms.begin(), group.synonyms.end());
  EXPECT_EQ(drawn, declared);
}

TEST(SynthScript, KeepsItsFactorsInTheManifest) {
  const ClipScript script = draw_script({}, SynthPart::test, 3);
  const Clip clip = to_clip(script, "a/b.mp4");
  EXPECT_EQ(clip.id, "test_00003");
  EXPECT_EQ(clip.split, "test");
  EXPECT_EQ(clip.identity, script.portrait);
  for (size_t i = 0; i < clip.utterances.size(); ++i) {
    EXPECT_EQ(clip.utterances[i].face, name_of(script.utterances[i].unit));
    EXPECT_EQ(clip.utterances[i].voice, name_of(script.utterances[i].manner));
    EXPECT_EQ(clip.utterances[i].words, name_of(script.utterances[i].sentence.sentiment));
    EXPECT_EQ(clip.utterances[i].text, script.utterances[i].sentence.text());
  }
}

TEST(SynthParts, ShareNoFace) {
  for (const std::string& name : portrait_names(SynthPart::test))
    EXPECT_THAT(portrait_names(SynthPart::train), testing::Not(testing::Contains(name)));
  EXPECT_EQ(portrait_names(SynthPart::test).size(), 5u);
}

TEST(SynthParts, ShowTheirOwnFacesOnly) {
  for (SynthPart part : {SynthPart::train, SynthPart::test})
    for (const ClipScript& script : draw_scripts(part, 200))
      EXPECT_THAT(portrait_names(part), testing::Contains(script.portrait));
}

TEST(SynthParts, ShareNoVoice) {
  for (const ClipScript& script : draw_scripts(SynthPart::test, 200))
    EXPECT_THAT(voices_of(SynthPart::train), testing::Not(testing::Contains(script.voice)));
}

TEST(SynthParts, ShareNoSentence) {
  std::set<std::string> trained;
  for (const ClipScript& script : train_scripts())
    for (const ScriptedUtterance& u : script.utterances) trained.insert(u.sentence.text());
  for (const ClipScript& script : draw_scripts(SynthPart::test))
    for (const ScriptedUtterance& u : script.utterances) EXPECT_FALSE(trained.contains(u.sentence.text())) << u.sentence.text();
}

TEST(SynthParts, ShareEveryWord) {
  std::map<SynthPart, std::set<std::string>> words;
  for (const Sentence& sentence : all_sentences())
    for (const std::string& word : words_of(sentence.text())) words[part_of(sentence)].insert(word);
  EXPECT_EQ(words[SynthPart::train], words[SynthPart::test]);
}

TEST(SynthParts, KeepThreeSentencesOfTenForTheTest) {
  const auto all = all_sentences();
  EXPECT_EQ(std::ranges::count(all, SynthPart::test, part_of), 90);
}

TEST(SynthSentences, HaveFourToSixWordsAndAreAllDifferent) {
  std::set<std::string> texts;
  for (const Sentence& sentence : all_sentences()) {
    EXPECT_GE(words_of(sentence.text()).size(), 4u);
    EXPECT_LE(words_of(sentence.text()).size(), 6u);
    EXPECT_TRUE(texts.insert(sentence.text()).second) << sentence.text();
  }
}

TEST(MovementProgress, IsOneAtTheApexAndNothingOutside) {
  const Movement movement{.unit = "lid", .onset_s = 1.0, .apex_s = 1.1, .offset_s = 1.4, .amplitude = 0.05};
  EXPECT_DOUBLE_EQ(movement_progress(movement, 0.9), 0.0);
  EXPECT_DOUBLE_EQ(movement_progress(movement, 1.0), 0.0);
  EXPECT_NEAR(movement_progress(movement, 1.1), 1.0, 1e-12);
  EXPECT_NEAR(movement_progress(movement, 1.25), 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(movement_progress(movement, 1.4), 0.0);
  EXPECT_DOUBLE_EQ(movement_progress(movement, 2.0), 0.0);
}

// Independence: what is drawn for the face must not be told by anything else. One contingency table each, seed fixed.

/// Chi-square of independence, as the number of its standard deviations above its mean.
double dependence(const std::function<int(const ClipScript&, const ScriptedUtterance&)>& row,
                  const std::function<int(const ClipScript&, const ScriptedUtterance&)>& column) {
  std::map<std::pair<int, int>, double> cells;
  std::map<int, double> rows, columns;
  double total = 0;
  for (const ClipScript& script : train_scripts())
    for (const ScriptedUtterance& u : script.utterances) {
      const int r = row(script, u), c = column(script, u);
      ++cells[{r, c}], ++rows[r], ++columns[c], ++total;
    }
  double chi_square = 0;
  for (const auto& [r, in_row] : rows)
    for (const auto& [c, in_column] : columns) {
      const double expected = in_row * in_column / total;
      chi_square += (cells[{r, c}] - expected) * (cells[{r, c}] - expected) / expected;
    }
  const double freedom = double((rows.size() - 1) * (columns.size() - 1));
  return (chi_square - freedom) / std::sqrt(2.0 * freedom);
}

int unit_of(const ClipScript&, const ScriptedUtterance& u) { return int(u.unit); }
int manner_of(const ClipScript&, const ScriptedUtterance& u) { return int(u.manner); }
int sentiment_of(const ClipScript&, const ScriptedUtterance& u) { return int(u.sentence.sentiment); }
int adjective_of(const ClipScript&, const ScriptedUtterance& u) { return 10 * int(u.sentence.sentiment) + u.sentence.adjective; }
int frame_of(const ClipScript&, const ScriptedUtterance& u) { return u.sentence.frame; }
int length_of(const ClipScript&, const ScriptedUtterance& u) { return int(std::lround((u.end_s - u.start_s) * 10)); }
int count_of(const ClipScript& script, const ScriptedUtterance&) { return int(script.utterances.size()); }
int position_of(const ClipScript& script, const ScriptedUtterance& u) { return int(&u - script.utterances.data()); }
int start_of(const ClipScript&, const ScriptedUtterance& u) { return int(u.start_s); }
int speed_of(const ClipScript&, const ScriptedUtterance& u) { return int(u.words_per_minute / 10); }
int pitch_of(const ClipScript&, const ScriptedUtterance& u) { return int(u.pitch / 5); }
int face_of(const ClipScript& script, const ScriptedUtterance&) { return int(script.index % 20); }
int voice_of(const ClipScript& script, const ScriptedUtterance&) { return script.voice.back() + 256 * script.voice[6]; }

constexpr double far = 4.0;  // standard deviations

TEST(SynthIndependence, OfTheMovementFromTheWords) {
  EXPECT_LT(dependence(unit_of, sentiment_of), far);
  EXPECT_LT(dependence(unit_of, adjective_of), far);
  EXPECT_LT(dependence(unit_of, frame_of), far);
}

TEST(SynthIndependence, OfTheMovementFromTheVoice) {
  EXPECT_LT(dependence(unit_of, manner_of), far);
  EXPECT_LT(dependence(unit_of, voice_of), far);
  EXPECT_LT(dependence(unit_of, speed_of), far);
  EXPECT_LT(dependence(unit_of, pitch_of), far);
}

TEST(SynthIndependence, OfTheMovementFromTiming) {
  EXPECT_LT(dependence(unit_of, length_of), far);
  EXPECT_LT(dependence(unit_of, count_of), far);
  EXPECT_LT(dependence(unit_of, position_of), far);
  EXPECT_LT(dependence(unit_of, start_of), far);
}

TEST(SynthIndependence, OfTheMovementFromThePerson) { EXPECT_LT(dependence(unit_of, face_of), far); }

TEST(SynthIndependence, OfTheVoiceFromWordsAndTiming) {
  EXPECT_LT(dependence(manner_of, adjective_of), far);
  EXPECT_LT(dependence(manner_of, frame_of), far);
  EXPECT_LT(dependence(manner_of, length_of), far);
  EXPECT_LT(dependence(manner_of, speed_of), far);
  EXPECT_LT(dependence(manner_of, count_of), far);
}

TEST(SynthIndependence, OfTheWordsFromTiming) {
  EXPECT_LT(dependence(sentiment_of, length_of), far);
  EXPECT_LT(dependence(sentiment_of, count_of), far);
  EXPECT_LT(dependence(sentiment_of, speed_of), far);
}

TEST(SynthIndependence, IsMeasuredByANumberThatSeesDependence) {
  EXPECT_GT(dependence(adjective_of, sentiment_of), 100.0);
  EXPECT_GT(dependence(position_of, count_of), 100.0);
}

TEST(SynthIndependence, HoldsForMovementsInPauses) {
  // Units in pauses are drawn as those of utterances: none is a sign that a movement belongs to no utterance.
  std::map<std::string, double> in_pauses;
  double total = 0;
  for (const ClipScript& script : train_scripts())
    for (const Movement& movement : script.movements)
      if (movement.utterance < 0) ++in_pauses[movement.unit], ++total;
  ASSERT_EQ(in_pauses.size(), 6u);
  for (const auto& [unit, count] : in_pauses) EXPECT_NEAR(count / total, 1.0 / 6.0, 0.03) << unit;
}

}  // namespace
}  // namespace microemo::data
