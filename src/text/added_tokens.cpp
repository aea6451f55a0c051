#include "added_tokens.h"

#include <algorithm>
#include <utility>

#include "unicode.h"

namespace microemo::text {
namespace {

bool ends_with_word(std::string_view text) {
  size_t i = text.size();
  return i > 0 && (class_table()[previous_character(text, i)] & word) != 0;
}

bool starts_with_word(std::string_view text) {
  size_t i = 0;
  return !text.empty() && (class_table()[next_character(text, i)] & word) != 0;
}

/// Python's str.strip knows four more blanks than \s.
bool is_blank(char32_t c, bool python) { return (class_table()[c] & space) != 0 || (python && c >= 0x1C && c <= 0x1F); }

size_t without_blanks_at_end(std::string_view text, bool python = false) {
  for (size_t end = text.size();;) {
    const size_t kept = end;
    if (end == 0 || !is_blank(previous_character(text, end), python)) return kept;
  }
}

size_t blanks_at_start(std::string_view text, bool python = false) {
  size_t i = 0;
  for (size_t next = 0; i < text.size(); i = next)
    if (!is_blank(next_character(text, next), python)) break;
  return i;
}

}  // namespace

AddedToken read_added_token(const Json& value, const std::filesystem::path& file) {
  AddedToken token;
  token.content = json_get<std::string>(value, "content", file);
  token.single_word = json_get_or<bool>(value, "single_word", false, file);
  token.strip_left = json_get_or<bool>(value, "lstrip", false, file);
  token.strip_right = json_get_or<bool>(value, "rstrip", false, file);
  token.special = json_get_or<bool>(value, "special", false, file);
  token.normalized = json_get_or<bool>(value, "normalized", !token.special, file);
  return token;
}

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), by_first_byte_(256) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  const auto order = [](const AddedToken& token) { return std::pair(uint8_t(token.content[0]), -int64_t(token.content.size())); };
  std::stable_sort(tokens_.begin(), tokens_.end(), [&](const AddedToken& a, const AddedToken& b) { return order(a) < order(b); });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    auto& [first, last] = by_first_byte_[uint8_t(tokens_[i].content[0])];
    if (last == 0) first = i;
    last = i + 1;
  }
}

const AddedToken* AddedTokenFinder::at(std::string_view text, size_t begin) const {
  const auto [first, last] = by_first_byte_[uint8_t(text[begin])];
  for (size_t i = first; i < last; ++i)
    if (text.substr(begin, tokens_[i].content.size()) == tokens_[i].content) return &tokens_[i];
  return nullptr;
}

std::vector<TextPart> AddedTokenFinder::split(std::string_view text) const {
  std::vector<TextPart> parts;
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    const AddedToken* token = at(text, i);
    if (token == nullptr) {
      ++i;
      continue;
    }
    size_t begin = i, end = i + token->content.size();
    i = end;
    if (token->single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) continue;
    if (token->strip_left) begin = std::max(without_blanks_at_end(text.substr(0, begin)), done);
    if (token->strip_right) end += blanks_at_start(text.substr(end));
    // A token of blanks alone may have gone with its neighbour.
    if (begin >= end) continue;
    if (begin > done) parts.push_back({text.substr(done, begin - done)});
    parts.push_back({text.substr(begin, end - begin), token});
    done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done)});
  return parts;
}

std::vector<AddedTokenFinder::OwnPart> AddedTokenFinder::split_as_python(std::string_view text) const {
  std::vector<OwnPart> parts;
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    const AddedToken* token = at(text, i);
    if (token == nullptr) {
      ++i;
      continue;
    }
    if (i > done) parts.push_back({std::string(text.substr(done, i - done))});
    parts.push_back({token->content, token});
    done = i += token->content.size();
  }
  if (done < text.size()) parts.push_back({std::string(text.substr(done))});
  // There a part is a token when it reads like one, also one that became so by what is taken away here.
  const auto as_token = [&](const std::string& part) {
    const AddedToken* token = part.empty() ? nullptr : at(part, 0);
    return token != nullptr && token->content == part ? token : nullptr;
  };
  for (size_t i = 0; i < parts.size(); ++i) {
    const AddedToken* token = as_token(parts[i].text);
    if (token == nullptr) continue;
    const std::string left = i > 0 ? parts[i - 1].text : "", right = i + 1 < parts.size() ? parts[i + 1].text : "";
    if (token->strip_right && !right.empty()) parts[i + 1].text = right.substr(blanks_at_start(right, true));
    if (token->strip_left && !left.empty()) parts[i - 1].text = left.substr(0, without_blanks_at_end(left, true));
    const bool joins_left = token->single_word && !left.empty() && left.back() != ' ';
    const bool joins_right = token->single_word && !joins_left && !right.empty() && right.front() != ' ';
    if (joins_left) parts[i - 1] = {parts[i - 1].text + token->content};
    if (joins_right) parts[i + 1] = {token->content + parts[i + 1].text};
    if (joins_left || joins_right) parts[i] = {};
  }
  std::erase_if(parts, [](const OwnPart& part) { return part.text.empty(); });
  for (OwnPart& part : parts) part.token = as_token(part.text);
  return parts;
}

}  // namespace microemo::text
