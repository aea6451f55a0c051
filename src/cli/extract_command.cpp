#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "microemo/base/json.h"
#include "microemo/base/progress.h"
#include "microemo/cli/commands.h"
#include "microemo/eval/extract_answers.h"

namespace microemo::cli {
namespace {

constexpr size_t most_ids = 10;

struct Words {
  std::string answers, out, column, lexicon;
  bool sentiment = false, json = false;
};

void print(const std::string& line) { std::printf("%s\n", line.c_str()); }

struct Counts {
  size_t labels = 0, without = 0;
};

void print_text(const Words& words, const eval::AnswerFile& file, const Counts& counts, const std::string& extractor) {
  print(fmt::format("answers    {} of {} ({})", file.answers.size(), file.path.string(), file.column));
  print(fmt::format("extractor  {}", extractor));
  print(fmt::format("labels     {}; answers without any: {}", counts.labels, counts.without));
  const std::vector<std::string> empty = file.empty_ids();
  if (!empty.empty()) {
    const std::vector<std::string> first(empty.begin(), empty.begin() + std::min(empty.size(), most_ids));
    print(fmt::format("empty      {} answers: {}{}", empty.size(), fmt::join(first, ", "),
                      empty.size() > most_ids ? ", …; --json lists all" : ""));
  }
  print(fmt::format("written    {}", words.out));
}

void run(const Words& words) {
  const eval::Lexicon own = words.lexicon.empty() ? eval::Lexicon() : eval::load_lexicon(words.lexicon);
  const eval::Lexicon& lexicon = words.lexicon.empty() ? eval::own_lexicon() : own;
  const eval::AnswerFile file = eval::read_answers(words.answers, words.column);
  Progress progress("extract", "answers", static_cast<int64_t>(file.answers.size()));
  std::vector<Json> lines;
  Counts counts;
  for (const eval::Answer& answer : file.answers) {
    const std::vector<eval::LabelMention> mentions = eval::find_mentions(answer.text, lexicon);
    lines.push_back(eval::extraction_json(answer, mentions, words.sentiment));
    const size_t labels = lines.back()["labels"].size();
    counts.labels += labels;
    counts.without += labels == 0 ? 1 : 0;
    progress.add();
  }
  progress.finish();
  write_jsonl(words.out, lines);
  if (!words.json) return print_text(words, file, counts, std::string(eval::rules_extractor));
  print(Json{{"answers", {{"path", file.path.string()}, {"sha256", file.hash}, {"column", file.column}}},
             {"extractor", eval::rules_extractor},
             {"lexicon", {{"path", lexicon.folder.string()}, {"sha256", lexicon.hash}}},
             {"n", file.answers.size()},
             {"labels", counts.labels},
             {"without_labels", counts.without},
             {"empty", file.empty_ids()},
             {"out", words.out}}
            .dump(2));
}

constexpr const char* footer =
    "Answers:\n"
    "  .jsonl  {\"id\": \"clip1/0\", \"answer\": \"She seems happy, and not at all angry.\"} a line\n"
    "  .csv    a column name (or id), and one of reason, eng_reason, english, answer, chi_reason, chinese\n"
    "LABELS.jsonl can be scored as it is. docs/extraction.md has the rules.\n"
    "\n"
    "Examples:\n"
    "  microemo extract answers.jsonl --out labels.jsonl --sentiment\n"
    "  microemo extract final-EMER-reason.csv --column chinese --out labels.jsonl";

}  // namespace

void add_extract_command(CLI::App& app, int&) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("extract", "Find the emotion labels and the sentiment of answers in free text");
  command->add_option("ANSWERS", words->answers, "Answers: .jsonl or .csv (see below)")->required();
  command->add_option("--out", words->out, "File of labels to write")->type_name("LABELS.jsonl")->required();
  command->add_option("--column", words->column, "Key or column that holds the answers")->type_name("NAME");
  command->add_option("--lexicon", words->lexicon, "Folder with emotions.csv and grammar.csv; left out, the project's own")
      ->type_name("FOLDER");
  command->add_flag("--sentiment", words->sentiment, "Also write sentiment and valence");
  command->add_flag("--json", words->json, "Print JSON");
  command->footer(footer);
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
