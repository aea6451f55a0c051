#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "json_text.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/cli/commands.h"
#include "microemo/eval/extract_mertools.h"
#include "microemo/eval/extract_run.h"
#include "microemo/eval/predictions.h"
#include "microemo/eval/provenance.h"
#include "microemo/infer/extract_decoder.h"
#include "out_of_memory.h"
#include "overwritten.h"
#include "positive_number.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_ids = 10;

struct Words {
  std::string answers, out, column, lexicon, extractor, key_variable, truth, wheel;
  eval::EndpointOptions endpoint;
  infer::DecoderExtractorOptions decoder;
  int64_t repeats = 1;
  bool sentiment = false, json = false;

  bool has_decoder() const { return !decoder.folder.empty(); }
  bool asks() const { return !endpoint.url.empty() || endpoint.replay || has_decoder(); }
};

/// What was done, to be told.
struct Result {
  std::string extractor;
  Json lexicon;
  std::vector<std::string> files;
  std::vector<size_t> labels, without;
  std::vector<double> f;
  std::string wheel;
  eval::Provenance provenance;  ///< of the F
  int64_t asked = 0, cached = 0;
};

void print(const std::string& line) { std::printf("%s\n", line.c_str()); }

void refuse_words_without_effect(const Words& words, const CLI::App& command) {
  const bool rules = words.extractor == "rules", endpoint = words.asks() && !words.has_decoder();
  const auto only = [&](bool fits, const char* where, std::initializer_list<const char*> options) {
    for (const char* option : options)
      if (!fits && command.count(option) > 0)
        throw ConfigError("{} has no effect {}", option, where).at("command line").hint("see microemo extract --help");
  };
  only(!rules, "with the rules", {"--replay", "--endpoint", "--decoder"});
  only(rules, "without the rules", {"--lexicon"});
  only(!words.truth.empty(), "without --truth", {"--wheel"});
  only(words.has_decoder(), "without --decoder", {"--chat"});
  only(!words.has_decoder(), "beside --decoder, which is on this machine and names itself",
       {"--endpoint", "--model", "--timeout", "--rate", "--tries", "--key-from"});
  only(words.asks(), "without --decoder, --endpoint or --replay",
       {"--reply-cache", "--max-tokens", "--repeats", "--temperature", "--top-p", "--repetition-penalty"});
  only(endpoint, "without --endpoint or --replay", {"--model", "--timeout", "--rate", "--tries", "--key-from"});
  const bool draws = !words.has_decoder() || (command.count("--temperature") > 0 && words.endpoint.temperature > 0);
  only(draws, "beside --decoder without --temperature above 0: the most probable token is no draw", {"--repeats", "--top-p"});
}

std::string key_of(const Words& words) {
  if (words.key_variable.empty()) return "";
  const char* key = std::getenv(words.key_variable.c_str());
  if (key == nullptr || *key == '\0')
    throw ConfigError("the environment has no {}", words.key_variable)
        .hint("set it to the endpoint's key, or leave --key-from out");
  return key;
}

/// How a decoder draws unless it is told otherwise: not at all.
eval::EndpointOptions decoder_defaults() {
  eval::EndpointOptions defaults;
  defaults.temperature = 0;
  defaults.top_p = defaults.repetition_penalty = 1;
  return defaults;
}

/// Requests as a decoder answers them; the address only stands in messages.
void set_for_decoder(const Words& words, const CLI::App& command, eval::EndpointOptions& options) {
  const eval::EndpointOptions defaults = decoder_defaults();
  options.url = "http://local-decoder";
  options.model = infer::decoder_extractor_name(words.decoder);
  if (command.count("--temperature") == 0) options.temperature = defaults.temperature;
  if (command.count("--top-p") == 0) options.top_p = defaults.top_p;
  if (command.count("--repetition-penalty") == 0) options.repetition_penalty = defaults.repetition_penalty;
  options.tries = 1;
}

