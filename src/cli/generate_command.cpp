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

#include "freed_memory.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/finite.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/cli/commands.h"
#include "microemo/infer/text_generation.h"
#include "microemo/model/hf_decoder.h"
#include "microemo/text/tokenizer.h"
#include "out_of_memory.h"

namespace microemo::cli {
namespace {

struct Words {
  std::string model, prompt, tokenizer, type = "float32";
  std::vector<int64_t> ids;
  int64_t max_new_tokens = 256, max_tokens = 0, threads = 1;
  bool literal = false, json = false, check_finite = false;
};

struct Generation {
  std::vector<int64_t> prompt;
  infer::GeneratedText text;
  double first_token_s = 0, seconds = 0;
};

std::string prompt_text(const Words& words) {
  if (words.prompt != "-") return words.prompt;
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

/// Only a prompt of ids goes without a tokenizer.
std::optional<text::Tokenizer> open_tokenizer(const Words& words) {
  if (!words.tokenizer.empty()) return std::optional<text::Tokenizer>(std::in_place, words.tokenizer);
  if (!words.ids.empty()) return std::nullopt;
  return std::optional<text::Tokenizer>(std::in_place, words.model);
}

void write_out(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

/// Generates, and shows the text while it is written unless JSON is asked for.
Generation generate(const Words& words, const model::Decoder& decoder, const std::vector<int64_t>& end_ids,
                    const text::Tokenizer* tokenizer) {
  using Clock = std::chrono::steady_clock;
  Generation generation;
  generation.prompt = words.ids.empty()
                          ? tokenizer->encode(prompt_text(words), {.find_special = !words.literal, .add_special = true})
                          : words.ids;
  std::optional<text::TextStream> stream;
  if (tokenizer && !words.json) stream.emplace(*tokenizer);
  const auto began = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  generation.text = infer::generate_text(decoder, generation.prompt, {.max_new_tokens = words.max_new_tokens, .end_ids = end_ids},
                                         [&](int64_t id) {
                                           if (generation.first_token_s == 0) generation.first_token_s = passed();
                                           if (stream)
                                             write_out(stream->add(id));
                                           else if (!words.json)
                                             write_out(fmt::format("{} ", id));
                                           return !stop_requested();
                                         });
  generation.seconds = passed();
  if (!words.json) write_out((stream ? stream->finish() : std::string()) + "\n");
  return generation;
}

std::string why_it_ended(const Generation& generation, const Words& words) {
  if (generation.text.ended) return "ended by the model";
  if (stop_requested()) return "stopped";
  const bool asked = int64_t(generation.text.ids.size()) == words.max_new_tokens;
  return asked ? "cut at --max-new-tokens" : "cut at the longest text that the model reads";
}

/// Tokens a second after the first one, which waits for the prompt to be read.
double speed(const Generation& generation) {
  const double seconds = generation.seconds - generation.first_token_s;
  return seconds > 0 && generation.text.ids.size() > 1 ? double(generation.text.ids.size() - 1) / seconds : 0;
}

void print_json(const Generation& generation, const Words& words, const text::Tokenizer* tokenizer) {
  Json json = {{"prompt_ids", generation.prompt},        {"ids", generation.text.ids},
               {"ended", generation.text.ended},         {"log_probability", generation.text.log_probability},
               {"end", why_it_ended(generation, words)}, {"first_token_s", generation.first_token_s},
               {"tokens_per_s", speed(generation)}};
  if (tokenizer) json["text"] = tokenizer->decode(generation.text.ids);
  std::printf("%s\n", json.dump(2).c_str());
}

int run(const Words& words) {
  keep_freed_memory();
  if (words.prompt.empty() == words.ids.empty())
    throw ConfigError("give either TEXT or --ids").hint("microemo generate MODEL \"Once upon a time\"");
  at::set_num_threads(int(words.threads));
  const checkpoint::HfDecoderConfig config = checkpoint::read_hf_decoder_config(words.model);
  const std::optional<text::Tokenizer> tokenizer = open_tokenizer(words);
  if (words.check_finite) checkpoint::require_finite(checkpoint::TensorSource(words.model));
  const auto decoder = model::load_hf_decoder(
      words.model, {.weights = words.type == "stored" ? model::WeightType::as_stored : model::WeightType::fp32,
                    .max_tokens = words.max_tokens});
  const Generation generation = generate(words, *decoder, config.eos_token_id, tokenizer ? &*tokenizer : nullptr);
  if (words.json)
    print_json(generation, words, tokenizer ? &*tokenizer : nullptr);
  else
    std::fprintf(stderr, "%s: %zu tokens after a prompt of %zu, %.1f tokens/s, the first after %.2f s\n",
                 why_it_ended(generation, words).c_str(), generation.text.ids.size(), generation.prompt.size(), speed(generation),
                 generation.first_token_s);
  return stop_requested() ? exit_code_resumable : 0;
}

void add_options(CLI::App& command, Words& words) {
  command.add_option("MODEL", words.model, "Folder in the layout of Hugging Face: config.json, weights, tokenizer")
      ->required()
      ->type_name("");
  command.add_option("TEXT", words.prompt, "What the model continues; - reads standard input")->type_name("");
  command.add_option("--ids", words.ids, "The prompt as token ids; then ids are written, and no tokenizer is needed")
      ->delimiter(',')
      ->check(CLI::NonNegativeNumber);
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
  command.add_option("--threads", words.threads, "Threads of a matrix product")->check(CLI::Range(1, 256))->capture_default_str();
  command.add_flag("--check-finite", words.check_finite, "Refuse weights that are NaN or infinite before anything is computed");
  command.add_flag("--json", words.json, "Print JSON: ids, text, speed");
}

}  // namespace

void add_generate_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("generate", "Continue a text with a decoder: the most probable token, again and again");
  add_options(*command, *words);
  command->footer(
      "Examples:\n  microemo generate models/Qwen2.5-0.5B \"The face says more than\"\n"
      "  microemo generate tests/data/checkpoint/llama --ids 5,17,8 --json");
  command->callback([words, &status] {
    install_stop_signals();
    with_memory_for("generating", "lower --max-tokens, or take --type stored", [&] { status = run(*words); });
  });
}

}  // namespace microemo::cli
