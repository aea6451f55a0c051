// The checkers of the house rules see what they are for: each is shown a small tree or file that breaks its rule.
#include "rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microemo::house {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr const char* cmake =
    "microemo_room(base LIBS spdlog::spdlog)\n"
    "microemo_room(media ROOMS base LIBS x)\n"
    "microemo_room(nn TORCH ROOMS base)\n"
    "microemo_room(model TORCH ROOMS nn)\n"
    "microemo_room(data TORCH ROOMS base ${media_room} model)\n";

std::vector<std::string> violations(const std::string& path, const std::string& text) {
  return include_violations({path, text}, declared_rooms(cmake));
}

TEST(DeclaredRooms, HoldTheRoomsOfTheRoomsTheyName) {
  EXPECT_THAT(declared_rooms(cmake)["data"], UnorderedElementsAre("base", "media", "model", "nn"));
}

TEST(RoomOrder, IsBrokenByARoomThatUsesAHigherOne) {
  EXPECT_THAT(order_violations("microemo_room(nn ROOMS base model)"), ElementsAre("nn stands no higher than model"));
}
TEST(RoomOrder, IsBrokenByARoomThatUsesItself) { EXPECT_EQ(order_violations("microemo_room(nn ROOMS nn)").size(), 1u); }
TEST(RoomOrder, IsBrokenByAnUnknownRoom) { EXPECT_EQ(order_violations("microemo_room(attic)").size(), 1u); }
TEST(RoomOrder, IsKeptByTheExample) { EXPECT_THAT(order_violations(cmake), IsEmpty()); }

TEST(Includes, AreFoundInBothQuotes) {
  EXPECT_THAT(includes_of("#include <vector>\n  #  include \"a/b.h\"  // why\nint x;\n"), ElementsAre("vector", "a/b.h"));
}
TEST(Includes, AreNotFoundInComments) { EXPECT_THAT(includes_of("// #include <vector>\n"), IsEmpty()); }

TEST(IncludeRules, AllowWhatTheTableAllows) {
  EXPECT_THAT(
      violations("src/data/a.cpp", "#include \"microemo/media/x.h\"\n#include \"microemo/nn/y.h\"\n#include <ATen/ops/cat.h>\n"),
      IsEmpty());
}
TEST(IncludeRules, AllowVisionInTheMediaRoom) {
  EXPECT_THAT(
      violations("src/media/a.cpp", "#include <opencv2/core.hpp>\n#include <dlib/matrix.h>\n#include \"microemo/base/x.h\"\n"),
      IsEmpty());
}
TEST(IncludeRules, ForbidAHigherRoom) {
  EXPECT_THAT(violations("src/nn/a.cpp", "#include \"microemo/model/x.h\"\n"), ElementsAre(HasSubstr("nn may not use model")));
}
TEST(IncludeRules, ForbidALowerRoomThatIsNotDeclared) {
  EXPECT_THAT(violations("include/microemo/nn/a.h", "#include \"microemo/media/x.h\"\n"),
              ElementsAre(HasSubstr("nn may not use media")));
}
TEST(IncludeRules, ForbidARoomThatDoesNotExist) {
  EXPECT_EQ(violations("src/nn/a.cpp", "#include \"microemo/attic/x.h\"\n").size(), 1u);
}
TEST(IncludeRules, ForbidPathsOutOfTheFolder) {
  EXPECT_EQ(violations("src/nn/a.cpp", "#include \"../base/console.h\"\n").size(), 1u);
}
TEST(IncludeRules, ForbidTheWholeOfTorchEverywhere) {
  for (const std::string path : {"src/nn/a.cpp", "tests/nn/a_test.cpp", "tools/a.cpp", "include/microemo/nn/a.h"})
    EXPECT_EQ(violations(path, "#include <torch/torch.h>\n").size(), 1u) << path;
}
TEST(IncludeRules, ForbidTorchInARoomWithoutTorch) {
  for (const std::string path :
       {"src/media/a.cpp", "src/base/a.cpp", "include/microemo/eval/a.h", "src/report/a.cpp", "src/formats/a.cpp"})
    EXPECT_EQ(violations(path, "#include <ATen/core/Tensor.h>\n").size(), 1u) << path;
}
TEST(IncludeRules, ForbidOtherTorchHeadersInPublicHeaders) {
  EXPECT_EQ(violations("include/microemo/nn/a.h", "#include <ATen/ATen.h>\n").size(), 1u);
  EXPECT_THAT(violations("include/microemo/nn/a.h", "#include <ATen/core/Tensor.h>\n#include <torch/nn/module.h>\n"), IsEmpty());
}
TEST(IncludeRules, ForbidLibrariesInPublicHeaders) {
  for (const std::string header : {"opencv2/core.hpp", "dlib/matrix.h", "libavutil/frame.h", "cuda_runtime.h", "spdlog/spdlog.h"})
    EXPECT_EQ(violations("include/microemo/media/a.h", "#include <" + header + ">\n").size(), 1u) << header;
}
TEST(IncludeRules, ForbidLibrariesOutsideTheirRoom) {
  for (const std::string header :
       {"opencv2/core.hpp", "libswscale/swscale.h", "ATen/cuda/CUDAContext.h", "yaml-cpp/yaml.h", "CLI/CLI.hpp"})
    EXPECT_EQ(violations("src/model/a.cpp", "#include <" + header + ">\n").size(), 1u) << header;
}
TEST(IncludeRules, ForbidTorchAndVisionInOneFile) {
  EXPECT_THAT(violations("src/media/a.cpp", "#include <dlib/matrix.h>\n#include <ATen/ATen.h>\n"),
              ::testing::Contains(HasSubstr("meets")));
}
TEST(IncludeRules, ForbidVisionBesideARoomWithTorch) {
  EXPECT_THAT(violations("tests/media/a_test.cpp", "#include <opencv2/core.hpp>\n#include \"microemo/model/x.h\"\n"),
              ElementsAre(HasSubstr("meets")));
}
TEST(IncludeRules, KeepThePlugInToBase) {
  EXPECT_THAT(violations("src/cuda/a.cpp", "#include <c10/cuda/CUDAStream.h>\n#include \"microemo/base/x.h\"\n"), IsEmpty());
  EXPECT_EQ(violations("src/cuda/a.cpp", "#include \"microemo/nn/x.h\"\n").size(), 1u);
}