/// The model, and how it drew where that is not what its kind does by itself: other draws, another extractor.
std::string name_with_sampling(const Words& words, const eval::EndpointOptions& options) {
  const eval::EndpointOptions usual = words.has_decoder() ? decoder_defaults() : eval::EndpointOptions();
  std::string name = options.model;
  const auto add = [&](const char* what, double value, double usually) {
    if (value != usually) name += fmt::format(",{}={}", what, value);
  };
  add("temperature", options.temperature, usual.temperature);
  add("top-p", options.top_p, usual.top_p);
  add("repetition-penalty", options.repetition_penalty, usual.repetition_penalty);
  return name;
}

void keep(const Words& words, const std::vector<Json>& lines, int64_t repeat, Result& result) {
  const fs::path path = eval::repeat_path(words.out, repeat, words.repeats);
  write_jsonl(path, lines);
  size_t labels = 0, without = 0;
  for (const Json& line : lines) {
    const size_t count = line.contains("labels") ? line["labels"].size() : 0;
    labels += count;
    without += count == 0 ? 1 : 0;
  }
  result.files.push_back(path.string());
  result.labels.push_back(labels);
  result.without.push_back(without);
}

void extract(const Words& words, const CLI::App& command, const eval::AnswerFile& file, Result& result) {
  Progress progress("extract", "answers", static_cast<int64_t>(file.answers.size()) * words.repeats);
  const eval::Done done = [&] { progress.add(); };
  if (words.extractor == "rules") {
    const eval::Lexicon own = words.lexicon.empty() ? eval::Lexicon() : eval::load_lexicon(words.lexicon);
    const eval::Lexicon& lexicon = words.lexicon.empty() ? eval::own_lexicon() : own;
    result.extractor = eval::rules_extractor_name(lexicon);
    result.lexicon = {{"path", lexicon.folder.string()}, {"sha256", lexicon.hash}};
    return keep(words, eval::extract_by_rules(file, lexicon, words.sentiment, done), 0, result);
  }
  if (!words.asks()) {
    result.extractor = eval::mertools_extractor;
    return keep(words, eval::read_outputs(file, words.sentiment, done), 0, result);
  }
  eval::EndpointOptions options = words.endpoint;
  if (words.has_decoder()) set_for_decoder(words, command, options);
  if (!options.replay) options.key = key_of(words);
  const std::string name = name_with_sampling(words, options);
  result.extractor = eval::model_extractor_name(name);
  eval::Endpoint endpoint(
      options, words.has_decoder() ? infer::decoder_post(words.decoder, [] { return !stop_requested(); }) : eval::curl_post(),
      eval::wall_clock());
  for (int64_t repeat = 0; repeat < words.repeats; ++repeat)
    keep(words, eval::extract_by_model(file, endpoint, name, repeat, words.sentiment, done), repeat, result);
  result.asked = endpoint.asked();
  result.cached = endpoint.cached();
}

void score(const Words& words, Result& result) {
  if (words.truth.empty()) return;
  const eval::EmotionWheel wheel = eval::load_wheel(words.wheel.empty() ? eval::own_wheel_path() : fs::path(words.wheel));
  result.wheel = wheel.name;
  result.provenance =
      eval::provenance_of(eval::read_label_file(result.files.front()), eval::read_label_file(words.truth), &wheel);
  for (const std::string& file : result.files) result.f.push_back(eval::f_of_labels(file, words.truth, wheel));
}

std::string with_deviation(const std::vector<double>& values, int digits) {
  const eval::Spread spread = eval::spread_of(values);
  std::string text = fmt::format("{:.{}f}", spread.mean, digits);
  if (values.size() > 1) text += fmt::format(" ± {:.{}f} over {} repeats", spread.deviation, digits, values.size());
  return text;
}

std::vector<double> as_numbers(const std::vector<size_t>& counts) { return {counts.begin(), counts.end()}; }

