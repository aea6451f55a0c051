#include "microemo/eval/wheel.h"

#include <map>

#include "mertools_wheel.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/eval/labels.h"
#include "microemo/formats/csv.h"

namespace microemo::eval {
namespace {

/// Comments become empty lines, so that line numbers in errors stay right.
std::string without_comments(std::string text) {
  size_t line = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  while (line < text.size() && text[line] == '#') {
    const size_t end = std::min(text.find('\n', line), text.size());
    text.erase(line, end - line);
    line += 1;
  }
  return text;
}

std::vector<std::string> split_forms(const std::string& text) {
  std::vector<std::string> forms;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(';', at), text.size());
    forms.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return forms;
}

/// What the rows so far said.
class Checks {
 public:
  explicit Checks(const std::filesystem::path& file) : file_(file) {}

  void add(const WheelWord& row, int64_t line) {
    spell(row.word, line);
    for (const std::string& form : row.forms) spell(form, line);
    if (row.group.empty() || row.sector.empty()) throw DataError("'{}' has no group or no sector", row.word).where(file_, line);
    const auto& sector = sectors_.emplace(row.group, row.sector).first->second;
    if (sector != row.sector)
      throw DataError("group '{}' lies in sector '{}' and in '{}'", row.group, sector, row.sector)
          .where(file_, line)
          .hint("give a group one sector");
    group_of_[row.word] = row.group;
  }
  void finish() const {
    for (const auto& [group, sector] : sectors_)
      if (const auto found = group_of_.find(group); found == group_of_.end() || found->second != group)
        throw DataError("group '{}' is no word of its own", group).where(file_).hint("name a group after one of its words");
  }

 private:
  void spell(const std::string& word, int64_t line) {
    if (word.empty() || word != normalise_label(word))
      throw DataError("'{}' is not spelled as labels are", word)
          .where(file_, line)
          .hint("use lower case and no blanks at the ends");
    const auto [place, is_new] = lines_.emplace(word, line);
    if (!is_new)
      throw DataError("'{}' stands on line {} already", word, place->second)
          .where(file_, line)
          .hint("a label has one meaning: remove one");
  }

  const std::filesystem::path& file_;
  std::map<std::string, int64_t> lines_;
  std::map<std::string, std::string> sectors_, group_of_;
};

EmotionWheel load_own_wheel(const std::filesystem::path& path) {
  Grouping groups{"group", {}}, sectors{"sector", {}};
  for (const WheelWord& row : read_wheel_words(path)) {
    std::vector<std::string> spellings = row.forms;
    spellings.push_back(row.word);
    for (const std::string& spelling : spellings) {
      groups.class_of[spelling] = row.group;
      sectors.class_of[spelling] = row.sector;
    }
  }
  const std::string hash = sha256_file(path);
  return {path.stem().string(), path, {{path, hash}}, hash, {std::move(groups), std::move(sectors)}, {"group"}, {}};
}

}  // namespace

const Grouping& EmotionWheel::grouping(std::string_view grouping_name) const {
  std::string names;
  for (const Grouping& candidate : groupings) {
    if (candidate.name == grouping_name) return candidate;
    names += (names.empty() ? "" : ", ") + candidate.name;
  }
  throw ConfigError("wheel '{}' has no grouping '{}'", name, grouping_name).hint("its groupings are " + names);
}

std::vector<WheelWord> read_wheel_words(const std::filesystem::path& path) {
  const formats::Table table = formats::parse_csv(without_comments(read_file(path)), path);
  const size_t word = table.column("word"), group = table.column("group"), sector = table.column("sector");
  const size_t intensity = table.column("intensity"), forms = table.column("forms");
  std::vector<WheelWord> words;
  Checks checks(path);
  for (const auto& [fields, line] : table.rows) {
    const std::string& level = fields[intensity];
    if (level != "1" && level != "2" && level != "3")
      throw DataError("intensity is '{}'; it must be 1, 2 or 3", level).where(path, line);
    words.push_back({fields[word], fields[group], fields[sector], level[0] - '0', split_forms(fields[forms])});
    checks.add(words.back(), line);
  }
  checks.finish();
  return words;
}

EmotionWheel load_wheel(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? load_mertools_wheel(path) : load_own_wheel(path);
}

std::filesystem::path own_wheel_path() {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  for (const char* place : {"../../data/wheels/microemo.csv", "../share/microemo/wheels/microemo.csv"})
    if (const auto file = (folder / place).lexically_normal(); std::filesystem::exists(file)) return file;
  throw EnvironmentError("the project's emotion wheel is not beside the program")
      .at(folder.string())
      .hint("name the file data/wheels/microemo.csv of the source tree");
}

std::set<std::string> classes_of(const std::vector<std::string>& labels, const Grouping& grouping) {
  std::set<std::string> classes;
  for (const std::string& label : labels)
    if (const auto found = grouping.class_of.find(normalise_label(label)); found != grouping.class_of.end())
      classes.insert(found->second);
  return classes;
}

}  // namespace microemo::eval