TEST(CodeOnly, BlanksCommentsLiteralsAndDirectives) {
  EXPECT_EQ(code_only("a // {\nb /* {\n */ c"), "a     \nb     \n    c");
  EXPECT_EQ(code_only("\"{\\\"\" '{' 1'0 R\"x({\n)\" )x\" d"), "          1'0 R    \n       d");
  EXPECT_EQ(code_only("#define X \\\n {\ne"), "           \n  \ne");
}

std::vector<std::pair<int, int>> lines_of_functions(const std::string& text) {
  std::vector<std::pair<int, int>> found;
  for (const FunctionSize& function : functions_of({"a.cpp", text})) found.emplace_back(function.line, function.lines);
  return found;
}

TEST(Functions, AreMeasuredFromSignatureToClosingBrace) {
  EXPECT_THAT(lines_of_functions("#include <x>\n\nint f(int a,\n      int b) {\n  return a;\n}\n"), ElementsAre(std::pair(3, 4)));
}
TEST(Functions, AreFoundInNamespacesAndClasses) {
  EXPECT_THAT(lines_of_functions(
                  "namespace a {\nclass B : public C {\n public:\n  int f() const { return 1; }\n private:\n  int x_ = 3;\n};\n"
                  "void g() {\n}\n}  // namespace a\n"),
              ElementsAre(std::pair(4, 1), std::pair(8, 2)));
}
TEST(Functions, AreConstructorsWithBracesInTheirInitialisers) {
  EXPECT_THAT(lines_of_functions("A::A(int x) : b_{x}, c_(1), d_{} {\n  f();\n}\nvoid g() {}\n"),
              ElementsAre(std::pair(1, 3), std::pair(4, 1)));
}
TEST(Functions, HaveBracesAmongTheirDefaultArguments) {
  EXPECT_THAT(lines_of_functions("void f(int a = {},\n       B b = B{1}) {\n  g();\n}\n"), ElementsAre(std::pair(1, 4)));
}
TEST(Functions, HoldTheirLambdasAndBlocks) {
  EXPECT_THAT(
      lines_of_functions("void f() {\n  const auto g = [&](int x) {\n    if (x) {\n      y();\n    }\n  };\n  g(Z{1});\n}\n"),
      ElementsAre(std::pair(1, 8)));
}
TEST(Functions, AreTemplatesAndOperators) {
  EXPECT_THAT(lines_of_functions("template <class T = int>\nbool operator==(T a, T b) {\n  return true;\n}\nstruct S {\n  void "
                                 "operator()(int) {\n  }\n};\n"),
              ElementsAre(std::pair(1, 4), std::pair(6, 2)));
}
TEST(Functions, AreLambdasAtNamespaceLevel) {
  EXPECT_THAT(lines_of_functions("const auto f = [](int x) {\n  return x;\n};\n"), ElementsAre(std::pair(1, 3)));
}
TEST(Functions, AreNotTablesEnumsOrMembers) {
  EXPECT_THAT(
      lines_of_functions(
          "const int table[] = {\n 1,\n 2};\nenum class E { a, b };\nstruct S {\n  std::vector<int> x{};\n  int y{3};\n};\n"
          "static const T names{\n  \"x\", f(1)};\n"),
      IsEmpty());
}
TEST(Functions, AreNotUpsetByBracesInText) {
  EXPECT_THAT(lines_of_functions("void f() {\n  print(\"}\"); // }\n  g('}');\n}\nvoid h() {}\n"),
              ElementsAre(std::pair(1, 4), std::pair(5, 1)));
}

TEST(LineCount, CountsALastLineWithoutBreak) {
  EXPECT_EQ(line_count("a\nb\n"), 2);
  EXPECT_EQ(line_count("a\nb"), 2);
  EXPECT_EQ(line_count(""), 0);
}

TEST(Percentile90, IsExceededByAtMostOneInTen) {
  EXPECT_EQ(percentile_90({1, 2, 3, 4, 5, 6, 7, 8, 9, 100}), 9);
  EXPECT_EQ(percentile_90({1, 2, 3, 4, 5, 6, 7, 8, 99, 100}), 99);
  EXPECT_EQ(percentile_90({5}), 5);
}

}  // namespace
}  // namespace microemo::house
