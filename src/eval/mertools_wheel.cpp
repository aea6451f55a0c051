#include "mertools_wheel.h"

#include <algorithm>
#include <array>
#include <map>

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
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
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

/// A word form with what it is a form of: the first name in order of spelling, and the wheels' words that its names stand for.
struct Form {
  std::string spelling, base;
  Numbers words;
};

std::vector<Form> read_forms(const std::filesystem::path& file, const std::unordered_map<std::string, Numbers>& words_of) {
  const formats::Table table = formats::read_csv(file);
  const size_t name_column = table.column("name"), list_column = table.column("format");
  std::vector<Form> forms;
  std::unordered_map<std::string, size_t> places;
  for (const formats::TableRow& row : table.rows) {
    const std::string& name = row.fields[name_column];
    std::vector<std::string> spellings = list_in(row.fields[list_column]);
    spellings.push_back(name);
    const auto found = words_of.find(name);
    for (const std::string& spelling : spellings) {
      const auto [place, is_new] = places.emplace(spelling, forms.size());
      if (is_new) forms.push_back({spelling, name, {}});
      Form& form = forms[place->second];
      form.base = std::min(form.base, name);
      if (found != words_of.end()) form.words.insert(form.words.end(), found->second.begin(), found->second.end());
    }
  }
  for (Form& form : forms) sort_once(form.words);
  return forms;
}

/// The hash of a folder: of its files' names and hashes.
std::string hash_of(const std::vector<WheelFile>& files) {
  std::string hashes;
  for (const WheelFile& file : files) hashes += file.path.filename().string() + " " + file.hash + "\n";
  return sha256(hashes);
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

/// What the files of a release say.
struct Maps {
  std::vector<Tree> trees;
  WordNumbers words;
  std::unordered_map<std::string, Numbers> words_of;
  std::vector<Form> forms;
};

Maps read_maps(const std::filesystem::path& folder) {
  std::vector<std::vector<Leaf>> wheels;
  for (size_t k = 1; k <= wheel_count; ++k) wheels.push_back(read_leaves(folder / fmt::format("wheel{}.xlsx", k)));
  Maps maps;
  for (const auto& leaves : wheels) maps.trees.push_back(tree_of(leaves));
  maps.words = number_words(wheels);
  maps.words_of = read_synonyms(folder / "synonym.xlsx", maps.words);
  maps.forms = read_forms(folder / "format.csv", maps.words_of);
  return maps;
}

/// The class of every form, in the order of the forms; null where it has none.
using Chosen = std::vector<const std::string*>;

Chosen first_bases(const Maps& maps) {
  Chosen chosen;
  for (const Form& form : maps.forms) chosen.push_back(&form.base);
  return chosen;
}

Chosen first_wheel_words(const Maps& maps) {
  std::vector<const std::string*> texts;
  for (const auto& [word, number] : maps.words) texts.push_back(&word);
  Chosen chosen;
  for (const Form& form : maps.forms) {
    const auto found = maps.words_of.find(form.base);
    chosen.push_back(found == maps.words_of.end() ? nullptr : texts[found->second.front()]);
  }
  return chosen;
}

/// The class of the first of a form's words that the wheel has.
Chosen first_in_ring(const Maps& maps, const Rings& ring) {
  Chosen chosen;
  for (const Form& form : maps.forms) {
    const auto found = std::ranges::find_if(form.words, [&](uint32_t word) { return ring[word] != nullptr; });
    chosen.push_back(found == form.words.end() ? nullptr : ring[*found]);
  }
  return chosen;
}

/// Calls visit(name, chosen) for every grouping.
template <class Visit>
void each_grouping(const Maps& maps, const Visit& visit) {
  visit("M1", first_bases(maps));
  visit("M2", first_wheel_words(maps));
  for (size_t k = 0; k < wheel_count; ++k) {
    visit(fmt::format("W{}-L1", k + 1), first_in_ring(maps, ring1_of(maps.trees[k], maps.words)));
    visit(fmt::format("W{}-L2", k + 1), first_in_ring(maps, ring2_of(maps.trees[k], maps.words)));
  }
}

EmotionWheel describe_folder(const std::filesystem::path& folder) {
  EmotionWheel wheel;
  wheel.path = folder;
  const std::vector<KnownWheelFile> files = identify_wheel_files(folder);
  for (const KnownWheelFile& file : files) wheel.files.push_back({folder / file.name, file.hash});
  wheel.release = release_of(files);
  wheel.name = wheel.release.empty() ? "MERTools (unknown release)" : "MERTools " + wheel.release;
  wheel.hash = hash_of(wheel.files);
  for (size_t k = 1; k <= wheel_count; ++k) wheel.headline.push_back(fmt::format("W{}-L1", k));
  return wheel;
}

ClassTable::Column make_column(std::string grouping, const Chosen& chosen) {
  ClassTable::Column column{std::move(grouping), {}, {}};
  std::unordered_map<std::string_view, int32_t> numbers;
  for (const std::string* name : chosen) {
    if (name == nullptr) {
      column.class_of.push_back(-1);
      continue;
    }
    const auto [place, is_new] = numbers.emplace(*name, static_cast<int32_t>(numbers.size()));
    if (is_new) column.names.push_back(*name);
    column.class_of.push_back(place->second);
  }
  return column;
}

}  // namespace

EmotionWheel load_mertools_wheel(const std::filesystem::path& folder) {
  EmotionWheel wheel = describe_folder(folder);
  const Maps maps = read_maps(folder);
  each_grouping(maps, [&](std::string name, const Chosen& chosen) {
    Grouping& grouping = wheel.groupings.emplace_back(Grouping{std::move(name), {}});
    auto form = maps.forms.begin();
    for (const std::string* class_name : chosen) {
      if (class_name != nullptr) grouping.class_of.emplace(form->spelling, *class_name);
      ++form;
    }
  });
  return wheel;
}

ReleaseWheels load_mertools_classes(const std::filesystem::path& folder) {
  ReleaseWheels wheels{describe_folder(folder), {}};
  const Maps maps = read_maps(folder);
  uint32_t number = 0;
  for (const Form& form : maps.forms) wheels.classes.form_numbers.emplace(form.spelling, number++);
  each_grouping(maps, [&](std::string name, const Chosen& chosen) {
    wheels.classes.columns.push_back(make_column(std::move(name), chosen));
  });
  return wheels;
}

}  // namespace microemo::eval
