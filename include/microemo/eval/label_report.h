#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/eval/classification.h"
#include "microemo/eval/metrics.h"
#include "microemo/eval/provenance.h"

namespace microemo::eval {

// Tables behind the metrics of emotion wheels, for people who ask where a number comes from. Y and P are the classes of an item's
// truth and prediction under a grouping; items whose Y is empty are in none of them but the first. Files end with
// provenance_columns.

/// Of one class under one grouping.
struct ClassRow {
  std::string grouping, name;
  ClassScore score;  ///< support: items with the class in Y; predicted: in P; right: in both
};
std::vector<ClassRow> class_rows(const LabelFiles& files, const ReleaseWheels& wheels, const std::vector<std::string>& groupings);

/// How often one class was taken for another.
struct ConfusionCell {
  std::string grouping, truth, predicted;
  double items = 0;
};
/// What is in Y and P counts in the diagonal. A class of Y that is missing in P is spread evenly over what P has beyond Y, or
/// counts as taken for "" when there is nothing; classes of P beyond Y when none of Y is missing are "" taken for them. So every
/// row of a class sums to its support. Cells of 0 are left out.
std::vector<ConfusionCell> confusion_cells(const LabelFiles& files, const ReleaseWheels& wheels,
                                           const std::vector<std::string>& groupings);

/// One row an item, scored or not: id, labels, and for every grouping what each label became ("gloom=sad; xyzzy=", in order, with
/// nothing behind "=" where it has no class), precision and recall (empty when the item is not scored).
void write_item_table(const std::filesystem::path& csv_file, const LabelFiles& files, const ReleaseWheels& wheels,
                      const std::vector<std::string>& groupings, const Provenance& provenance);
void write_class_table(const std::filesystem::path& csv_file, const std::vector<ClassRow>& rows, const Provenance& provenance);
void write_confusion_table(const std::filesystem::path& csv_file, const std::vector<ConfusionCell>& cells,
                           const Provenance& provenance);

}  // namespace microemo::eval
