#include "microemo/base/error.h"

#include <set>

#include <gtest/gtest.h>

#include "support/errors.h"

namespace microemo {
namespace {

constexpr ErrorKind all_kinds[] = {ErrorKind::config, ErrorKind::data, ErrorKind::checkpoint, ErrorKind::environment,
                                   ErrorKind::internal};

TEST(Errors, PrintWhatWhereAndNext) {
  const Error error = DataError("utterance {} ends at {:.3f} s", 3, 4.8125).where("train.jsonl", 22).hint("fix the times");
  EXPECT_STREQ(error.what(), "error (data): utterance 3 ends at 4.812 s\n  where  train.jsonl, line 22\n  next   fix the times");
}

TEST(Errors, PrintOnlyWhatIsKnown) { EXPECT_STREQ(ConfigError("no").what(), "error (config): no"); }

TEST(Errors, NameTheColumn) { EXPECT_EQ(ConfigError("no").where("a.yaml", 2, 5).place(), "a.yaml, line 2, column 5"); }

TEST(Errors, SayWhenTheyAreAProgrammersMistake) { EXPECT_STREQ(InternalError("no").what(), "error (internal): no"); }

TEST(Errors, KeepEverythingWhenTheyAreThrownAndCopied) {
  try {
    throw CheckpointError("broken").where("a.safetensors").hint("fetch it again");
  } catch (const Error& caught) {
    const Error copy = caught;
    EXPECT_EQ(copy.kind(), ErrorKind::checkpoint);
    EXPECT_EQ(copy.place(), "a.safetensors");
    EXPECT_EQ(copy.next_step(), "fetch it again");
  }
}

TEST(Errors, HaveAnExitCodeAndANameOfTheirOwnForEachKind) {
  std::set<int> codes;
  std::set<std::string> names;
  for (const ErrorKind kind : all_kinds) {
    codes.insert(exit_code(kind));
    names.insert(kind_name(kind));
  }
  EXPECT_EQ(codes.size(), std::size(all_kinds));
  EXPECT_EQ(names.size(), std::size(all_kinds));
  EXPECT_FALSE(codes.contains(0));
  EXPECT_FALSE(codes.contains(exit_code_resumable));
}

TEST(Errors, KeepTheDocumentedExitCodes) {
  EXPECT_EQ(exit_code(ErrorKind::internal), 1);
  EXPECT_EQ(exit_code(ErrorKind::config), 2);
  EXPECT_EQ(exit_code(ErrorKind::data), 3);
  EXPECT_EQ(exit_code(ErrorKind::checkpoint), 4);
  EXPECT_EQ(exit_code(ErrorKind::environment), 5);
}

TEST(Check, ThrowsWithTheConditionAndItsPlace) {
  const int rows = 3;
  const Error error = test::expect_error(
      ErrorKind::internal, [&] { MICROEMO_CHECK(rows == 4, "{} rows", rows); }, "3 rows");
  EXPECT_NE(error.place().find("error_test.cpp"), std::string::npos);
  EXPECT_NE(error.place().find("rows == 4"), std::string::npos);
}

TEST(Check, LetsATrueConditionPass) { EXPECT_NO_THROW(MICROEMO_CHECK(true, "never")); }

}  // namespace
}  // namespace microemo
