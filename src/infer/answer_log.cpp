#include "microemo/infer/answer_log.h"

#include <cerrno>
#include <fstream>
#include <set>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/write_error.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;

AnswerRecord from_json(const Json& line, const fs::path& file, int64_t number) {
  return {.clip = json_get<std::string>(line, "clip", file, number),
          .utterance = json_get<int64_t>(line, "utterance", file, number),
          .start_s = json_get<double>(line, "start_s", file, number),
          .end_s = json_get<double>(line, "end_s", file, number),
          .question = json_get<std::string>(line, "question", file, number),
          .answer = json_get<std::string>(line, "answer", file, number),
          .log_probability = json_get<double>(line, "log_probability", file, number),
          .complete = json_get<bool>(line, "complete", file, number)};
}

/// A process that was killed while it wrote may have left the start of a line.
void drop_torn_line(const fs::path& file) {
  const std::string text = read_file(file);
  const size_t whole = text.rfind('\n') + 1;  // npos + 1 is 0
  if (whole < text.size()) write_file_atomic(file, std::string_view(text).substr(0, whole));
}

void check_identity(const fs::path& file, const fs::path& answers, const Json& identity) {
  if (!fs::exists(file)) {
    if (fs::exists(answers) && fs::file_size(answers) > 0)
      throw DataError("there are answers here, and nothing tells what evaluation they are of: evaluation.json is missing")
          .where(answers)
          .hint("put evaluation.json back, choose another folder with --out, or delete the answers to make them anew");
    write_json(file, identity);
    return;
  }
  const Json there = read_json(file);
  for (const auto& [key, value] : identity.items())
    if (!there.contains(key) || there[key] != value)
      throw ConfigError("this folder holds another evaluation: \"{}\" is {} there and {} now", key,
                        there.contains(key) ? there[key].dump() : "absent", value.dump())
          .where(file)
          .hint("choose another folder with --out, or delete the whole folder");
}

}  // namespace

Json to_json(const AnswerRecord& record) {
  return {{"clip", record.clip},
          {"utterance", record.utterance},
          {"start_s", record.start_s},
          {"end_s", record.end_s},
          {"question", record.question},
          {"answer", record.answer},
          {"log_probability", record.log_probability},
          {"complete", record.complete}};
}

AnswerLog::AnswerLog(const fs::path& folder, const Json& identity) : file_(folder / "answers.jsonl") {
  ensure_writable_folder(folder);
  check_identity(folder / "evaluation.json", file_, identity);
  if (!fs::exists(file_)) return;
  drop_torn_line(file_);
  std::set<std::pair<std::string, int64_t>> answered;
  read_jsonl(file_, [&](const Json& line, int64_t number) {
    records_.push_back(from_json(line, file_, number));
    const AnswerRecord& record = records_.back();
    if (!answered.emplace(record.clip, record.utterance).second)
      throw DataError("there are two answers about utterance {} of clip '{}'", record.utterance, record.clip)
          .where(file_, number)
          .hint("take one of the two lines out");
  });
}

void AnswerLog::append(const std::vector<AnswerRecord>& records) {
  std::string lines;
  for (const AnswerRecord& record : records) lines += to_json(record).dump() + "\n";
  std::error_code absent;
  const uintmax_t before = fs::exists(file_) ? fs::file_size(file_, absent) : 0;
  std::ofstream out(file_, std::ios::app | std::ios::binary);
  out << lines << std::flush;
  if (!out) {
    const int code = errno;
    fs::resize_file(file_, before, absent);  // a full disk may have taken a part
    throw write_error(file_, code);
  }
  records_.insert(records_.end(), records.begin(), records.end());
}

}  // namespace microemo::infer
