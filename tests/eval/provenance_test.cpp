#include "microemo/eval/provenance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/eval/extract.h"

namespace microemo::eval {
namespace {

using testing::ElementsAre;

const LabelSource predictions{"p.jsonl", "aa", {"rules-1", "given labels"}, {"ignored"}},
    truths{"folder/truth.csv", "0123456789abcdef0123", {"given labels"}, {}};

TEST(Provenance, NamesWheelExtractorDataAndSplit) {
  EmotionWheel wheel;
  wheel.release = "2025";
  EXPECT_EQ(to_json(provenance_of(predictions, truths, &wheel)), Json({{"wheel_release", "2025"},
                                                                       {"extractor", "given labels + rules-1"},
                                                                       {"data_version", "0123456789abcdef0123"},
                                                                       {"split", "truth.csv"}}));
  EXPECT_EQ(to_text(provenance_of(predictions, truths, &wheel)),
            "wheel 2025; extractor given labels + rules-1; data 0123456789abcdef; split truth.csv");
}

TEST(Provenance, TakesTheSplitThatTheTruthsName) {
  LabelSource named = truths;
  named.splits = {"test", "dev"};
  EXPECT_EQ(provenance_of(predictions, named, nullptr).split, "dev + test");
}

TEST(Provenance, SaysWhereThereIsNoWheelOrExtractor) {
  const Provenance none = provenance_of({"p.jsonl", "aa", {}, {}}, truths, nullptr);
  EXPECT_EQ(to_json(none)["wheel_release"], Json());
  EXPECT_EQ(to_json(none)["extractor"], Json());
  EXPECT_EQ(to_text(none), "no wheel; no extractor; data 0123456789abcdef; split truth.csv");
}

TEST(Provenance, NamesAWheelOfNoReleaseByItsHash) {
  EmotionWheel wheel;
  wheel.name = "own";
  wheel.hash = "fedcba9876543210fedcba";
  EXPECT_EQ(release_name(wheel), "own@fedcba987654");
}

TEST(Provenance, IsReadBackFromAResult) {
  const Provenance made{"2026", "rules-1", "0123", "test"};
  Json result = {{"f_score", 1}};
  result.update(to_json(made));
  EXPECT_THAT(provenance_fields(provenance_in(result)), ElementsAre("2026", "rules-1", "0123", "test"));
  EXPECT_EQ(provenance_in(to_json(provenance_of(predictions, truths, nullptr))).wheel_release, "");
  EXPECT_THAT(provenance_fields(provenance_in({{"split", 3}})), ElementsAre("unknown", "unknown", "unknown", "unknown"));
  EXPECT_EQ(provenance_in(Json::array()).split, "unknown");
}

TEST(Provenance, ClosesEveryRowOfATable) {
  std::vector<std::string> header{"id"};
  std::vector<std::vector<std::string>> rows{{"a"}, {"b"}};
  add_provenance(header, rows, {"2026", "rules-1", "0123", "test"});
  EXPECT_THAT(header, ElementsAre("id", "wheel_release", "extractor", "data_version", "split"));
  EXPECT_THAT(rows[1], ElementsAre("b", "2026", "rules-1", "0123", "test"));
}

TEST(RulesExtractor, IsNamedByItsWordLists) {
  EXPECT_EQ(own_lexicon().hash, rules_lexicon_hash) << "word lists have changed: give the rules another number";
  EXPECT_EQ(rules_extractor_name(own_lexicon()), "rules-1");
  Lexicon other;
  other.hash = "fedcba9876543210";
  EXPECT_EQ(rules_extractor_name(other), "rules-1:fedcba987654");
}

}  // namespace
}  // namespace microemo::eval
