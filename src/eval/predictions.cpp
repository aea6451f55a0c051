#include "microemo/eval/predictions.h"

#include <algorithm>
#include <array>
#include <map>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/eval/labels.h"
#include "microemo/formats/csv.h"
#include "microemo/formats/npy.h"

namespace microemo::eval {
namespace {

using Labels = std::vector<std::string>;

/// Words for "no value" that pandas.read_csv turns into NaN, which the public code takes for an empty list.
bool is_missing(const std::string& cell) {
  constexpr std::array<std::string_view, 18> words{"#N/A", "#N/A N/A", "#NA",     "-1.#IND", "-1.#QNAN", "-NaN",
                                                   "-nan", "1.#IND",   "1.#QNAN", "<NA>",    "N/A",      "NA",
                                                   "NULL", "NaN",      "None",    "n/a",     "nan",      "null"};
  return std::ranges::find(words, cell) != words.end();
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_{path, sha256_file(path), {}} {}

  LabelFile read() {
    const std::string end = file_.path.extension();
    if (end == ".jsonl")
      read_jsonl(file_.path, [&](const Json& object, int64_t line) { add_object(object, line); });
    else if (end == ".csv")
      read_table();
    else if (end == ".npz")
      read_arrays();
    else
      throw DataError("files of labels end with .jsonl, .csv or .npz, not '{}'", end).where(file_.path);
    if (file_.items.empty()) throw DataError("the file holds no labels").where(file_.path);
    return std::move(file_);
  }

 private:
  void add(LabelledItem item) {
    if (item.id.empty()) throw DataError("the id is empty").where(file_.path, item.line);
    const auto [place, is_new] = lines_.emplace(item.id, item.line);
    if (!is_new)
      throw DataError("the id '{}' stands on line {} already", item.id, place->second)
          .where(file_.path, item.line)
          .hint("give every id one line");
    file_.items.push_back(std::move(item));
  }

  static bool has_labels(const Json& object) {
    return object.is_object() && (object.contains("labels") || object.contains("answer"));
  }

  Labels labels_of(const Json& object, int64_t line) const {
    if (object.contains("labels")) return json_get<Labels>(object, "labels", file_.path, line);
    return extract_labels(json_get<std::string>(object, "answer", file_.path, line));
  }

  void add_object(const Json& object, int64_t line) {
    const auto id = json_get<std::string>(object, "id", file_.path, line);
    const auto utterances = json_get_or<std::vector<Json>>(object, "utterances", {}, file_.path, line);
    if (std::ranges::any_of(utterances, has_labels)) {
      for (size_t i = 0; i < utterances.size(); ++i)
        add({utterance_id(id, static_cast<int64_t>(i)), id, has_labels(utterances[i]) ? labels_of(utterances[i], line) : Labels(),
             line});
      return;
    }
    if (!has_labels(object))
      throw DataError("'{}' has neither labels nor an answer", id)
          .where(file_.path, line)
          .hint("add \"labels\": [\"…\"] or \"answer\": \"…\", to the line or to its utterances");
    add({id, clip_of(id), labels_of(object, line), line});
  }

  /// Utterances of one clip are one cluster of the bootstrap also when they stand on lines of their own.
  static std::string clip_of(const std::string& id) {
    const size_t slash = id.rfind('/');
    const bool numbered = slash != std::string::npos && slash > 0 && slash + 1 < id.size() &&
                          id.find_first_not_of("0123456789", slash + 1) == std::string::npos;
    return numbered ? id.substr(0, slash) : id;
  }

  void read_table() {
    const formats::Table table = formats::read_csv(file_.path);
    const size_t name = table.column("name"), openset = table.column("openset");
    for (const auto& [fields, line] : table.rows)
      add({fields[name], clip_of(fields[name]), is_missing(fields[openset]) ? Labels() : string_to_list(fields[openset]), line});
  }

  void read_arrays() {
    const formats::NpzFile arrays(file_.path);
    const formats::NpyArray names = arrays.read("filenames"), lists = arrays.read("fileitems");
    if (names.texts.size() != lists.texts.size() || names.kind != formats::NpyKind::text || lists.kind != formats::NpyKind::text)
      throw DataError("filenames is {} and fileitems is {}; both must be texts, as many of one as of the other", names.describe(),
                      lists.describe())
          .where(file_.path);
    for (size_t i = 0; i < names.texts.size(); ++i)
      add({names.texts[i], clip_of(names.texts[i]), string_to_list(lists.texts[i]), static_cast<int64_t>(i) + 1});
  }

  LabelFile file_;
  std::map<std::string, int64_t> lines_;
};

std::string listing(const std::vector<std::string>& ids) {
  constexpr size_t shown = 10;
  std::string text;
  for (size_t i = 0; i < std::min(shown, ids.size()); ++i) text += (i > 0 ? ", " : "") + ids[i];
  return ids.size() > shown ? fmt::format("{} and {} more", text, ids.size() - shown) : text;
}

void check_ids(const LabelFile& predictions, const LabelFile& truths,
               const std::map<std::string, const LabelledItem*>& predicted) {
  std::map<std::string, bool> wanted;
  std::vector<std::string> missing, extra;
  for (const LabelledItem& truth : truths.items) {
    wanted[truth.id] = true;
    if (!predicted.contains(truth.id)) missing.push_back(truth.id);
  }
  for (const LabelledItem& prediction : predictions.items)
    if (!wanted.contains(prediction.id)) extra.push_back(prediction.id);
  if (missing.empty() && extra.empty()) return;
  std::string message;
  if (!missing.empty())
    message = fmt::format("{} of {} truths have no prediction: {}", missing.size(), truths.items.size(), listing(missing));
  if (!extra.empty())
    message += fmt::format("{}{} of {} predictions have no truth: {}", message.empty() ? "" : "; ", extra.size(),
                           predictions.items.size(), listing(extra));
  throw DataError("{}", message)
      .at(predictions.path.string() + " against " + truths.path.string())
      .hint("score files of the same ids; a model that gave no answer has an empty list of labels");
}

}  // namespace

std::string utterance_id(const std::string& clip, int64_t number) { return fmt::format("{}/{}", clip, number); }

LabelFile read_label_file(const std::filesystem::path& path) { return Reader(path).read(); }

std::vector<LabelPair> match_labels(const LabelFile& predictions, const LabelFile& truths) {
  std::map<std::string, const LabelledItem*> predicted;
  for (const LabelledItem& prediction : predictions.items) predicted[prediction.id] = &prediction;
  check_ids(predictions, truths, predicted);
  std::vector<LabelPair> pairs;
  for (const LabelledItem& truth : truths.items)
    pairs.push_back({truth.id, truth.clip, truth.labels, predicted[truth.id]->labels});
  return pairs;
}

}  // namespace microemo::eval
