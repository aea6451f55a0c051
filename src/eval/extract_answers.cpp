#include "microemo/eval/extract_answers.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "item_id.h"
#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/formats/csv.h"
#include "text.h"

namespace microemo::eval {
namespace {

constexpr std::array<std::string_view, 7> answer_columns{"reason", "reasons",    "eng_reason", "english",
                                                         "answer", "chi_reason", "chinese"};
constexpr std::array<std::string_view, 3> id_columns{"name", "names", "id"};
constexpr size_t most_listed = 10;

void read_csv_answers(AnswerFile& file) {
  const formats::Table table = formats::read_csv(file.path);
  if (file.column.empty()) {
    const auto found = std::ranges::find_if(answer_columns, [&](std::string_view name) { return table.has_column(name); });
    if (found == answer_columns.end())
      throw DataError("no column holds answers: there are {}", fmt::join(table.header, ", "))
          .where(file.path, 1)
          .hint("name the column with --column");
    file.column = *found;
  }
  const auto named = std::ranges::find_if(id_columns, [&](std::string_view name) { return table.has_column(name); });
  const size_t id = table.column(named == id_columns.end() ? "name" : *named), text = table.column(file.column);
  for (const formats::TableRow& row : table.rows) file.answers.push_back({row.fields[id], row.fields[text], row.line});
}

void read_jsonl_answers(AnswerFile& file) {
  if (file.column.empty()) file.column = "answer";
  read_jsonl(file.path, [&](const Json& object, int64_t line) {
    file.answers.push_back({item_id(object, file.path, line), json_get<std::string>(object, file.column, file.path, line), line});
  });
}

void refuse_bad_ids(const AnswerFile& file) {
  std::map<std::string, std::vector<int64_t>> lines;
  for (const Answer& answer : file.answers) {
    if (strip(answer.id).empty())
      throw DataError("an answer has an empty id").where(file.path, answer.line).hint("give every answer an id of its own");
    lines[answer.id].push_back(answer.line);
  }
  std::vector<std::string> twice;
  int64_t first_line = 0;
  for (const auto& [id, places] : lines) {
    if (places.size() < 2) continue;
    twice.push_back(fmt::format("{} (lines {})", id, fmt::join(places, ", ")));
    if (first_line == 0 || places[1] < first_line) first_line = places[1];
  }
  if (twice.empty()) return;
  const size_t count = twice.size();
  twice.resize(std::min(count, most_listed));
  throw DataError("{} ids stand more than once: {}{}", count, fmt::join(twice, ", "), count > most_listed ? ", …" : "")
      .where(file.path, first_line)
      .hint("keep one answer for each id");
}

/// Counts the characters in front of bytes that are asked for in order.
class CharacterCounter {
 public:
  explicit CharacterCounter(std::string_view text) : text_(text) {}

  size_t before(size_t byte) {
    for (; byte_ < byte; ++byte_) characters_ += (static_cast<unsigned char>(text_[byte_]) & 0xc0) != 0x80 ? 1 : 0;
    return characters_;
  }

 private:
  std::string_view text_;
  size_t byte_ = 0, characters_ = 0;
};

const char* name_of(AnswerForm form) {
  return form == AnswerForm::list ? "list" : form == AnswerForm::prose ? "prose" : "evidence";
}

const char* name_of(Intensity intensity) {
  return intensity == Intensity::weak ? "weak" : intensity == Intensity::strong ? "strong" : "plain";
}

}  // namespace

std::vector<std::string> AnswerFile::empty_ids() const {
  std::vector<std::string> ids;
  for (const Answer& answer : answers)
    if (strip(answer.text).empty()) ids.push_back(answer.id);
  return ids;
}

AnswerFile read_answers(const std::filesystem::path& path, const std::string& column) {
  AnswerFile file{path, "", column, {}};
  const std::string end = lower(path.extension().string());
  if (end == ".csv")
    read_csv_answers(file);
  else if (end == ".jsonl")
    read_jsonl_answers(file);
  else
    throw DataError("answers are read from .jsonl and .csv, not from \"{}\"", end)
        .where(path)
        .hint("name the file by what it holds");
  if (file.answers.empty()) throw DataError("there are no answers").where(path).hint("give one answer a line");
  refuse_bad_ids(file);
  file.hash = sha256_file(path);
  return file;
}

Json extraction_json(const Answer& answer, const std::vector<LabelMention>& mentions, const std::string& extractor,
                     bool sentiment) {
  Json listed = Json::array();
  CharacterCounter characters(answer.text);
  for (const LabelMention& mention : mentions) {
    const size_t start = characters.before(mention.start), end = characters.before(mention.end);
    listed.push_back({{"label", mention.label},
                      {"text", answer.text.substr(mention.start, mention.end - mention.start)},
                      {"span", {start, end}},
                      {"form", name_of(mention.form)},
                      {"negated", mention.negated},
                      {"hedged", mention.hedged},
                      {"intensity", name_of(mention.intensity)}});
  }
  Json line = {{"id", answer.id}, {"labels", labels_of(mentions)}};
  if (sentiment) {
    const Sentiment found = sentiment_of(mentions);
    line["sentiment"] = found.label;
    line["valence"] = found.value;
  }
  line["extractor"] = extractor;
  line["mentions"] = std::move(listed);
  return line;
}

}  // namespace microemo::eval
