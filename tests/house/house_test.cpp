// The rules of the house, applied to the source tree.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rules.h"

namespace microemo::house {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;

const fs::path root = MICROEMO_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool has_extension(const std::string& path, const std::vector<std::string>& extensions) {
  return std::any_of(extensions.begin(), extensions.end(),
                     [&](const std::string& extension) { return path.ends_with(extension); });
}

std::vector<SourceFile> source_files(const std::vector<std::string>& folders, const std::vector<std::string>& extensions) {
  std::vector<SourceFile> files;
  for (const std::string& folder : folders) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string path = fs::relative(entry.path(), root).string();
      if (entry.is_regular_file() && !path.starts_with("tests/data/") && has_extension(path, extensions))
        files.push_back({path, read(entry.path())});
    }
  }
  return files;
}

std::vector<SourceFile> code_files() { return source_files({"include", "src", "tools"}, {".h", ".cpp", ".cu", ".cuh"}); }

std::vector<FunctionSize> all_functions() {
  std::vector<FunctionSize> all;
  for (const SourceFile& file : code_files()) {
    const std::vector<FunctionSize> found = functions_of(file);
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

TEST(House, HasItsSourcesWhereTheyAreLookedFor) {
  EXPECT_GT(code_files().size(), 20u) << "under " << root;
  EXPECT_GT(all_functions().size(), 100u);
}

TEST(House, DeclaresItsRoomsInTheOrderOfTheTable) { EXPECT_THAT(order_violations(read(root / "src/CMakeLists.txt")), IsEmpty()); }

TEST(House, HasOnlyFoldersOfKnownRooms) {
  for (const std::string top : {"include/microemo", "src"})
    for (const fs::directory_entry& entry : fs::directory_iterator(root / top)) {
      const std::string name = entry.path().filename().string();
      const bool known = std::find(rooms().begin(), rooms().end(), name) != rooms().end() || name == "cuda";
      EXPECT_TRUE(known || !entry.is_directory()) << entry.path();
    }
}

TEST(House, IncludesNothingThatItsTableForbids) {
  const auto declared = declared_rooms(read(root / "src/CMakeLists.txt"));
  for (const SourceFile& file : source_files({"include", "src", "tools", "tests"}, {".h", ".cpp", ".cu", ".cuh"}))
    EXPECT_THAT(include_violations(file, declared), IsEmpty());
}

TEST(House, HasNoFunctionLongerThan60Lines) {
  for (const FunctionSize& function : all_functions())
    EXPECT_LE(function.lines, 60) << function.file << ":" << function.line << " " << function.signature;
}

TEST(House, HasNineOfTenFunctionsWithin30Lines) {
  std::vector<int> lines;
  for (const FunctionSize& function : all_functions()) lines.push_back(function.lines);
  EXPECT_LE(percentile_90(lines), 30);
}

TEST(House, HasNineOfTenFilesWithin450Lines) {
  std::vector<int> lines;
  for (const SourceFile& file : code_files()) lines.push_back(line_count(file.text));
  EXPECT_LE(percentile_90(lines), 450);
}

TEST(House, HasNoFileLongerThan800Lines) {
  for (const SourceFile& file : source_files({"include", "src", "tools", "tests"}, {""}))
    EXPECT_LE(line_count(file.text), 800) << file.path;
}

}  // namespace
}  // namespace microemo::house
