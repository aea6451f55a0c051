#include "microemo/eval/label_report.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>

#include "microemo/eval/labels.h"
#include "microemo/eval/set_counts.h"
#include "microemo/formats/csv.h"

namespace microemo::eval {
namespace {

/// The classes of every item under one grouping, item by item.
class ClassSets {
 public:
  ClassSets(const LabelFiles& files, const ReleaseWheels& wheels, const std::string& grouping)
      : files_(files), column_(wheels.classes.column(grouping)), forms_(find_forms(files.words, wheels.classes)) {}

  std::set<std::string> truth(size_t item) const { return classes(files_.truths.labels_of(item)); }
  std::set<std::string> predicted(size_t item) const {
    return classes(files_.predictions.labels_of(files_.match.prediction_of[item]));
  }
  /// Calls with the sets of every item that is scored.
  void each(const std::function<void(const std::set<std::string>& truth, const std::set<std::string>& predicted)>& visit) const {
    for (size_t item = 0; item < files_.truths.size(); ++item)
      if (const auto set = truth(item); !set.empty()) visit(set, predicted(item));
  }
  /// "gloom=sad; xyzzy=".
  std::string mapping(std::span<const uint32_t> labels) const {
    std::string text;
    for (const uint32_t word : labels)
      text += fmt::format("{}{}={}", text.empty() ? "" : "; ", normalise_label(files_.words.text(word)), class_of(word));
    return text;
  }

 private:
  std::string class_of(uint32_t word) const {
    const int32_t number = forms_[word] == no_number ? -1 : column_.class_of[forms_[word]];
    return number < 0 ? "" : column_.names[static_cast<size_t>(number)];
  }
  std::set<std::string> classes(std::span<const uint32_t> labels) const {
    std::set<std::string> found;
    for (const uint32_t word : labels)
      if (std::string name = class_of(word); !name.empty()) found.insert(std::move(name));
    return found;
  }

  const LabelFiles& files_;
  const ClassTable::Column& column_;
  std::vector<uint32_t> forms_;
};

std::vector<std::string> minus(const std::set<std::string>& from, const std::set<std::string>& what) {
  std::vector<std::string> left;
  std::ranges::set_difference(from, what, std::back_inserter(left));
  return left;
}

double ratio(int64_t part, int64_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

using Cells = std::map<std::pair<std::string, std::string>, double>;

void add_item(Cells& cells, const std::set<std::string>& truth, const std::set<std::string>& predicted) {
  const auto missed = minus(truth, predicted), wrong = minus(predicted, truth);
  for (const std::string& name : truth)
    if (predicted.contains(name)) cells[{name, name}] += 1;
  for (const std::string& name : missed) {
    if (wrong.empty()) cells[{name, ""}] += 1;
    for (const std::string& other : wrong) cells[{name, other}] += 1 / static_cast<double>(wrong.size());
  }
  if (missed.empty())
    for (const std::string& name : wrong) cells[{"", name}] += 1;
}

std::string joined(const LabelFiles& files, std::span<const uint32_t> labels) {
  std::string text;
  for (const uint32_t word : labels) text += (text.empty() ? "" : "; ") + files.words.text(word);
  return text;
}

std::string number(double value) { return fmt::format("{}", value); }

}  // namespace

std::vector<ClassRow> class_rows(const LabelFiles& files, const ReleaseWheels& wheels,
                                 const std::vector<std::string>& groupings) {
  std::vector<ClassRow> rows;
  for (const std::string& grouping : groupings) {
    std::map<std::string, ClassScore> scores;
    ClassSets(files, wheels, grouping).each([&](const auto& truth, const auto& predicted) {
      for (const std::string& name : truth) {
        ++scores[name].support;
        scores[name].right += predicted.contains(name);
      }
      for (const std::string& name : predicted) ++scores[name].predicted;
    });
    for (auto& [name, score] : scores) {
      score.precision = ratio(score.right, score.predicted);
      score.recall = ratio(score.right, score.support);
      score.f = ratio(2 * score.right, score.support + score.predicted);
      rows.push_back({grouping, name, score});
    }
  }
  return rows;
}

std::vector<ConfusionCell> confusion_cells(const LabelFiles& files, const ReleaseWheels& wheels,
                                           const std::vector<std::string>& groupings) {
  std::vector<ConfusionCell> all;
  for (const std::string& grouping : groupings) {
    Cells cells;
    ClassSets(files, wheels, grouping).each([&](const auto& truth, const auto& predicted) { add_item(cells, truth, predicted); });
    for (const auto& [names, items] : cells) all.push_back({grouping, names.first, names.second, items});
  }
  return all;
}

void write_item_table(const std::filesystem::path& csv_file, const LabelFiles& files, const ReleaseWheels& wheels,
                      const std::vector<std::string>& groupings, const Provenance& provenance) {
  std::vector<std::string> header{"id", "truth", "predicted"};
  std::vector<ClassSets> sets;
  std::vector<std::vector<SetCounts>> counts;
  const std::vector<uint32_t> forms = find_forms(files.words, wheels.classes);
  for (const std::string& grouping : groupings) {
    for (const char* column : {"truth", "predicted", "precision", "recall"}) header.push_back(grouping + " " + column);
    sets.emplace_back(files, wheels, grouping);
    counts.push_back(count_sets(files.predictions, files.truths, files.match, forms, wheels.classes.column(grouping)));
  }
  std::vector<std::vector<std::string>> rows;
  for (size_t item = 0; item < files.truths.size(); ++item) {
    const auto truth = files.truths.labels_of(item), predicted = files.predictions.labels_of(files.match.prediction_of[item]);
    std::vector<std::string> row{std::string(files.truths.id(item)), joined(files, truth), joined(files, predicted)};
    for (size_t at = 0; at < groupings.size(); ++at) {
      const SetCounts& count = counts[at][item];
      row.push_back(sets[at].mapping(truth));
      row.push_back(sets[at].mapping(predicted));
      row.push_back(count.truth > 0 ? number(precision_of(count)) : "");
      row.push_back(count.truth > 0 ? number(recall_of(count)) : "");
    }
    rows.push_back(std::move(row));
  }
  add_provenance(header, rows, provenance);
  formats::write_csv(csv_file, header, rows);
}

void write_class_table(const std::filesystem::path& csv_file, const std::vector<ClassRow>& rows, const Provenance& provenance) {
  std::vector<std::string> header{"grouping", "class", "support", "predicted", "right", "precision", "recall", "f"};
  std::vector<std::vector<std::string>> records;
  for (const auto& [grouping, name, score] : rows)
    records.push_back({grouping, name, std::to_string(score.support), std::to_string(score.predicted),
                       std::to_string(score.right), number(score.precision), number(score.recall), number(score.f)});
  add_provenance(header, records, provenance);
  formats::write_csv(csv_file, header, records);
}

void write_confusion_table(const std::filesystem::path& csv_file, const std::vector<ConfusionCell>& cells,
                           const Provenance& provenance) {
  std::vector<std::string> header{"grouping", "truth", "predicted", "items"};
  std::vector<std::vector<std::string>> records;
  for (const auto& [grouping, truth, predicted, items] : cells) records.push_back({grouping, truth, predicted, number(items)});
  add_provenance(header, records, provenance);
  formats::write_csv(csv_file, header, records);
}

}  // namespace microemo::eval