void print_text(const Words& words, const eval::AnswerFile& file, const Result& result) {
  const int digits = words.repeats > 1 ? 1 : 0;
  print(fmt::format("answers    {} of {} ({})", file.answers.size(), file.path.string(), file.column));
  print(fmt::format("extractor  {}", result.extractor));
  if (words.asks()) print(fmt::format("replies    {} asked for, {} kept from before", result.asked, result.cached));
  print(fmt::format("labels     {}; answers without any: {}", with_deviation(as_numbers(result.labels), digits),
                    with_deviation(as_numbers(result.without), digits)));
  std::vector<std::string> empty = file.empty_ids();
  if (const size_t count = empty.size(); count > 0) {
    empty.resize(std::min(count, most_ids));
    print(fmt::format("empty      {} answers: {}{}", count, fmt::join(empty, ", "),
                      count > most_ids ? ", …; --json lists all" : ""));
  }
  if (!result.f.empty())
    print(fmt::format("set F      {} ({})\nfrom       {}", with_deviation(result.f, 4), result.wheel,
                      eval::to_text(result.provenance)));
  for (const std::string& path : result.files) print(fmt::format("written    {}", path));
}

Json to_json(const eval::AnswerFile& file, const Result& result) {
  Json json = {{"answers", {{"path", file.path.string()}, {"sha256", file.hash}, {"column", file.column}}},
               {"extractor", result.extractor},
               {"lexicon", result.lexicon},
               {"n", file.answers.size()},
               {"labels", result.labels},
               {"without_labels", result.without},
               {"empty", file.empty_ids()},
               {"replies", {{"asked", result.asked}, {"kept", result.cached}}},
               {"out", result.files}};
  if (!result.f.empty()) {
    const eval::Spread spread = eval::spread_of(result.f);
    json["set_f"] = {{"wheel", result.wheel}, {"values", result.f}, {"mean", spread.mean}, {"deviation", spread.deviation}};
    json["set_f"].update(eval::to_json(result.provenance));
  }
  return json;
}

void run(Words& words, const CLI::App& command) {
  if (words.extractor.empty()) words.extractor = words.asks() ? "mertools" : "rules";
  refuse_words_without_effect(words, command);
  for (int64_t repeat = 0; repeat < words.repeats; ++repeat)
    refuse_to_overwrite("--out", eval::repeat_path(words.out, repeat, words.repeats), {words.answers, words.truth});
  if (fs::path(words.out).extension() != ".jsonl")
    throw ConfigError("labels are written as lines of JSON, and '{}' does not end with .jsonl", words.out)
        .at("--out")
        .hint("name it so; microemo data import labels makes .csv and .npz of it");
  const eval::AnswerFile file = eval::read_answers(words.answers, words.column);
  Result result;
  extract(words, command, file, result);
  score(words, result);
  if (!words.json) return print_text(words, file, result);
  print(json_text(to_json(file, result)));
}

/// A signal ends a decoder's work after its replies are kept.
int run_until_stopped(Words& words, const CLI::App& command) {
  try {
    with_memory_for("extracting", "take a smaller decoder", [&] { run(words, command); });
    return 0;
  } catch (const Error& error) {
    if (!stop_requested()) throw;
    std::fprintf(stderr, "%s\n", error.what());
    return exit_code_resumable;
  }
}

