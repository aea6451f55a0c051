#include "microemo/eval/labels.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "text.h"

namespace microemo::eval {
namespace {

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// Position behind the last `word` that is not part of a longer word; npos when there is none.
size_t behind_last(std::string_view text, std::string_view word) {
  for (size_t at = text.rfind(word); at != std::string_view::npos; at = at == 0 ? at - 1 : text.rfind(word, at - 1)) {
    const size_t end = at + word.size();
    const bool starts = at == 0 || !is_letter(text[at - 1]), ends = end == text.size() || !is_letter(text[end]);
    if (starts && (ends || !is_letter(word.back()))) return end;
  }
  return std::string_view::npos;
}

std::string_view sentence(std::string_view text) {
  constexpr std::array<std::string_view, 8> leads{
      "feels", "feel", "felt", "feeling", "emotion is", "emotions are", "emotional state is", "emotional states are"};
  constexpr std::array<std::string_view, 4> titles{"labels:", "label:", "emotions:", "emotion:"};
  size_t start = 0;
  const auto consider = [&](std::string_view word) {
    const size_t end = behind_last(text, word);
    if (end != std::string_view::npos) start = std::max(start, end);
  };
  std::ranges::for_each(leads, consider);
  std::ranges::for_each(titles, consider);
  text.remove_prefix(start);
  text = strip(text);
  return text.substr(0, text.find_first_of(".!?\n"));
}

/// "and", "or" and "but" between words, and separators that have more than one byte, become commas.
std::string with_commas(std::string text) {
  for (const std::string_view separator : {" and ", " or ", " but ", "，", "、", "；", "“", "”", "’ ", " ‘"})
    for (size_t at; (at = text.find(separator)) != std::string::npos;) text.replace(at, separator.size(), " , ");
  return text;
}

std::string without_lead(std::string_view label) {
  constexpr std::array<std::string_view, 21> leads{
      "and ", "or ",   "but ",   "also ",   "both ",     "either ",   "that ",   "a bit ",  "a little ",  "a ",     "an ",
      "the ", "very ", "quite ", "rather ", "somewhat ", "slightly ", "mildly ", "deeply ", "extremely ", "really "};
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view lead : leads)
      if (label.starts_with(lead)) {
        label = strip(label.substr(lead.size()));
        found = true;
      }
  }
  return std::string(label);
}

}  // namespace

std::string normalise_label(std::string_view label) { return std::string(strip(lower(label))); }

std::vector<std::string> string_to_list(std::string_view text) {
  if (text.starts_with('[')) text.remove_prefix(1);
  if (text.ends_with(']')) text.remove_suffix(1);
  return split(text, "'\",");
}

std::vector<std::string> extract_labels(std::string_view answer) {
  const std::string text = lower(answer);
  const size_t open = text.find('['), close = open == std::string::npos ? open : text.find(']', open);
  const bool listed = close != std::string::npos;
  const std::string body =
      with_commas(std::string(listed ? std::string_view(text).substr(open + 1, close - open - 1) : sentence(text)));
  std::vector<std::string> labels;
  for (const std::string& piece : split(body, ",;/\":[]()")) {
    const std::string_view quoted = strip(piece);
    const std::string label = without_lead(strip(quoted.substr(quoted.starts_with('\'') ? 1 : 0)));
    const std::string bare(label.ends_with('\'') ? label.substr(0, label.size() - 1) : label);
    if (!bare.empty() && std::ranges::find(labels, bare) == labels.end()) labels.push_back(bare);
  }
  return labels;
}

}  // namespace microemo::eval
