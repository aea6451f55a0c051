#include "mertools_wheel.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/wheel_release.h"
#include "microemo/formats/csv.h"
#include "microemo/formats/xlsx.h"
#include "text.h"

namespace microemo::eval {
namespace {

constexpr int wheel_count = 5;

/// Every place a word can stand for, in code-point order: the public code breaks ties by sorting.
using Choices = std::map<std::string, std::set<std::string>>;

struct Leaf {
  std::string ring1, ring2, ring3;
};

/// Rows of a wheel, blanks filled from the row above, column by column.
std::vector<Leaf> read_leaves(const std::filesystem::path& file) {
  const formats::Table table = formats::read_xlsx(file);
  const std::array columns{table.column("level1"), table.column("level2"), table.column("level3")};
  std::array<std::string, 3> last;
  std::vector<Leaf> leaves;
  for (const formats::TableRow& row : table.rows) {
    for (size_t ring = 0; ring < 3; ++ring) {
      const std::string& cell = row.fields[columns[ring]];
      if (!is_missing(cell)) last[ring] = normalise_label(cell);
      if (last[ring].empty())
        throw DataError("the first row of the wheel is not complete").where(file, row.line).hint("fetch the wheel files again");
    }
    leaves.push_back({last[0], last[1], last[2]});
  }
  return leaves;
}

using Rings = std::unordered_map<std::string, std::string>;

/// Texts in the order of their first appearance, each with what was said of it.
template <class T>
T& entry(std::vector<std::pair<std::string, T>>& entries, const std::string& key) {
  for (auto& [name, value] : entries)
    if (name == key) return value;
  return entries.emplace_back(key, T()).second;
}

/// The public code keeps a wheel as dictionaries in dictionaries, so that rows of one inner word follow each other there also
/// where they do not in the file.
using Branch = std::vector<std::pair<std::string, std::vector<std::string>>>;
using Tree = std::vector<std::pair<std::string, Branch>>;

Tree tree_of(const std::vector<Leaf>& leaves) {
  Tree tree;
  for (const Leaf& leaf : leaves) entry(entry(tree, leaf.ring1), leaf.ring2).push_back(leaf.ring3);
  return tree;
}

/// Later words win, as in the public code.
Rings ring1_of(const Tree& tree) {
  Rings ring;
  for (const auto& [ring1, branch] : tree) {
    ring[ring1] = ring1;
    for (const auto& [ring2, words] : branch) {
      ring[ring2] = ring1;
      for (const std::string& word : words) ring[word] = ring1;
    }
  }
  return ring;
}

Rings ring2_of(const Tree& tree) {
  Rings ring;
  for (const auto& [ring1, branch] : tree) {
    ring[ring1] = std::ranges::min_element(branch, {}, &Branch::value_type::first)->first;
    for (const auto& [ring2, words] : branch) {
      ring[ring2] = ring2;
      for (const std::string& word : words) ring[word] = ring2;
    }
  }
  return ring;
}

std::vector<std::string> list_in(const std::string& cell) {
  return is_missing(cell) ? std::vector<std::string>() : string_to_list(cell);
}

/// Synonym to words of the wheels: eight pairs of columns, one for each run of the model that made them.
Choices read_synonyms(const std::filesystem::path& file, const std::set<std::string>& wheel_words) {
  const formats::Table table = formats::read_xlsx(file);
  Choices words;
  for (int run = 1; run <= 8; ++run) {
    const size_t word_column = table.column(fmt::format("word_run{}", run)),
                 list_column = table.column(fmt::format("synonym_run{}", run));
    for (const formats::TableRow& row : table.rows) {
      const std::string word = normalise_label(row.fields[word_column]);
      if (!wheel_words.contains(word))
        throw DataError("'{}' is a word of no wheel", word).where(file, row.line).hint("use wheels and synonyms of one release");
      words[word].insert(word);
      for (const std::string& synonym : list_in(row.fields[list_column])) words[normalise_label(synonym)].insert(word);
    }
  }
  return words;
}

Choices read_forms(const std::filesystem::path& file) {
  const formats::Table table = formats::read_csv(file);
  const size_t name_column = table.column("name"), list_column = table.column("format");
  Choices bases;
  for (const formats::TableRow& row : table.rows) {
    const std::string& name = row.fields[name_column];
    bases[name].insert(name);
    for (const std::string& form : list_in(row.fields[list_column])) bases[form].insert(name);
  }
  return bases;
}

std::set<std::string> wheel_words_of(const std::set<std::string>& bases, const Choices& synonyms) {
  std::set<std::string> words;
  for (const std::string& base : bases)
    if (const auto found = synonyms.find(base); found != synonyms.end()) words.insert(found->second.begin(), found->second.end());
  return words;
}

/// Classes of every form: the first of its candidates, in code-point order, that `choose` accepts.
template <class Choose>
Grouping make_grouping(std::string name, const Choices& forms, const Choose& choose) {
  Grouping grouping{std::move(name), {}};
  for (const auto& [form, bases] : forms)
    if (const std::optional<std::string> chosen = choose(bases)) grouping.class_of[form] = *chosen;
  return grouping;
}

Grouping ring_grouping(std::string name, const Choices& forms, const Choices& synonyms, const Rings& ring) {
  return make_grouping(std::move(name), forms, [&](const std::set<std::string>& bases) -> std::optional<std::string> {
    for (const std::string& word : wheel_words_of(bases, synonyms))
      if (const auto found = ring.find(word); found != ring.end()) return found->second;
    return std::nullopt;
  });
}

/// The hash of a folder: of its files' names and hashes.
std::string hash_of(const std::vector<WheelFile>& files) {
  std::string hashes;
  for (const WheelFile& file : files) hashes += file.path.filename().string() + " " + file.hash + "\n";
  return sha256(hashes);
}

Grouping first_base(const Choices& forms) {
  return make_grouping("M1", forms, [](const std::set<std::string>& bases) { return std::optional(*bases.begin()); });
}

Grouping first_wheel_word(const Choices& forms, const Choices& synonyms) {
  return make_grouping("M2", forms, [&](const std::set<std::string>& bases) -> std::optional<std::string> {
    const auto found = synonyms.find(*bases.begin());
    return found == synonyms.end() ? std::nullopt : std::optional(*found->second.begin());
  });
}

}  // namespace

EmotionWheel load_mertools_wheel(const std::filesystem::path& folder) {
  EmotionWheel wheel;
  wheel.path = folder;
  const std::vector<KnownWheelFile> files = identify_wheel_files(folder);
  for (const KnownWheelFile& file : files) wheel.files.push_back({folder / file.name, file.hash});
  wheel.release = release_of(files);
  wheel.name = wheel.release.empty() ? "MERTools (unknown release)" : "MERTools " + wheel.release;
  wheel.hash = hash_of(wheel.files);

  std::vector<std::vector<Leaf>> wheels;
  std::set<std::string> words;
  for (int k = 0; k < wheel_count; ++k) {
    wheels.push_back(read_leaves(wheel.files[static_cast<size_t>(k)].path));
    for (const Leaf& leaf : wheels.back()) words.insert({leaf.ring1, leaf.ring2, leaf.ring3});
  }
  const Choices synonyms = read_synonyms(folder / "synonym.xlsx", words), forms = read_forms(folder / "format.csv");
  wheel.groupings = {first_base(forms), first_wheel_word(forms, synonyms)};
  for (size_t k = 0; k < wheels.size(); ++k) {
    wheel.headline.push_back(fmt::format("W{}-L1", k + 1));
    wheel.groupings.push_back(ring_grouping(wheel.headline.back(), forms, synonyms, ring1_of(tree_of(wheels[k]))));
    wheel.groupings.push_back(ring_grouping(fmt::format("W{}-L2", k + 1), forms, synonyms, ring2_of(tree_of(wheels[k]))));
  }
  return wheel;
}

}  // namespace microemo::eval
