#include "../../src/eval/flat_json.h"

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::eval {
namespace {

TEST(FlatLines, AreViewsIntoTheLine) {
  FlatObject object;
  ASSERT_TRUE(scan_flat_object(R"( {"id": "a", "labels": ["x","高兴"], "n": -1.5e+3, "t":true , "z":null} )", object));
  EXPECT_EQ(object.find("id")->value, "a");
  const FlatMember* labels = object.find("labels");
  EXPECT_EQ(labels->kind, FlatMember::list);
  ASSERT_EQ(labels->last - labels->first, 2u);
  EXPECT_EQ(object.elements[labels->first + 1], "高兴");
  EXPECT_EQ(object.find("n")->kind, FlatMember::other);
  EXPECT_EQ(object.find("absent"), nullptr);
}

TEST(FlatLines, TakeNothingThatJsonDoesNot) {
  for (const char* line : {"",
                           "{",
                           "{\"a\"",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{\"a\":01}",
                           "{\"a\":1.}",
                           "{\"a\":.5}",
                           "{\"a\":-}",
                           "{\"a\":1e}",
                           "{\"a\":nul}",
                           "{\"a\":[\"x\",]}",
                           "{\"a\":[\"x\"}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"x\"}}",
                           "{a:1}",
                           "{\"a\" 1}",
                           "{\"a\":+1}",
                           "{\"a\":\"\xff\"}",
                           "{\"a\":\"\xed\xa0\x80\"}",
                           "{\"a\":1,\"a\":2}",
                           "{\"a\":NaN}"}) {
    FlatObject object;
    EXPECT_FALSE(scan_flat_object(line, object)) << line;
    EXPECT_ANY_THROW(parse_json(line, "x")) << line;
  }
}

TEST(FlatLines, LeaveWhatIsNotFlatToTheFullReader) {
  for (const char* line : {R"({"a":"\n"})", R"({"a":{"b":1}})", R"({"a":[["x"]]})", R"({"a":[1]})", "[]", "1"}) {
    FlatObject object;
    EXPECT_FALSE(scan_flat_object(line, object)) << line;
    EXPECT_NO_THROW(parse_json(line, "x")) << line;
  }
}

}  // namespace
}  // namespace microemo::eval
