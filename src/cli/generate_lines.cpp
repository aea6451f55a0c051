#include <chrono>
#include <cstdio>
#include <set>

#include <fmt/format.h>

#include "generate_words.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/base/workers.h"
#include "microemo/infer/answer_text.h"

namespace microemo::cli {
namespace {

std::vector<int64_t> ids_of_line(const Json& line, int64_t number, const GenerateWords& words, const GenerateModel& model) {
  if (line.contains("ids") == line.contains("text"))
    throw DataError("a prompt has either \"text\" or \"ids\"").where(words.prompts, number).hint("write {\"text\": \"…\"}");
  if (line.contains("ids")) return json_get<std::vector<int64_t>>(line, "ids", words.prompts, number);
  return model.tokenizer->encode(
      json_get<std::string>(line, "text", words.prompts, number),
      {.find_special = !words.literal, .add_special = words.beginning.empty() && words.beginning_ids.empty()});
}

std::vector<infer::TextPrompt> read_prompts(const GenerateWords& words, const GenerateModel& model) {
  std::vector<infer::TextPrompt> prompts;
  std::set<std::string> names;
  read_jsonl(words.prompts, [&](const Json& line, int64_t number) {
    if (!line.is_object()) throw DataError("a prompt is no object").where(words.prompts, number).hint("write {\"text\": \"…\"}");
    const std::string id = json_get_or<std::string>(line, "id", std::to_string(number), words.prompts, number);
    if (!names.insert(id).second)
      throw DataError("there are two prompts '{}'", id).where(words.prompts, number).hint("give each an id of its own");
    prompts.push_back({id, ids_of_line(line, number, words, model)});
  });
  return prompts;
}

}  // namespace

void write_out(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

bool needs_tokenizer(const GenerateWords& words) {
  bool text = !words.beginning.empty() || !words.stop.empty();
  read_jsonl(words.prompts, [&](const Json& line, int64_t) { text = text || (line.is_object() && line.contains("text")); });
  return text;
}

void generate_lines(const GenerateWords& words, const GenerateModel& model) {
  const std::vector<infer::TextPrompt> prompts = read_prompts(words, model);
  std::vector<int64_t> beginning = words.beginning_ids;
  if (!words.beginning.empty())
    beginning = model.tokenizer->encode(words.beginning, {.find_special = !words.literal, .add_special = true});
  std::vector<infer::AnswerText> texts;
  for (size_t i = 0; model.tokenizer && i < prompts.size(); ++i)
    texts.emplace_back(*model.tokenizer, infer::EndTexts{.stop = words.stop});
  const auto began = std::chrono::steady_clock::now();
  const auto generated =
      infer::generate_texts(*model.decoder, beginning, prompts, model.options, words.batch, [&](size_t prompt, int64_t id) {
        if (!texts.empty()) texts[prompt].add(id);
        return !stop_requested() && (texts.empty() || !texts[prompt].ended());
      });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (stop_requested()) return;
  int64_t tokens = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    tokens += int64_t(generated[i].ids.size());
    Json line = {{"id", prompts[i].id},
                 {"ids", generated[i].ids},
                 {"complete", generated[i].ended || (!texts.empty() && texts[i].ended())},
                 {"log_probability", generated[i].log_probability}};
    if (!texts.empty()) {
      texts[i].finish();
      line["text"] = texts[i].text();
    }
    write_out(line.dump() + "\n");
  }
  std::fprintf(stderr, "%zu texts, %zu tokens, %.1f tokens/s with their prompts\n", prompts.size(), size_t(tokens),
               seconds > 0 ? double(tokens) / seconds : 0.0);
}

}  // namespace microemo::cli
