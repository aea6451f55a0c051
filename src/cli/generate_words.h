#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "microemo/infer/text_generation.h"
#include "microemo/text/tokenizer.h"

namespace microemo::cli {

/// What the command line of `microemo generate` says.
struct GenerateWords {
  std::string model, prompt, tokenizer, type = "float32", device = "auto", prompts, beginning, chat, system, turns;
  std::vector<int64_t> ids, beginning_ids;
  std::vector<std::string> stop;
  int64_t max_new_tokens = 256, max_tokens = 0, threads = 1, batch = 16;
  infer::SamplingOptions sampling;
  bool literal = false, json = false, check_finite = false;
};

/// What it generates with.
struct GenerateModel {
  std::shared_ptr<const model::Decoder> decoder;
  std::optional<text::Tokenizer> tokenizer;
  infer::TextGenerationOptions options;
};

void write_out(const std::string& text);

/// A conversation: the turns of --turns, or of standard input, a line each, while they come.
void converse(const GenerateWords& words, const GenerateModel& model);
/// Whether --prompts has text, or other words speak of it.
bool needs_tokenizer(const GenerateWords& words);
/// One line of JSON for each line of --prompts, in their order.
void generate_lines(const GenerateWords& words, const GenerateModel& model);

}  // namespace microemo::cli
