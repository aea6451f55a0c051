#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "microemo/base/json.h"

namespace microemo::infer {

/// What the model said about one utterance, and where it stands.
struct AnswerRecord {
  std::string clip;
  int64_t utterance = 0;
  double start_s = 0, end_s = 0;
  std::string question, answer;
  double log_probability = 0;
  bool complete = false;  ///< false: stopped by the limit of tokens
};
Json to_json(const AnswerRecord& record);

/// The answers of one evaluation on disk: FOLDER/evaluation.json says what they are of, FOLDER/answers.jsonl has one line for
/// each, added as they come. An interrupted evaluation goes on with what is there; a line that was cut off is dropped. Not
/// thread-safe.
class AnswerLog {
 public:
  /// `identity` is everything that decides the answers. Throws Error(config) when the folder holds an evaluation with another
  /// identity, Error(data) when answers.jsonl is damaged inside or answers twice about one utterance, Error(environment) when it
  /// cannot be written.
  AnswerLog(const std::filesystem::path& folder, const Json& identity);

  std::filesystem::path folder() const { return file_.parent_path(); }
  const std::vector<AnswerRecord>& records() const { return records_; }
  /// Writes them through to the disk. Throws Error(environment).
  void append(const std::vector<AnswerRecord>& records);

 private:
  std::filesystem::path file_;
  std::vector<AnswerRecord> records_;
};

}  // namespace microemo::infer
