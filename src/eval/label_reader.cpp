#include <algorithm>
#include <array>
#include <utility>

#include "flat_json.h"
#include "id_index.h"
#include "item_id.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/eval/extract.h"
#include "microemo/eval/label_table.h"
#include "microemo/eval/labels.h"
#include "microemo/formats/csv.h"
#include "microemo/formats/npy_objects.h"
#include "microemo/formats/zip.h"
#include "text.h"

namespace microemo::eval {
namespace {

using Labels = std::vector<std::string>;
using Keys = std::vector<std::string_view>;

constexpr std::array<std::string_view, 4> id_columns{"name", "id", "names", "filenames"};

/// Results repeat the name in every table; longer ones are slips.
constexpr size_t longest_extractor = 1000;

/// In the order in which they are looked for.
const Keys& label_keys(LabelContent content) {
  static const Keys labels = {"labels", "openset", "answer", "emotions", "emotion", "emo", "label"};
  static const Keys sentiment = {"sentiment", "valence", "val",      "value",   "score", "labels",
                                 "openset",   "answer",  "emotions", "emotion", "emo",   "label"};
  return content == LabelContent::labels ? labels : sentiment;
}

const std::string& own_rules() {
  static const std::string name = rules_extractor_name(own_lexicon());
  return name;
}

class Reader {
 public:
  Reader(const std::filesystem::path& path, Vocabulary& words, LabelContent content)
      : words_(words), content_(content), ids_(table_) {
    table_.path = path;
  }

  LabelTable take(const std::vector<std::pair<std::string, Labels>>& items) {
    table_.hash = sha256_file(table_.path);
    int64_t line = 0;
    note_extractor("", "", 0);
    const uint32_t maker = maker_;
    for (const auto& [id, labels] : items) {
      maker_ = maker;
      add(id, ++line, labels);
    }
    refuse_twins();
    return std::move(table_);
  }

  LabelTable read() {
    const std::string end = table_.path.extension();
    if (end == ".jsonl")
      read_lines();
    else if (end == ".csv")
      read_csv();
    else if (end == ".npz")
      read_arrays();
    else
      throw DataError("files of labels end with .jsonl, .csv or .npz, not '{}'", end)
          .where(table_.path)
          .hint("name the file by what it holds");
    if (table_.size() == 0)
      throw DataError("the file holds no labels").where(table_.path).hint("write a line or row for every item");
    refuse_twins();
    return std::move(table_);
  }

 private:
  struct Twin {
    std::string id;
    int64_t first, second;  ///< lines
  };

  /// All of them in one message, as nobody wants to mend a file id by id.
  void refuse_twins() const {
    if (twins_.empty()) return;
    const Twin& first = twins_.front();
    std::vector<std::string> others;
    for (size_t i = 1; i < twins_.size(); ++i) others.push_back(fmt::format("{} (line {})", twins_[i].id, twins_[i].second));
    throw DataError("the id '{}' stands on line {} already{}", first.id, first.first,
                    others.empty() ? "" : fmt::format("; {} more stand twice: {}", others.size(), list_ids(others)))
        .where(table_.path, first.second)
        .hint("give every id one line");
  }

  template <class Texts>
  void add(std::string_view id, int64_t line, const Texts& labels) {
    if (id.empty()) throw DataError("the id is empty").where(table_.path, line).hint("give every item an id");
    if (const uint32_t twin = twin_of(id); twin != no_number) twins_.push_back({std::string(id), table_.lines[twin], line});
    if (labels.size() > UINT16_MAX)
      throw DataError("'{}' has {} labels; at most {} are read", id, labels.size(), UINT16_MAX)
          .where(table_.path, line)
          .hint("no item has so many: mend the list");
    table_.id_text += id;
    table_.id_ends.push_back(table_.id_text.size());
    for (const auto& label : labels) table_.labels.push_back(words_.number(label));
    table_.label_ends.push_back(table_.labels.size());
    table_.lines.push_back(static_cast<uint32_t>(line));
    table_.made_by.push_back(std::exchange(maker_, no_number));
  }

