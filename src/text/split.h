#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace microemo::text {

/// The regular expressions that byte-level tokenizers cut a text into words with. Each is matched by hand here, which is exact
/// and several times as fast as a general matcher.
enum class SplitPattern { gpt2, qwen2, llama3, tekken };

/// The pattern that is written so, or nothing; `known_patterns` are those that there are.
std::optional<SplitPattern> split_pattern(std::string_view regular_expression);
std::vector<std::string> known_patterns();

/// End of the word that begins at `begin` (below the text's size). The text is well-formed UTF-8; words cover it without a gap.
size_t word_end(SplitPattern pattern, std::string_view text, size_t begin);

}  // namespace microemo::text
