#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace microemo::eval {

/// The labels of one clip or one utterance, as a file has them.
struct LabelledItem {
  std::string id;
  std::string clip;  ///< what the id belongs to: the clip of an utterance, otherwise the id itself
  std::vector<std::string> labels;
  int64_t line = 0;  ///< in a text file, 1-based; of an .npz, the position from 1
};

struct LabelFile {
  std::filesystem::path path;
  std::string hash;  ///< SHA-256 of the file
  std::vector<LabelledItem> items;
};

/// The id of an utterance in predictions: "<clip>/<number>", numbered from 0.
std::string utterance_id(const std::string& clip, int64_t number);

/// Predictions or truths. By the name's end:
///  .jsonl  one object a line with "id" and either "labels" (a list) or "answer" (text, see extract_labels; "labels" wins); or
///  with "utterances", a list of
///          such objects without ids, as manifests have: they become utterance_id(id, 0), …, those without labels and answer
///          empty. When no utterance has either, the clip's own labels count. Other keys are ignored.
///  .csv    columns name and openset, a list kept as text (see string_to_list); "nan", "NA", "null" and the like are empty, as
///  pandas reads them .npz    arrays filenames and fileitems of the same (the public "-openset.npz" files)
/// Throws Error(data) with file and line for a missing key, an empty id, an id that stands twice, or a file without items.
LabelFile read_label_file(const std::filesystem::path& path);

/// A prediction beside its truth.
struct LabelPair {
  std::string id, clip;
  std::vector<std::string> truth, predicted;
};

/// In the order of the truths. Throws Error(data) that lists the ids when a truth has no prediction or a prediction has no truth.
std::vector<LabelPair> match_labels(const LabelFile& predictions, const LabelFile& truths);

}  // namespace microemo::eval
