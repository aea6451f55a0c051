#pragma once
#include <string>
#include <vector>

namespace microemo::data {

enum class PromptPart { text, begin, end, token, video, audio, fused, features, frames, times, words, question, answer, split };

/// One piece of a template: literal text, or a placeholder; `text` is the literal, or the piece of {token:X}.
struct PromptAtom {
  PromptPart part = PromptPart::text;
  std::string text;
};

/// Throws Error(config) for a brace that is not closed or opened and an unknown placeholder, naming the nearest.
std::vector<PromptAtom> parse_prompt(const std::string& text);

}  // namespace microemo::data
