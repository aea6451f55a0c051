#include "microemo/eval/extract_lexicon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/support.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"

namespace microemo::eval {
namespace {

using testing::HasSubstr;

class LexiconFolder : public testing::Test {
 protected:
  void write(std::string emotions) {
    write_file_atomic(folder_.path() / "emotions.csv", emotions);
    write_file_atomic(folder_.path() / "grammar.csv", read_file(own_lexicon().folder / "grammar.csv"));
  }

  Error mistake() {
    try {
      load_lexicon(folder_.path());
    } catch (const Error& error) {
      return error;
    }
    return InternalError("nothing was refused");
  }

  void refuses(const std::string& emotions, const std::string& message, const std::string& place) {
    write(emotions);
    const Error error = mistake();
    EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    EXPECT_THAT(error.message(), HasSubstr(message));
    EXPECT_THAT(error.place(), HasSubstr(place));
  }

  TemporaryFolder folder_;
};

TEST_F(LexiconFolder, BringsTheRegularAdverbAndNoun) {
  write("label,valence,english,chinese\nhappy,0.8,,\n");
  const Lexicon lexicon = load_lexicon(folder_.path());
  for (const char* form : {"happy", "happily", "happiness"}) EXPECT_EQ(lexicon.phrases.at(form).emotion->label, "happy");
}

TEST_F(LexiconFolder, RefusesAFormOfTwoFamilies) {
  refuses("label,valence,english,chinese\nhappy,0.8,joy,\njoyful,0.9,joy,\n", "\"joy\" belongs to \"happy\"", "line 3");
}

TEST_F(LexiconFolder, RefusesAValenceOutsideItsRange) {
  for (const char* valence : {"1.5", "-2", "nan", "", "good", "0.5x"})
    refuses(std::string("label,valence,english,chinese\nhappy,") + valence + ",,\n", "valence", "line 2");
}

TEST_F(LexiconFolder, RefusesAnEmptyLabel) { refuses("label,valence,english,chinese\n~,0.5,,\n", "label is empty", "line 2"); }

TEST_F(LexiconFolder, RefusesAMissingColumn) { refuses("label,valence,english\nhappy,0.8,\n", "chinese", "emotions.csv"); }

TEST_F(LexiconFolder, RefusesUnknownAndMissingRoles) {
  write("label,valence,english,chinese\nhappy,0.8,,\n");
  write_file_atomic(folder_.path() / "grammar.csv", "role,english,chinese\nshouting,loud,\n");
  EXPECT_THAT(mistake().message(), HasSubstr("no role \"shouting\""));
  write_file_atomic(folder_.path() / "grammar.csv", "role,english,chinese\nhedge,may,\n");
  EXPECT_THAT(mistake().message(), HasSubstr("no words have the role \"negation\""));
}

TEST_F(LexiconFolder, RefusesAFolderWithoutItsFiles) { EXPECT_EQ(mistake().kind(), ErrorKind::data); }

TEST(OwnLexicon, KnowsAFamilyInBothLanguages) {
  EXPECT_EQ(own_lexicon().phrases.at(phrase_key("anger")).emotion->label, "angry");
  EXPECT_EQ(own_lexicon().phrases.at(phrase_key("愤怒")).emotion->label, "angry");
}

TEST(OwnLexicon, HasAHash) { EXPECT_EQ(own_lexicon().hash.size(), 64u); }

}  // namespace
}  // namespace microemo::eval