  /// The item that has this id already; otherwise the next item is noted under it. Ids in ascending order, as in most files,
  /// cannot stand twice and need no index.
  uint32_t twin_of(std::string_view id) {
    const auto next = static_cast<uint32_t>(table_.size());
    if (ascending_ && (next == 0 || table_.id(next - 1) < id)) return no_number;
    if (ascending_)
      for (uint32_t item = 0; item < next; ++item) ids_.add(item, table_.id(item));
    ascending_ = false;
    return ids_.add(next, id);
  }

  static void note(LabelNames& names, std::string_view name) {
    if (!name.empty() && !names.contains(name)) names.emplace(name);
  }
  void use_key(std::string_view key) { note(table_.keys, key); }

  /// Of the item that is added next. Labels of an answer are read here, whatever else made others.
  void note_extractor(std::string_view key, std::string_view named, int64_t line) {
    const bool read_here = (key == "answer" || key == "name2reason") && content_ == LabelContent::labels;
    const std::string_view name = read_here ? std::string_view(own_rules()) : named.empty() ? given_labels : named;
    if (name.size() > longest_extractor)
      throw DataError("the extractor's name has {} bytes; at most {} are read", name.size(), longest_extractor)
          .where(table_.path, line)
          .hint("name it and its version in short, such as mertools-1:qwen2.5-7b");
    if (last_maker_ == no_number || table_.names.text(last_maker_) != name) {
      note(table_.extractors, name);
      last_maker_ = table_.names.number(name);
    }
    maker_ = last_maker_;
  }

  /// Names the dialogue or speaker of the item that was added last.
  void name_cluster(std::vector<uint32_t>& column, std::string_view name) {
    if (name.empty()) return;
    column.resize(table_.size(), no_number);
    column.back() = table_.names.number(name);
  }

  void read_lines() {
    const std::string text = read_file(table_.path);
    table_.hash = sha256(text);
    int64_t number = 0;
    for (size_t start = 0; start < text.size();) {
      const size_t end = std::min(text.find('\n', start), text.size());
      const std::string_view line = std::string_view(text).substr(start, end - start);
      start = end + 1;
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos || add_flat(line, number)) continue;
      add_object(parse_line(line, number), number);
    }
    for (std::vector<uint32_t>* column : {&table_.dialogues, &table_.speakers})
      if (!column->empty()) column->resize(table_.size(), no_number);
  }

  Json parse_line(std::string_view line, int64_t number) const {
    try {
      return parse_json(line, table_.path);
    } catch (Error& mistake) {
      throw mistake.where(table_.path, number);
    }
  }

  /// True when the line is of the plainest kind: an id and a list of texts.
  bool add_flat(std::string_view line, int64_t number) {
    if (content_ != LabelContent::labels || !scan_flat_object(line, flat_)) return false;
    const FlatMember* id = flat_.find("id");
    if (id == nullptr) id = flat_.find("name");
    const FlatMember* labels = flat_.find("labels");
    if (labels == nullptr) labels = flat_.find("openset");
    const bool plain = id != nullptr && id->kind == FlatMember::text && labels != nullptr && labels->kind == FlatMember::list &&
                       flat_.find("utterances") == nullptr;
    if (!plain) return false;
    const auto people = {std::pair(flat_.find("dialogue"), &table_.dialogues),
                         std::pair(flat_.find("speaker"), &table_.speakers)};
    const FlatMember *extractor = flat_.find("extractor"), *split = flat_.find("split");
    for (const FlatMember* member : {people.begin()[0].first, people.begin()[1].first, extractor, split})
      if (member != nullptr && member->kind != FlatMember::text) return false;
    use_key(labels->key);
    note_extractor(labels->key, extractor == nullptr ? "" : extractor->value, number);
    note(table_.splits, split == nullptr ? "" : split->value);
    add(id->value, number, std::span(flat_.elements).subspan(labels->first, labels->last - labels->first));
    for (const auto& [member, column] : people)
      if (member != nullptr) name_cluster(*column, member->value);
    return true;
  }

  bool has_labels(const Json& object) const {
    return object.is_object() &&
           std::ranges::any_of(label_keys(content_), [&](std::string_view key) { return object.contains(std::string(key)); });
  }

