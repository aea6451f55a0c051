#include "text.h"

#include <algorithm>
#include <array>

namespace microemo::eval {
namespace {

constexpr std::array<std::string_view, 29> blanks{"\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",
                                                  "\x1f",   " ",      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
                                                  "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
                                                  "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

}  // namespace

std::string_view strip(std::string_view text) {
  const auto cut = [&](auto matches, auto remove) {
    for (bool found = true; found;) {
      found = false;
      for (const std::string_view blank : blanks)
        if (matches(blank)) {
          remove(blank.size());
          found = true;
        }
    }
  };
  cut([&](std::string_view blank) { return text.starts_with(blank); }, [&](size_t n) { text.remove_prefix(n); });
  cut([&](std::string_view blank) { return text.ends_with(blank); }, [&](size_t n) { text.remove_suffix(n); });
  return text;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::vector<std::string> split(std::string_view text, std::string_view separators) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(separators), text.size());
    const std::string_view piece = strip(text.substr(0, end));
    if (!piece.empty()) pieces.emplace_back(piece);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return pieces;
}

}  // namespace microemo::eval
