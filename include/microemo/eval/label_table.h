#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace microemo::eval {

/// Texts, each kept once and known by its number.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;
  /// The number of a text, which is added when it is new.
  uint32_t number(std::string_view text);
  const std::string& text(uint32_t number) const { return *texts_[number]; }
  size_t size() const { return texts_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> numbers_;
  std::vector<const std::string*> texts_;  ///< keys of the map, which stay where they are
};

/// What is read from a file of labels.
enum class LabelContent {
  labels,     ///< open-vocabulary labels
  sentiment,  ///< "positive", "negative" or "neutral", or a valence
};

constexpr uint32_t no_number = UINT32_MAX;

/// Names that stand in a file, each once.
using LabelNames = std::set<std::string, std::less<>>;

/// The extractor of labels that stand in a file without one.
inline constexpr std::string_view given_labels = "given labels";

/// What is known of where labels come from.
struct LabelSource {
  std::filesystem::path path;
  std::string hash;       ///< SHA-256 of the file
  LabelNames extractors;  ///< what the items name as "extractor"; the rules' name where answers were read, otherwise given_labels
  LabelNames splits;      ///< what the items name as "split"
};

/// A file of predictions or truths, packed: a million items take some 40 MB. Items keep the order of the file; labels are numbers
/// of the vocabulary that the file was read with, as the file spells them.
struct LabelTable : LabelSource {
  std::string id_text;
  std::vector<uint64_t> id_ends, label_ends;  ///< of every item, in id_text and in labels
  std::vector<uint32_t> labels;
  std::vector<uint32_t> lines;  ///< of every item; in a text file 1-based, of an .npz the position from 1
  LabelNames keys;              ///< members, columns or arrays that labels were taken from: "openset", …

  Vocabulary names;                           ///< of dialogues, speakers and extractors
  std::vector<uint32_t> dialogues, speakers;  ///< of every item, numbers of `names`; empty, or no_number where none is named
  std::vector<uint32_t> made_by;  ///< extractor of every item, a number of `names`; no_number: without labels or answer

  size_t size() const { return id_ends.size(); }
  std::string_view id(size_t item) const;
  std::span<const uint32_t> labels_of(size_t item) const;
};

/// What an id belongs to: of "clip/3" the clip, otherwise the id itself.
std::string_view clip_of_id(std::string_view id);

/// Predictions or truths. By the name's end:
///  .jsonl  one object a line. Its id is "id" or "name", or "clip" and "utterance" together, as an evaluation's answers have
///          them; its labels are the first of "labels" (a list), "openset" (a list, or a
///          list kept as text, see string_to_list), "answer" (text, see extract_labels), "emotions", "emotion", "emo", "label"
///          (text or list) that it has. With "utterances", a list of such objects without ids, as manifests have, they become
///          "<id>/0", "<id>/1", …, those without labels empty; when no utterance has any, the clip's own count. "dialogue" and
///          "speaker" name clusters, "extractor" tells what made the labels, "split" what they are part of. Other keys are
///          ignored.
///  .csv    columns "name" (or "id", "names", "filenames") and the first of the keys above that there is; "nan", "NA", "null" and
///          the like are empty, as pandas reads them; "dialogue", "speaker", "extractor" and "split" as above
///  .npz    arrays filenames and fileitems of the same (the public "-openset.npz" files), fileitems being texts, numbers or
///          pickled lists, which are read as data and never run; or one pickled dictionary "name2reason" from ids to answers.
///          An array "extractor" that may stand beside them is one text, or a text for every item
/// For LabelContent::sentiment the keys "sentiment", "valence", "val", "value" and "score" come first, and numbers are taken;
/// a text of "sentiment" or fileitems is one label as it stands.
/// Throws Error(data) with file and line for a missing key, an empty id, an id that stands twice, more than 65,535 labels of one
/// item, an extractor whose name is no text or has more than 1,000 bytes, or a file without items.
LabelTable read_label_table(const std::filesystem::path& path, Vocabulary& words, LabelContent content = LabelContent::labels);

/// The same of labels that were read elsewhere. Throws Error(data) as read_label_table.
LabelTable make_label_table(const std::filesystem::path& path,
                            const std::vector<std::pair<std::string, std::vector<std::string>>>& items, Vocabulary& words);

/// Which prediction belongs to which truth.
struct TableMatch {
  std::vector<uint32_t> prediction_of;  ///< of every truth, in their order
  std::vector<uint32_t> extra;          ///< predictions without a truth, which the public benchmarks do not look at
};

/// Throws Error(data) that lists the ids when a truth has no prediction.
TableMatch match_tables(const LabelTable& predictions, const LabelTable& truths);

/// "a, b, c and 3 more": at most ten, for messages.
std::string list_ids(const std::vector<std::string>& ids);

}  // namespace microemo::eval
