#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/eval/extract.h"

namespace microemo::eval {

/// An answer in sentences, as a model gave it or a person wrote it.
struct Answer {
  std::string id, text;
  int64_t line = 0;  ///< of the file, 1-based
};

struct AnswerFile {
  std::filesystem::path path;
  std::string hash;    ///< SHA-256 of the file
  std::string column;  ///< where the answers were taken from
  std::vector<Answer> answers;

  /// Of the answers without any character but blanks.
  std::vector<std::string> empty_ids() const;
};

/// Answers by the name's end:
///  .jsonl  one object a line with "id" (or "name") and "answer" (or `column`)
///  .csv    column "name" ("names", "id") and `column`; when that is empty, the first that there is of reason, reasons,
///          eng_reason, english, answer, chi_reason, chinese
/// Throws Error(data) with file and line for a text that is not UTF-8, a missing key or column, an empty id, another end of the
/// name, and a file without answers; ids that stand twice are listed with their lines.
AnswerFile read_answers(const std::filesystem::path& path, const std::string& column = {});

/// A line of the file of labels: "id", "labels", "mentions" with "label", "text", "span" (characters of the answer, end excluded,
/// as Python counts them), "form", "negated", "hedged", "intensity"; with `sentiment` also "sentiment" and "valence";
/// "extractor".
Json extraction_json(const Answer& answer, const std::vector<LabelMention>& mentions, const std::string& extractor,
                     bool sentiment);

}  // namespace microemo::eval
