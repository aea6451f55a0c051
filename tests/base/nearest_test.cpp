#include "microemo/base/nearest.h"

#include <gtest/gtest.h>

namespace microemo {
namespace {

TEST(EditDistance, CountsInsertedDeletedReplacedAndSwappedLetters) {
  EXPECT_EQ(edit_distance("same", "same"), 0);
  EXPECT_EQ(edit_distance("face", "faces"), 1);
  EXPECT_EQ(edit_distance("faces", "face"), 1);
  EXPECT_EQ(edit_distance("face", "lace"), 1);
  EXPECT_EQ(edit_distance("face", "fcae"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("", "abc"), 3);
}

TEST(NearestName, FindsAMistypedName) { EXPECT_EQ(nearest_name("widnow", {"rate", "window", "input"}), "window"); }
TEST(NearestName, FindsANameWithoutItsSection) { EXPECT_EQ(nearest_name("window", {"rate", "face.window"}), "face.window"); }
TEST(NearestName, FindsANameInTheWrongSection) {
  EXPECT_EQ(nearest_name("voice.window", {"face.rate", "face.window"}), "face.window");
}
TEST(NearestName, PrefersTheSameSection) {
  EXPECT_EQ(nearest_name("face.wndow", {"voice.window", "face.window"}), "face.window");
}
TEST(NearestName, FindsNothingThatIsFarAway) { EXPECT_EQ(nearest_name("zebra", {"rate", "window"}), ""); }
TEST(NearestName, FindsNothingForAShortWordOfOtherLetters) { EXPECT_EQ(nearest_name("xy", {"ab", "cd"}), ""); }
TEST(NearestName, FindsNothingAmongNoNames) { EXPECT_EQ(nearest_name("rate", {}), ""); }
TEST(NearestName, FindsNothingForNoWord) { EXPECT_EQ(nearest_name("", {"a"}), ""); }

TEST(NearNames, AreQuotedTheNearestFirst) {
  EXPECT_EQ(near_names("logit", {"loss", "hidden", "logits"}, 2), "'logits', 'loss'");
  EXPECT_EQ(near_names("logit", {"loss"}), "'loss'");
  EXPECT_EQ(near_names("logit", {}), "");
}

}  // namespace
}  // namespace microemo
