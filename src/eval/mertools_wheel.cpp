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

constexpr size_t wheel_count = 5;

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

/// Words of the wheels in code-point order, in which the public code breaks ties: a word's number is its rank.
using WordNumbers = std::map<std::string, uint32_t, std::less<>>;
using Numbers = std::vector<uint32_t>;

/// Of every word its class, nothing where the wheel does not have the word.
using Rings = std::vector<const std::string*>;

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
Rings ring1_of(const Tree& tree, const WordNumbers& words) {
  Rings ring(words.size());
  for (const auto& [ring1, branch] : tree) {
    ring[words.at(ring1)] = &ring1;
    for (const auto& [ring2, outer] : branch) {
      ring[words.at(ring2)] = &ring1;
      for (const std::string& word : outer) ring[words.at(word)] = &ring1;
    }
  }
  return ring;
}

Rings ring2_of(const Tree& tree, const WordNumbers& words) {
  Rings ring(words.size());
  for (const auto& [ring1, branch] : tree) {
    ring[words.at(ring1)] = &std::ranges::min_element(branch, {}, &Branch::value_type::first)->first;
    for (const auto& [ring2, outer] : branch) {
      ring[words.at(ring2)] = &ring2;
      for (const std::string& word : outer) ring[words.at(word)] = &ring2;
    }
  }
  return ring;
}

std::vector<std::string> list_in(const std::string& cell) {
  return is_missing(cell) ? std::vector<std::string>() : string_to_list(cell);
}

void sort_once(Numbers& numbers) {
  std::ranges::sort(numbers);
  numbers.erase(std::ranges::unique(numbers).begin(), numbers.end());
}

/// Synonym to words of the wheels: eight pairs of columns, one for each run of the model that made them.
std::unordered_map<std::string, Numbers> read_synonyms(const std::filesystem::path& file, const WordNumbers& words) {
  const formats::Table table = formats::read_xlsx(file);
  std::unordered_map<std::string, Numbers> words_of;
  for (int run = 1; run <= 8; ++run) {
    const size_t word_column = table.column(fmt::format("word_run{}", run)),
                 list_column = table.column(fmt::format("synonym_run{}", run));
    for (const formats::TableRow& row : table.rows) {
      const std::string word = normalise_label(row.fields[word_column]);
      const auto known = words.find(word);
      if (known == words.end())
        throw DataError("'{}' is a word of no wheel", word).where(file, row.line).hint("use wheels and synonyms of one release");
      words_of[word].push_back(known->second);
      for (const std::string& synonym : list_in(row.fields[list_column]))
        words_of[normalise_label(synonym)].push_back(known->second);
    }
  }
  for (auto& [synonym, numbers] : words_of) sort_once(numbers);
  return words_of;
}

/// Every word form with what it is a form of: names in order of spelling, and the words of the wheels that these stand for.
struct Form {
  std::set<std::string> bases;
  Numbers words;
};
using Forms = std::map<std::string, Form>;

Forms read_forms(const std::filesystem::path& file, const std::unordered_map<std::string, Numbers>& words_of) {
  const formats::Table table = formats::read_csv(file);
  const size_t name_column = table.column("name"), list_column = table.column("format");
  Forms forms;
  for (const formats::TableRow& row : table.rows) {
    const std::string& name = row.fields[name_column];
    std::vector<std::string> spellings = list_in(row.fields[list_column]);
    spellings.push_back(name);
    const auto found = words_of.find(name);
    for (const std::string& spelling : spellings) {
      Form& form = forms[spelling];
      if (form.bases.insert(name).second && found != words_of.end())
        form.words.insert(form.words.end(), found->second.begin(), found->second.end());
    }
  }
  for (auto& [spelling, form] : forms) sort_once(form.words);
  return forms;
}

/// Classes of every form: what `choose` says, nothing where it is null.
template <class Choose>
Grouping make_grouping(std::string name, const Forms& forms, const Choose& choose) {
  Grouping grouping{std::move(name), {}};
  grouping.class_of.reserve(forms.size());
  for (const auto& [spelling, form] : forms)
    if (const std::string* chosen = choose(form)) grouping.class_of.emplace(spelling, *chosen);
  return grouping;
}

Grouping ring_grouping(std::string name, const Forms& forms, const Rings& ring) {
  return make_grouping(std::move(name), forms, [&](const Form& form) {
    const auto found = std::ranges::find_if(form.words, [&](uint32_t word) { return ring[word] != nullptr; });
    return found == form.words.end() ? nullptr : ring[*found];
  });
}

/// The hash of a folder: of its files' names and hashes.
std::string hash_of(const std::vector<WheelFile>& files) {
  std::string hashes;
  for (const WheelFile& file : files) hashes += file.path.filename().string() + " " + file.hash + "\n";
  return sha256(hashes);
}

Grouping first_base(const Forms& forms) {
  return make_grouping("M1", forms, [](const Form& form) { return &*form.bases.begin(); });
}

Grouping first_wheel_word(const Forms& forms, const std::unordered_map<std::string, Numbers>& words_of,
                          const WordNumbers& words) {
  std::vector<const std::string*> texts;
  for (const auto& [word, number] : words) texts.push_back(&word);
  return make_grouping("M2", forms, [&](const Form& form) -> const std::string* {
    const auto found = words_of.find(*form.bases.begin());
    return found == words_of.end() ? nullptr : texts[found->second.front()];
  });
}

/// The words of all wheels, numbered by rank.
WordNumbers number_words(const std::vector<std::vector<Leaf>>& wheels) {
  WordNumbers words;
  for (const auto& leaves : wheels)
    for (const Leaf& leaf : leaves)
      for (const std::string* word : {&leaf.ring1, &leaf.ring2, &leaf.ring3}) words[*word] = 0;
  uint32_t rank = 0;
  for (auto& [word, number] : words) number = rank++;
  return words;
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
  for (size_t k = 0; k < wheel_count; ++k) wheels.push_back(read_leaves(wheel.files[k].path));
  const WordNumbers words = number_words(wheels);
  const auto words_of = read_synonyms(folder / "synonym.xlsx", words);
  const Forms forms = read_forms(folder / "format.csv", words_of);
  wheel.groupings = {first_base(forms), first_wheel_word(forms, words_of, words)};
  for (size_t k = 0; k < wheel_count; ++k) {
    const Tree tree = tree_of(wheels[k]);
    wheel.headline.push_back(fmt::format("W{}-L1", k + 1));
    wheel.groupings.push_back(ring_grouping(wheel.headline.back(), forms, ring1_of(tree, words)));
    wheel.groupings.push_back(ring_grouping(fmt::format("W{}-L2", k + 1), forms, ring2_of(tree, words)));
  }
  return wheel;
}

}  // namespace microemo::eval
