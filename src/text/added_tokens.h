#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/base/json.h"

namespace microemo::text {

/// A token that stands outside the vocabulary proper and is looked for in a text before anything else is done to it.
struct AddedToken {
  int64_t id = 0;
  std::string content;
  bool single_word = false;  ///< only where no letter or digit touches it
  bool strip_left = false;   ///< takes the blanks before it away
  bool strip_right = false;  ///< and those behind it
  bool normalized = false;   ///< looked for after the text was normalised
  bool special = false;      ///< says something to the model; left out of decoded text
};

/// An AddedToken as Hugging Face files write it ("content", "lstrip", …), without its id.
AddedToken read_added_token(const Json& value, const std::filesystem::path& file);

/// A part of a text: one added token, or what stands between them (token is null).
struct TextPart {
  std::string_view text;
  const AddedToken* token = nullptr;
};

/// Finds added tokens: the leftmost first, of those that begin at the same place the longest.
class AddedTokenFinder {
 public:
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);
  const std::vector<AddedToken>& tokens() const { return tokens_; }

  /// As the tokenizers library cuts a text: parts are views of it, blanks that a token takes away are in none.
  std::vector<TextPart> split(std::string_view text) const;
  /// As the Python classes of transformers do: there a token that must be a single word and is not becomes text of the part it
  /// touches, so parts are texts of their own.
  struct OwnPart {
    std::string text;
    const AddedToken* token = nullptr;
  };
  std::vector<OwnPart> split_as_python(std::string_view text) const;

 private:
  /// The token at this place, or null.
  const AddedToken* at(std::string_view text, size_t begin) const;

  std::vector<AddedToken> tokens_;  ///< those of one first byte stand together, the longest first
  std::vector<std::pair<size_t, size_t>> by_first_byte_;
};

}  // namespace microemo::text
