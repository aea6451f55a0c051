#include <algorithm>
#include <map>
#include <set>

#include "item_id.h"
#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/eval/explanation.h"
#include "microemo/eval/label_table.h"
#include "microemo/eval/labels.h"
#include "microemo/formats/csv.h"
#include "microemo/formats/npy_objects.h"

namespace microemo::eval {
namespace {

constexpr std::array<const char*, 6> text_keys{"answer", "reason", "reasons", "explanation", "english", "chinese"};

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path) { file_.path = path; }

  ExplanationFile read() {
    file_.hash = sha256_file(path_);
    const std::string end = path_.extension();
    if (end == ".jsonl")
      read_jsonl(path_, [&](const Json& object, int64_t line) { add_object(object, line); });
    else if (end == ".csv")
      read_table();
    else if (end == ".npz")
      read_dictionary();
    else
      throw DataError("files of texts end with .jsonl, .csv or .npz, not '{}'", end).where(path_);
    if (file_.items.empty()) throw DataError("the file holds no texts").where(path_);
    return std::move(file_);
  }

 private:
  void add(ExplainedItem item, int64_t line) {
    if (item.id.empty()) throw DataError("the id is empty").where(path_, line);
    if (!ids_.insert(item.id).second)
      throw DataError("the id '{}' stands a second time", item.id).where(path_, line).hint("give every id one line");
    file_.items.push_back(std::move(item));
  }

  [[noreturn]] void no_text(int64_t line) const {
    throw DataError("there is no text: none of answer, reason, reasons, explanation, english and chinese")
        .where(path_, line)
        .hint("name the text \"answer\"");
  }

  void add_object(const Json& object, int64_t line) {
    ExplainedItem item{item_id(object, path_, line), {}, {}, object.contains("labels")};
    const auto key = std::ranges::find_if(text_keys, [&](const char* name) { return object.contains(name); });
    if (key == text_keys.end()) no_text(line);
    item.text = json_get<std::string>(object, *key, path_, line);
    if (item.has_labels) {
      item.labels = json_get<std::vector<std::string>>(object, "labels", path_, line);
      file_.extractors.insert(json_get_or<std::string>(object, "extractor", std::string(given_labels), path_, line));
    }
    if (const auto split = json_get_or<std::string>(object, "split", "", path_, line); !split.empty()) file_.splits.insert(split);
    add(std::move(item), line);
  }

  void read_table() {
    const formats::Table table = formats::read_csv(path_);
    const size_t id = table.column(table.has_column("names") ? "names" : "name");
    const auto key = std::ranges::find_if(text_keys, [&](const char* name) { return table.has_column(name); });
    if (key == text_keys.end()) no_text(1);
    const bool labelled = table.has_column("openset"), named = labelled && table.has_column("extractor");
    for (const auto& [fields, line] : table.rows) {
      const std::string made_by = named ? fields[table.column("extractor")] : "";
      if (labelled) file_.extractors.insert(made_by.empty() ? std::string(given_labels) : made_by);
      add({fields[id], fields[table.column(*key)],
           labelled ? string_to_list(fields[table.column("openset")]) : std::vector<std::string>(), labelled},
          line);
    }
  }

  void read_dictionary() {
    const Json answers = formats::read_npz_objects(path_, "name2reason");
    if (!answers.is_object()) throw DataError("name2reason is no dictionary from names to texts").where(path_);
    int64_t line = 0;
    for (const auto& [id, text] : answers.items()) add({id, json_get<std::string>(answers, id, path_), {}, false}, ++line);
  }

  const std::filesystem::path& path_;
  ExplanationFile file_;
  std::set<std::string> ids_;
};

}  // namespace

ExplanationFile read_explanations(const std::filesystem::path& path) { return Reader(path).read(); }

std::vector<ExplanationPair> match_explanations(const std::vector<ExplainedItem>& references,
                                                const std::vector<ExplainedItem>& answers) {
  std::map<std::string, const ExplainedItem*> by_id;
  for (const ExplainedItem& answer : answers) by_id[answer.id] = &answer;
  std::vector<ExplanationPair> pairs;
  std::vector<std::string> missing, extra;
  for (const ExplainedItem& reference : references) {
    const auto found = by_id.find(reference.id);
    if (found == by_id.end()) {
      missing.push_back(reference.id);
      continue;
    }
    pairs.push_back({reference.id, reference.text, found->second->text});
    by_id.erase(found);
  }
  for (const ExplainedItem& answer : answers)
    if (by_id.contains(answer.id)) extra.push_back(answer.id);
  if (missing.empty() && extra.empty()) return pairs;
  throw DataError("{} references have no answer: {}; {} answers have no reference: {}", missing.size(), list_ids(missing),
                  extra.size(), list_ids(extra))
      .at("explanations")
      .hint("score files of the same ids; a model that gave no answer has an empty text");
}

}  // namespace microemo::eval
