#include "microemo/media/text_drawing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "font.h"
#include "microemo/base/error.h"
#include "microemo/formats/utf8.h"

namespace microemo::media {
namespace {

constexpr char32_t no_character = 0xFFFF;  // one that no font has: drawn as a box

/// Bytes that are no UTF-8 become boxes, one each.
std::u32string letters_of(std::string_view text) {
  std::u32string letters;
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    const auto letter = formats::decode_utf8(text.substr(0, length));
    const bool whole = letter && letter->size() == 1;
    letters += whole ? letter->front() : no_character;
    text.remove_prefix(whole ? length : 1);
  }
  return letters;
}

std::string utf8_of(std::u32string letters) {
  std::ranges::replace(letters, no_character, char32_t(0xFFFD));
  return formats::encode_utf8(letters).value_or("");
}

int width_of(const std::u32string& letters, int size) { return Font::standard().place(letters, size).width; }

bool is_blank(char32_t c) { return c == char32_t(' ') || (c >= 0x09 && c <= 0x0D) || c == 0x3000; }

/// Letters of scripts that are written without blanks between words, and their punctuation.
bool is_east_asian(char32_t c) {
  return (c >= 0x1100 && c <= 0x11FF) || (c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7AF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE4F) || (c >= 0xFF00 && c <= 0xFFEF) ||
         (c >= 0x20000 && c <= 0x3FFFF);
}

// Marks that do not begin and marks that do not end a line (W3C, Requirements for Chinese Text Layout, 3.1.2).
bool closes(char32_t c) {
  return std::u32string_view(U"，。、；：？！）》〉」』】〕”’…—·,.;:?!)]}%").find(c) != std::u32string_view::npos;
}
bool opens(char32_t c) { return std::u32string_view(U"（《〈「『【〔“‘([{").find(c) != std::u32string_view::npos; }

/// A part of the text that a line does not end in.
struct Piece {
  std::u32string letters;
  bool behind_blank = false;
};

bool breaks_between(char32_t left, char32_t right) {
  return (is_east_asian(left) || is_east_asian(right)) && !closes(right) && !opens(left);
}

std::vector<Piece> pieces_of(const std::u32string& text) {
  std::vector<Piece> pieces;
  bool begins = true, blank = false;
  for (const char32_t letter : text) {
    if (is_blank(letter)) {
      begins = blank = true;
      continue;
    }
    if (!begins) begins = breaks_between(pieces.back().letters.back(), letter);
    if (begins) pieces.push_back({{}, blank && !pieces.empty()});
    pieces.back().letters += letter;
    begins = blank = false;
  }
  return pieces;
}

/// The longest start that fits, at least one letter.
size_t fitting_length(const std::u32string& letters, int size, int width) {
  size_t length = letters.size();
  while (length > 1 && width_of(letters.substr(0, length), size) > width) --length;
  return length;
}

void blend(uint8_t& under, uint8_t over, unsigned coverage) {
  under = uint8_t((unsigned(under) * (255 - coverage) + unsigned(over) * coverage + 127) / 255);
}

void draw_glyph(Image& image, const Glyph& glyph, int left, int top, const std::array<uint8_t, 3>& ink) {
  const int first_x = std::max(0, -left), last_x = std::min(glyph.width, image.width - left);
  const int first_y = std::max(0, -top), last_y = std::min(glyph.height, image.height - top);
  for (int y = first_y; y < last_y; ++y) {
    uint8_t* const row = image.row(top + y);
    for (int x = first_x; x < last_x; ++x)
      for (int c = 0; c < image.channels; ++c)
        blend(row[(left + x) * image.channels + c], ink[size_t(c)], glyph.coverage[size_t(y) * size_t(glyph.width) + size_t(x)]);
  }
}

}  // namespace

void check_font() { Font::standard(); }

void draw_text(Image& image, const std::string& text, Point baseline_left, int size, Color color) {
  const auto gray = uint8_t((color.red * 299 + color.green * 587 + color.blue * 114) / 1000);
  const std::array<uint8_t, 3> ink =
      image.channels == 1 ? std::array<uint8_t, 3>{gray, gray, gray} : std::array<uint8_t, 3>{color.red, color.green, color.blue};
  const int x = int(std::lround(baseline_left.x)), y = int(std::lround(baseline_left.y));
  for (const PlacedGlyph& placed : Font::standard().place(letters_of(text), size).glyphs)
    draw_glyph(image, *placed.glyph, x + placed.x + placed.glyph->left, y - placed.glyph->top, ink);
}

int text_width(const std::string& text, int size) { return width_of(letters_of(text), size); }

bool can_draw(const std::string& text) {
  return std::ranges::all_of(letters_of(text), [](char32_t letter) { return Font::standard().has(letter); });
}

std::string shortened_text(const std::string& text, int size, int width) {
  std::u32string letters = letters_of(text);
  if (width_of(letters, size) <= width) return text;
  const std::u32string dots = U"...";
  while (!letters.empty() && (is_blank(letters.back()) || width_of(letters + dots, size) > width)) letters.pop_back();
  return utf8_of(letters + dots);
}

std::vector<std::string> wrapped_text(const std::string& text, int size, int width) {
  std::vector<std::string> lines;
  std::u32string line;
  for (Piece& piece : pieces_of(letters_of(text))) {
    const std::u32string longer = line + (piece.behind_blank && !line.empty() ? U" " : U"") + piece.letters;
    if (width_of(longer, size) <= width) {
      line = longer;
      continue;
    }
    if (!line.empty()) lines.push_back(utf8_of(line));
    for (size_t fits; (fits = fitting_length(piece.letters, size, width)) < piece.letters.size(); piece.letters.erase(0, fits))
      lines.push_back(utf8_of(piece.letters.substr(0, fits)));
    line = piece.letters;
  }
  if (!line.empty()) lines.push_back(utf8_of(line));
  return lines;
}

}  // namespace microemo::media