void add_endpoint_options(CLI::App& command, Words& words) {
  eval::EndpointOptions& endpoint = words.endpoint;
  command.add_option("--endpoint", endpoint.url, "Ask the language model behind this OpenAI-compatible address, up to /v1")
      ->type_name("URL");
  command.add_option("--model", endpoint.model, "Its name there")->type_name("NAME");
  command.add_option("--key-from", words.key_variable, "Variable of the environment that holds the endpoint's key")
      ->type_name("VARIABLE");
  command
      .add_option("--decoder", words.decoder.folder,
                  "Ask the decoder in this folder in place of an endpoint; it draws nothing without --temperature")
      ->type_name("FOLDER");
  command
      .add_option("--chat", words.decoder.chat,
                  "How the decoder is asked: qwen2.5 (as MERTools asks it), chatml (without words of the system) or plain")
      ->check(CLI::IsMember({"qwen2.5", "chatml", "plain"}))
      ->capture_default_str();
  command.add_option("--reply-cache", endpoint.cache, "Folder that keeps every request and reply")->type_name("FOLDER");
  command.add_flag("--replay", endpoint.replay, "Send nothing; a reply that was not kept is an error");
  command.add_option("--repeats", words.repeats, "Ask so many times, with seeds 0, 1, …; one file each, and mean ± deviation")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--timeout", endpoint.timeout_s, "Seconds to wait for a reply")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  command.add_option("--rate", endpoint.requests_per_minute, "Requests a minute at most; 0 sets no limit")
      ->check(number_from_zero)
      ->capture_default_str();
  command.add_option("--tries", endpoint.tries, "Tries of a request that times out, is put off (429) or brings no JSON")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--temperature", endpoint.temperature, "Sampling")->check(CLI::Range(0.0, 10.0))->capture_default_str();
  command.add_option("--top-p", endpoint.top_p, "Sampling")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  command
      .add_option("--repetition-penalty", endpoint.repetition_penalty, "Sampling; 1 is not sent, for servers that do not know it")
      ->check(CLI::Range(0.01, 10.0))
      ->capture_default_str();
  command.add_option("--max-tokens", endpoint.max_tokens, "Longest reply")->check(CLI::Range(1, 1000000))->capture_default_str();
}

constexpr const char* footer =
    "Answers:\n"
    "  .jsonl  {\"id\": \"clip1/0\", \"answer\": \"She seems happy, and not at all angry.\"} a line\n"
    "  .csv    a column name (names, id), and one of reason, reasons, eng_reason, english, answer, chi_reason, chinese\n"
    "LABELS.jsonl can be scored as it is. docs/extraction.md has the rules.\n"
    "\n"
    "Examples:\n"
    "  microemo extract answers.jsonl --out labels.jsonl --sentiment\n"
    "  microemo extract final-EMER-reason.csv --column chinese --out labels.jsonl\n"
    "  microemo extract answers.jsonl --out labels.jsonl --endpoint http://localhost:8000/v1 --model qwen --reply-cache replies";

}  // namespace

void add_extract_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("extract", "Find the emotion labels and the sentiment of answers in free text");
  command->add_option("ANSWERS", words->answers, "Answers: .jsonl or .csv (see below)")->required();
  command->add_option("--out", words->out, "File of labels to write")->type_name("LABELS.jsonl")->required();
  command->add_option("--column", words->column, "Key or column that holds the answers")->type_name("NAME");
  command
      ->add_option(
          "--extractor", words->extractor,
          "rules; or mertools: the answers are a language model's lists already, or are given to one (--endpoint, --decoder)")
      ->check(CLI::IsMember({"rules", "mertools"}));
  command->add_option("--lexicon", words->lexicon, "Folder with emotions.csv and grammar.csv; left out, the project's own")
      ->type_name("FOLDER");
  command->add_flag("--sentiment", words->sentiment, "Also write sentiment and valence");
  command->add_option("--truth", words->truth, "True labels, .jsonl, .csv or .npz: also print the set F")->type_name("FILE");
  command->add_option("--wheel", words->wheel, "Emotion wheel of the set F; left out, data/wheels/microemo.csv")
      ->type_name("PATH");
  add_endpoint_options(*command, *words);
  command->add_flag("--json", words->json, "Print JSON");
  command->footer(footer);
  command->callback([words, command, &status] {
    if (words->has_decoder()) install_stop_signals();
    status = run_until_stopped(*words, *command);
  });
}

}  // namespace microemo::cli
