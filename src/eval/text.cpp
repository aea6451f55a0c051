#include "text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lower_ranges.h"
#include "microemo/formats/utf8.h"

namespace microemo::eval {
namespace {

constexpr std::array<std::string_view, 29> blanks{"\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",
                                                  "\x1f",   " ",      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
                                                  "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
                                                  "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

/// Text that is not UTF-8 stays as it is.
std::string lower_beyond_ascii(std::string text) {
  const auto points = formats::decode_utf8(text);
  if (!points) return text;
  std::u32string lowered;
  for (const char32_t point : *points) {
    if (point == 0x130) {  // the only one whose lower case is two characters
      lowered += U"i\u0307";
      continue;
    }
    const auto& ranges = lower_ranges();
    auto range = std::ranges::upper_bound(ranges, point, {}, &LowerRange::first);
    const bool in_range = range != ranges.begin() && point <= (--range)->last && (point - range->first) % range->step == 0;
    lowered += in_range ? static_cast<char32_t>(static_cast<int64_t>(point) + range->distance) : point;
  }
  return *formats::encode_utf8(lowered);
}

}  // namespace

std::string_view strip(std::string_view text) {
  const auto is_bare = [](char c) { return c > ' ' && static_cast<unsigned char>(c) < 0x80; };
  if (text.empty() || (is_bare(text.front()) && is_bare(text.back()))) return text;
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
  bool ascii = true;
  for (char& c : result) {
    ascii = ascii && static_cast<unsigned char>(c) < 0x80;
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return ascii ? result : lower_beyond_ascii(std::move(result));
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

bool is_missing(std::string_view cell) {
  constexpr std::array<std::string_view, 19> words{"",     "#N/A",   "#N/A N/A", "#NA",  "-1.#IND", "-1.#QNAN", "-NaN",
                                                   "-nan", "1.#IND", "1.#QNAN",  "<NA>", "N/A",     "NA",       "NULL",
                                                   "NaN",  "None",   "n/a",      "nan",  "null"};
  return std::ranges::find(words, cell) != words.end();
}

}  // namespace microemo::eval
