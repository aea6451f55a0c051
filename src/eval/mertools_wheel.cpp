#include "mertools_wheel.h"

#include <array>
#include <map>
#include <optional>
#include <set>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/eval/labels.h"
#include "microemo/formats/csv.h"
#include "microemo/formats/xlsx.h"

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
      if (!cell.empty()) last[ring] = normalise_label(cell);
      if (last[ring].empty())
        throw DataError("the first row of the wheel is not complete").where(file, row.line).hint("fetch the wheel files again");
    }
    leaves.push_back({last[0], last[1], last[2]});
  }
  return leaves;
}

using Rings = std::unordered_map<std::string, std::string>;

/// Later rows win, as in the public code.
Rings ring1_of(const std::vector<Leaf>& leaves) {
  Rings ring;
  for (const Leaf& leaf : leaves)
    for (const std::string* word : {&leaf.ring1, &leaf.ring2, &leaf.ring3}) ring[*word] = leaf.ring1;
  return ring;
}

Rings ring2_of(const std::vector<Leaf>& leaves) {
  std::map<std::string, std::set<std::string>> members;
  for (const Leaf& leaf : leaves) members[leaf.ring1].insert(leaf.ring2);
  Rings ring;
  for (const Leaf& leaf : leaves) {
    ring[leaf.ring1] = *members[leaf.ring1].begin();
    ring[leaf.ring2] = leaf.ring2;
    ring[leaf.ring3] = leaf.ring2;
  }
  return ring;
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
      for (const std::string& synonym : string_to_list(row.fields[list_column])) words[normalise_label(synonym)].insert(word);
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
    for (const std::string& form : string_to_list(row.fields[list_column])) bases[form].insert(name);
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

std::string release_of(const std::string& format_hash) {
  if (format_hash.starts_with("ba6de7d61db8e129")) return "MERTools 2025";
  if (format_hash.starts_with("82234299875465ec")) return "MERTools 2026";
  return "MERTools (unknown release)";
}

std::vector<WheelFile> hash_files(const std::filesystem::path& folder) {
  std::vector<WheelFile> files;
  for (int k = 1; k <= wheel_count; ++k) files.push_back({folder / fmt::format("wheel{}.xlsx", k), {}});
  files.push_back({folder / "synonym.xlsx", {}});
  files.push_back({folder / "format.csv", {}});
  for (WheelFile& file : files) {
    if (!std::filesystem::exists(file.path))
      throw DataError("the folder of wheels has no {}", file.path.filename().string())
          .where(folder)
          .hint("a MERTools folder emotion_wheel holds wheel1.xlsx to wheel5.xlsx, synonym.xlsx and format.csv");
    file.hash = sha256_file(file.path);
  }
  return files;
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
  wheel.files = hash_files(folder);
  wheel.name = release_of(wheel.files.back().hash);
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
    wheel.groupings.push_back(ring_grouping(wheel.headline.back(), forms, synonyms, ring1_of(wheels[k])));
    wheel.groupings.push_back(ring_grouping(fmt::format("W{}-L2", k + 1), forms, synonyms, ring2_of(wheels[k])));
  }
  return wheel;
}

}  // namespace microemo::eval
