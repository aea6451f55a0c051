#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

// What the house rules forbid, as functions of text: house_test applies them to the source tree and to small bad examples.
namespace microemo::house {

struct SourceFile {
  std::string path;  ///< from the project's root: "src/media/frames.cpp"
  std::string text;
};

/// The rooms of the table in src/README.md, lowest first.
const std::vector<std::string>& rooms();

/// The rooms that each room's microemo_room(…) line names, and theirs in turn. Text of src/CMakeLists.txt.
std::map<std::string, std::set<std::string>> declared_rooms(std::string_view cmake);
/// Lines of that file that break the order of the table.
std::vector<std::string> order_violations(std::string_view cmake);

/// Headers that a file includes, as written between quotes or angle brackets.
std::vector<std::string> includes_of(std::string_view text);

/// One sentence for each include that breaks a rule.
std::vector<std::string> include_violations(const SourceFile& file, const std::map<std::string, std::set<std::string>>& declared);

struct FunctionSize {
  std::string file;
  std::string signature;
  int line = 0;   ///< of the first line of its signature
  int lines = 0;  ///< to the closing brace, both counted
};

/// Functions of a C++ file at namespace or class level; lambdas count into the function that holds them.
std::vector<FunctionSize> functions_of(const SourceFile& file);

int line_count(std::string_view text);
/// The least value that at least 90 of 100 values do not exceed.
int percentile_90(std::vector<int> values);

/// The same text with comments, literals and preprocessor lines blanked out; line breaks stay.
std::string code_only(std::string_view text);

}  // namespace microemo::house
