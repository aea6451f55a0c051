#pragma once
#include <bitset>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace microemo::eval {

/// What a word does in the grammar of docs/extraction.md. A word may do several things.
enum class WordRole {
  negation,
  negation_ends,
  not_a_negation,
  turn,
  hedge,
  weak,
  strong,
  filler,
  separator,
  feel,
  lead,
  title,
  subject,
  sentence,
  evidence,
  inference,
  nothing,
};
inline constexpr size_t word_roles = 17;

/// A word family of the lexicon: the adjective that stands for it.
struct EmotionWord {
  std::string label;
  double valence = 0;     ///< -1 (negative) to 1 (positive)
  bool in_lists = false;  ///< ambiguous ("content"): counts in lists and directly behind "feels" and the like alone
};

/// What the lexicon knows of a phrase.
struct Phrase {
  std::bitset<word_roles> roles;
  std::optional<EmotionWord> emotion;

  bool has(WordRole role) const { return roles[static_cast<size_t>(role)]; }
};

/// Word lists of the rules. Keys are phrases as phrase_key makes them.
struct Lexicon {
  std::filesystem::path folder;
  std::string hash;  ///< SHA-256 of both files, emotions.csv first
  std::unordered_map<std::string, Phrase> phrases;
  size_t longest = 1;  ///< tokens of the longest phrase
};

/// A phrase as the lexicon keeps it: its tokens in lower case with a blank between them; a Chinese character is a token.
std::string phrase_key(std::string_view phrase);

/// Reads FOLDER/emotions.csv (columns label, valence, english, chinese; forms separated by ";", "~" in front of an ambiguous one)
/// and FOLDER/grammar.csv (role, english, chinese). An adjective brings its regular adverb and noun (happily, happiness) along.
/// Throws Error(data) with file and line for a valence that is no number from -1 to 1, an unknown or missing role, an empty
/// label, or a form that belongs to two labels.
Lexicon load_lexicon(const std::filesystem::path& folder);

/// The project's own, data/lexicon beside the program, read once. Throws Error(environment) when it is not there. Thread-safe.
const Lexicon& own_lexicon();

}  // namespace microemo::eval