  /// A sentiment is compared as it stands: "[positive]" and "positive," are not the word. Other texts are lists.
  Labels labels_of_text(const std::string& text, std::string_view key) const {
    const bool as_it_stands = content_ == LabelContent::sentiment && (key == "sentiment" || key == "fileitems");
    if (!as_it_stands) return string_to_list(text);
    return text.empty() ? Labels() : Labels{text};
  }

  /// Text, number, list of texts or null, as labels.
  Labels labels_of_value(const Json& value, std::string_view key, int64_t line) const {
    if (value.is_null()) return {};
    if (value.is_string()) return labels_of_text(value.get_ref<const std::string&>(), key);
    if (value.is_number()) return {value.dump()};
    Labels labels;
    for (const Json& element : value.is_array() ? value : Json::array({nullptr})) {
      if (!element.is_string() && !element.is_number())
        throw DataError("'{}' is neither text, a number, nor a list of them", key)
            .where(table_.path, line)
            .hint("write a text, or a list of texts such as ['happy', 'sad']");
      labels.push_back(element.is_string() ? element.get<std::string>() : element.dump());
    }
    return labels;
  }

  /// `extractor` made them unless the object names its own.
  Labels labels_of(const Json& object, const std::string& extractor, int64_t line) {
    for (const std::string_view key : label_keys(content_)) {
      const auto found = object.find(std::string(key));
      if (found == object.end()) continue;
      use_key(key);
      note_extractor(key, json_get_or<std::string>(object, "extractor", extractor, table_.path, line), line);
      if (key == "labels") return json_get<Labels>(object, key, table_.path, line);
      if (key == "answer" && content_ == LabelContent::labels)
        return extract_labels(json_get<std::string>(object, key, table_.path, line));
      return labels_of_value(*found, key, line);
    }
    return {};
  }

  void add_clusters(const Json& object, int64_t line) {
    name_cluster(table_.dialogues, json_get_or<std::string>(object, "dialogue", "", table_.path, line));
    name_cluster(table_.speakers, json_get_or<std::string>(object, "speaker", "", table_.path, line));
  }

  void add_object(const Json& object, int64_t line) {
    const std::string id = item_id(object, table_.path, line);
    const auto utterances = json_get_or<std::vector<Json>>(object, "utterances", {}, table_.path, line);
    const auto extractor = json_get_or<std::string>(object, "extractor", "", table_.path, line);
    note(table_.splits, json_get_or<std::string>(object, "split", "", table_.path, line));
    if (std::ranges::any_of(utterances, [&](const Json& utterance) { return has_labels(utterance); })) {
      for (size_t i = 0; i < utterances.size(); ++i) {
        add(fmt::format("{}/{}", id, i), line, labels_of(utterances[i], extractor, line));
        add_clusters(object, line);
        add_clusters(utterances[i], line);
      }
      return;
    }
    if (!has_labels(object))
      throw DataError("'{}' has neither labels nor an answer", id)
          .where(table_.path, line)
          .hint("add \"labels\": [\"…\"] or \"answer\": \"…\", to the line or to its utterances");
    add(id, line, labels_of(object, "", line));
    add_clusters(object, line);
  }

  template <class Names>
  static std::string first_column(const formats::Table& table, const Names& names) {
    const auto found = std::ranges::find_if(names, [&](std::string_view name) { return table.has_column(name); });
    return std::string(found == names.end() ? *names.begin() : *found);
  }

  Labels labels_of_cell(const std::string& cell, std::string_view column) const {
    if (is_missing(cell)) return {};
    return column == "answer" && content_ == LabelContent::labels ? extract_labels(cell) : labels_of_text(cell, column);
  }

  void read_csv() {
    table_.hash = sha256_file(table_.path);
    const formats::Table table = formats::read_csv(table_.path);
    Keys keys = label_keys(content_);
    if (std::ranges::none_of(keys, [&](std::string_view key) { return table.has_column(key); })) keys = {"openset"};
    const std::string column = first_column(table, keys);
    const size_t ids = table.column(first_column(table, id_columns)), cells = table.column(column);
    use_key(column);
    const bool has_extractor = table.has_column("extractor"), has_split = table.has_column("split");
    for (const auto& [fields, line] : table.rows) {
      note_extractor(column, has_extractor ? std::string_view(fields[table.column("extractor")]) : "", line);
      add(fields[ids], line, labels_of_cell(fields[cells], column));
      if (has_split) note(table_.splits, fields[table.column("split")]);
      for (const auto& [name, numbers] : {std::pair("dialogue", &table_.dialogues), std::pair("speaker", &table_.speakers)})
        if (table.has_column(name)) name_cluster(*numbers, fields[table.column(name)]);
    }
    for (std::vector<uint32_t>* numbers : {&table_.dialogues, &table_.speakers})
      if (!numbers->empty()) numbers->resize(table_.size(), no_number);
  }

