#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "generate_words.h"
#include "microemo/base/device.h"
#include "microemo/base/error.h"
#include "microemo/base/freed_memory.h"
#include "microemo/base/json.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/finite.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/cli/commands.h"
#include "microemo/infer/answer_text.h"
#include "microemo/infer/conversation.h"
#include "microemo/model/hf_decoder.h"
#include "microemo/text/tokenizer.h"
#include "microemo/train/device.h"
#include "out_of_memory.h"
#include "sampling_options.h"
#include "whole_number.h"

namespace microemo::cli {
namespace {

using Words = GenerateWords;

struct Generation {
  std::vector<int64_t> prompt;
  infer::GeneratedText tokens;
  std::string text;      ///< without the stop text that ended it
  bool stopped = false;  ///< by a stop text
  double first_token_s = 0, seconds = 0;
};

std::string prompt_text(const Words& words) {
  if (words.prompt != "-") return words.prompt;
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

/// Only prompts of ids go without a tokenizer.
std::optional<text::Tokenizer> open_tokenizer(const Words& words) {
  if (!words.tokenizer.empty()) return std::optional<text::Tokenizer>(std::in_place, words.tokenizer);
  if (!words.ids.empty() || (!words.prompts.empty() && !needs_tokenizer(words))) return std::nullopt;
  return std::optional<text::Tokenizer>(std::in_place, words.model);
}

/// Generates, and shows the text while it is written unless JSON is asked for.
Generation generate(const Words& words, const GenerateModel& model) {
  using Clock = std::chrono::steady_clock;
  Generation generation;
  generation.prompt = words.ids.empty()
                          ? model.tokenizer->encode(prompt_text(words), {.find_special = !words.literal, .add_special = true})
                          : words.ids;
  std::optional<infer::AnswerText> text;
  if (model.tokenizer) text.emplace(*model.tokenizer, infer::EndTexts{.stop = words.stop});
  const auto show = [&](const std::string& piece) {
    if (!words.json && words.ids.empty()) write_out(piece);
  };
  const auto began = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  generation.tokens = infer::generate_text(*model.decoder, generation.prompt, model.options, [&](int64_t id) {
    if (generation.first_token_s == 0) generation.first_token_s = passed();
    if (text) show(text->add(id));
    if (!words.json && !words.ids.empty()) write_out(fmt::format("{} ", id));
    return !stop_requested() && !(text && text->ended());
  });
  generation.seconds = passed();
  if (text) {
    show(text->finish());
    generation.text = text->text();
    generation.stopped = text->ended();
  }
  if (!words.json) write_out("\n");
  return generation;
}

std::string why_it_ended(const Generation& generation, const Words& words) {
  if (generation.tokens.ended) return "ended by the model";
  if (generation.stopped) return "ended by --stop";
  if (stop_requested()) return "stopped";
  const bool asked = int64_t(generation.tokens.ids.size()) == words.max_new_tokens;
  return asked ? "cut at --max-new-tokens" : "cut at the longest text that the model reads";
}

/// Tokens a second after the first one, which waits for the prompt to be read.
double speed(const Generation& generation) {
  const double seconds = generation.seconds - generation.first_token_s;
  return seconds > 0 && generation.tokens.ids.size() > 1 ? double(generation.tokens.ids.size() - 1) / seconds : 0;
}

void print_json(const Generation& generation, const Words& words, bool has_text) {
  Json json = {{"prompt_ids", generation.prompt},        {"ids", generation.tokens.ids},
               {"ended", generation.tokens.ended},       {"log_probability", generation.tokens.log_probability},
               {"end", why_it_ended(generation, words)}, {"first_token_s", generation.first_token_s},
               {"tokens_per_s", speed(generation)}};
  if (has_text) json["text"] = generation.text;
  std::printf("%s\n", json.dump(2).c_str());
}

/// Words that exclude each other, and what is out of its limits, before anything is loaded.
void check(const Words& words) {
  const int ways = int(!words.prompt.empty()) + int(!words.ids.empty()) + int(!words.prompts.empty()) + int(!words.chat.empty());
  if (ways != 1)
    throw ConfigError("give either TEXT or --ids, --prompts or --chat").hint("microemo generate MODEL \"Once upon a time\"");
  const auto only_with = [](bool given, const char* option, bool holds, const char* other) {
    if (given && !holds) throw ConfigError("{} has no effect without {}", option, other).at(option).hint("leave it out");
  };
  only_with(!words.turns.empty(), "--turns", !words.chat.empty(), "--chat");
  only_with(!words.system.empty(), "--system", !words.chat.empty(), "--chat");
  only_with(!words.beginning.empty(), "--beginning", !words.prompts.empty(), "--prompts");
  only_with(!words.beginning_ids.empty(), "--beginning-ids", !words.prompts.empty(), "--prompts");
  const infer::SamplingOptions defaults;
  const bool draws = words.sampling.temperature != 0;
  only_with(words.sampling.top_k != defaults.top_k, "--top-k", draws, "--temperature above 0");
  only_with(words.sampling.top_p != defaults.top_p, "--top-p", draws, "--temperature above 0");
  only_with(words.sampling.seed != defaults.seed, "--seed", draws, "--temperature above 0");
  infer::check_sampling(words.sampling);
  infer::check_stop(words.stop);
  if (!words.chat.empty()) infer::chat_style(words.chat);
  if (!words.stop.empty() && !words.ids.empty() && words.tokenizer.empty())
    throw ConfigError("--stop is text, and --ids alone go without a tokenizer").at("--stop").hint("give --tokenizer PATH");
}

GenerateModel load(const Words& words) {
  const checkpoint::HfDecoderConfig config = checkpoint::read_hf_decoder_config(words.model);
  const at::Device device = train::torch_device(choose_device(words.device));
  GenerateModel model{.decoder = nullptr, .tokenizer = open_tokenizer(words), .options = {}};
  if (words.check_finite) checkpoint::require_finite(checkpoint::TensorSource(words.model));
  const auto decoder = model::load_hf_decoder(
      words.model, {.weights = words.type == "stored" ? model::WeightType::as_stored : model::WeightType::fp32,
                    .max_tokens = words.max_tokens});
  decoder->to(device);
  model.decoder = decoder;
  model.options = {.max_new_tokens = words.max_new_tokens,
                   .end_ids = config.eos_token_id,
                   .sampling = words.sampling,
                   .vocabulary = model.tokenizer ? model.tokenizer->size() : 0};
  return model;
}

void generate_one(const Words& words, const GenerateModel& model) {
  const Generation generation = generate(words, model);
  if (words.json)
    print_json(generation, words, model.tokenizer.has_value());
  else
    std::fprintf(stderr, "%s: %zu tokens after a prompt of %zu, %.1f tokens/s, the first after %.2f s\n",
                 why_it_ended(generation, words).c_str(), generation.tokens.ids.size(), generation.prompt.size(),
                 speed(generation), generation.first_token_s);
}

int run(const Words& words) {
  keep_freed_memory();
  check(words);
  at::set_num_threads(int(words.threads));
  const GenerateModel model = load(words);
  if (!words.chat.empty())
    converse(words, model);
  else if (!words.prompts.empty())
    generate_lines(words, model);
  else
    generate_one(words, model);
  return stop_requested() ? exit_code_resumable : 0;
}

void add_ways(CLI::App& command, Words& words) {
  command
      .add_option("--prompts", words.prompts,
                  "Prompts to continue, a line {\"id\": …, \"text\" or \"ids\": …} each; writes a line of JSON for each")
      ->type_name("FILE.jsonl");
  command.add_option("--beginning", words.beginning, "Stands in front of every prompt of --prompts, and is read once")
      ->type_name("TEXT");
  command.add_option("--beginning-ids", words.beginning_ids, "The same as token ids")
      ->delimiter(',')
      ->check(whole_number<int64_t>)
      ->excludes("--beginning");
  command.add_option("--batch", words.batch, "Prompts of --prompts that are continued at the same time; changes no text")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command
      .add_option("--chat", words.chat,
                  "A conversation, a line of standard input each turn: chatml, llama2, llama3, qwen2.5, vicuna, or a turn with "
                  "{user} and {answer}")
      ->type_name("STYLE");
  command.add_option("--turns", words.turns, "The user's turns as a JSON list of texts, instead of standard input")
      ->type_name("FILE.json");
  command.add_option("--system", words.system, "What stands before the first turn of --chat")->type_name("TEXT");
}

void add_options(CLI::App& command, Words& words) {
  command.add_option("MODEL", words.model, "Folder in the layout of Hugging Face: config.json, weights, tokenizer")
      ->required()
      ->type_name("");
  command.add_option("TEXT", words.prompt, "What the model continues; - reads standard input")->type_name("");
  command.add_option("--ids", words.ids, "The prompt as token ids; then ids are written, and no tokenizer is needed")
      ->delimiter(',')
      ->check(whole_number<int64_t>);
  command.add_option("--tokenizer", words.tokenizer, "Tokenizer file or folder; MODEL without it")->type_name("PATH");
  command.add_flag("--literal", words.literal, "Names of special tokens in TEXT are text like any other");
  command.add_option("--max-new-tokens", words.max_new_tokens, "Tokens that are written at most")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--max-tokens", words.max_tokens, "Longest text, prompt included; 0 takes what config.json allows")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_option("--type", words.type, "What to compute in: float32, or the stored type of the weights")
      ->check(CLI::IsMember({"float32", "stored"}))
      ->capture_default_str();
  command.add_option("--device", words.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--threads", words.threads, "Threads of a matrix product")->check(CLI::Range(1, 256))->capture_default_str();
  command.add_flag("--check-finite", words.check_finite, "Refuse weights that are NaN or infinite before anything is computed");
  command.add_flag("--json", words.json, "Print JSON: ids, text, speed; of --chat the list of answers");
}

}  // namespace

void add_generate_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command =
      app.add_subcommand("generate", "Continue texts with a decoder, or talk with it: the most probable token, or drawn ones");
  add_options(*command, *words);
  add_ways(*command, *words);
  add_sampling_options(*command, words->sampling, words->stop);
  command->footer(
      "Examples:\n  microemo generate models/Qwen2.5-0.5B \"The face says more than\"\n"
      "  microemo generate tests/data/checkpoint/llama --ids 5,17,8 --json\n"
      "  microemo generate models/Qwen2.5-0.5B-Instruct --chat qwen2.5 --temperature 0.7 --top-p 0.8\n"
      "  microemo generate models/Qwen2.5-0.5B --prompts questions.jsonl --batch 32 > texts.jsonl");
  command->callback([words, &status] {
    install_stop_signals();
    with_memory_for("generating", "lower --max-tokens, or take --type stored", [&] { status = run(*words); });
  });
}

}  // namespace microemo::cli