  void read_arrays() {
    table_.hash = sha256_file(table_.path);
    const formats::ZipFile zip(table_.path);
    if (zip.contains("name2reason.npy") && !zip.contains("filenames.npy")) return read_answers();
    const Json names = formats::read_npz_objects(table_.path, "filenames"),
               lists = formats::read_npz_objects(table_.path, "fileitems");
    const bool texts = names.is_array() && std::ranges::all_of(names, [](const Json& name) { return name.is_string(); });
    if (!texts || !lists.is_array() || names.size() != lists.size())
      throw DataError("filenames holds {} and fileitems {}; names must be texts, as many as there are items", counted(names),
                      counted(lists))
          .where(table_.path)
          .hint("write both with numpy.savez_compressed(file, filenames=[…], fileitems=[…])");
    use_key("fileitems");
    const std::vector<std::string> makers = extractors_of_arrays(zip, names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      const auto line = static_cast<int64_t>(i) + 1;
      note_extractor("fileitems", makers.size() == 1 ? makers[0] : makers[i], line);
      add(names[i].get_ref<const std::string&>(), line, labels_of_value(lists[i], "fileitems", line));
    }
  }

  /// One for all, or one for every item; files of MERTools have none.
  std::vector<std::string> extractors_of_arrays(const formats::ZipFile& zip, size_t items) const {
    if (!zip.contains("extractor.npy")) return {""};
    const Json array = formats::read_npz_objects(table_.path, "extractor"),
               makers = array.is_array() ? array : Json::array({array});
    const bool texts = std::ranges::all_of(makers, [](const Json& maker) { return maker.is_string(); });
    if (!texts || (makers.size() != 1 && makers.size() != items))
      throw DataError("the array 'extractor' must be one text, or one for each of the {} items", items)
          .where(table_.path)
          .hint("write it with numpy.savez_compressed(file, filenames=[…], fileitems=[…], extractor=\"…\"), or leave it out");
    return makers.get<std::vector<std::string>>();
  }

  /// MERTools' own file of answers: one dictionary, kept as an array without dimensions.
  void read_answers() {
    const Json answers = formats::read_npz_objects(table_.path, "name2reason");
    if (!answers.is_object())
      throw DataError("name2reason is no dictionary from names to answers")
          .where(table_.path)
          .hint("write it with numpy.savez_compressed(file, name2reason={name: answer, …})");
    use_key("name2reason");
    int64_t line = 0;
    for (const auto& [id, answer] : answers.items()) {
      if (!answer.is_string())
        throw DataError("the answer of '{}' is no text", id)
            .where(table_.path)
            .hint("write it with numpy.savez_compressed(file, name2reason={name: answer, …})");
      note_extractor("name2reason", "", ++line);
      add(id, line, extract_labels(answer.get_ref<const std::string&>()));
    }
  }

  static std::string counted(const Json& array) {
    return array.is_array() ? fmt::format("{} items", array.size()) : "a single value";
  }

  LabelTable table_;
  Vocabulary& words_;
  LabelContent content_;
  IdIndex ids_;
  bool ascending_ = true;
  FlatObject flat_;
  std::vector<Twin> twins_;
  uint32_t maker_ = no_number;       ///< of the item that is added next
  uint32_t last_maker_ = no_number;  ///< the one noted last: nearly always the next one, too
};

}  // namespace

LabelTable make_label_table(const std::filesystem::path& path, const std::vector<std::pair<std::string, Labels>>& items,
                            Vocabulary& words) {
  return Reader(path, words, LabelContent::labels).take(items);
}

LabelTable read_label_table(const std::filesystem::path& path, Vocabulary& words, LabelContent content) {
  return Reader(path, words, content).read();
}

}  // namespace microemo::eval
