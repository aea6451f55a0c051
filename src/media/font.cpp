#include "font.h"

#include <algorithm>
#include <cstdlib>

#include "microemo/base/error.h"
#include "microemo/media/text_drawing.h"

namespace microemo::media {
namespace {

constexpr char debian_font[] = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc";
constexpr int largest_size = 1000;

Error not_usable(const std::string& file, const std::string& why) {
  return EnvironmentError("the font that text in pictures is drawn with cannot be used: {}", why)
      .where(file)
      .hint("install Debian's fonts-wqy-microhei (tools/setup does), or name a font file in MICROEMO_FONT");
}

FT_Library new_library() {
  FT_Library library = nullptr;
  if (FT_Init_FreeType(&library) != 0) throw EnvironmentError("FreeType does not start").hint("free some memory and try again");
  return library;
}

FT_Face new_face(FT_Library library, const std::string& file) {
  if (!std::filesystem::is_regular_file(file)) throw not_usable(file, "there is no such file");
  FT_Face face = nullptr;
  if (FT_New_Face(library, file.c_str(), 0, &face) != 0) throw not_usable(file, "FreeType does not know what it is");
  const bool usable = FT_IS_SCALABLE(face) && FT_Select_Charmap(face, FT_ENCODING_UNICODE) == 0;
  if (!usable) FT_Done_Face(face);
  if (!usable) throw not_usable(file, "it has no outlines by Unicode's numbers");
  return face;
}

/// A hollow box as high as a capital letter.
Glyph missing_glyph(int size) {
  Glyph box;
  box.width = std::max(3, size / 2);
  box.height = std::max(3, size * 7 / 10);
  box.top = box.height;
  const int line = 1 + size / 24, side = std::max(1, size / 12);
  box.left = side;
  box.advance = box.width + 2 * side;
  for (int y = 0; y < box.height; ++y)
    for (int x = 0; x < box.width; ++x)
      box.coverage.push_back(std::min({x, y, box.width - 1 - x, box.height - 1 - y}) < line ? 255 : 0);
  return box;
}

}  // namespace

std::filesystem::path default_font() {
  const char* const named = std::getenv("MICROEMO_FONT");
  return named && *named ? named : debian_font;
}

bool is_inkless(char32_t c) {
  return (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x2064) ||
         (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || c == 0xAD;
}

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

Font& Font::standard() {
  static Font font(default_font());
  return font;
}

Font::Font(const std::string& file)
    : library_(new_library(), FT_Done_FreeType), face_(new_face(library_.get(), file), FT_Done_Face) {}

void Font::use(int size) {
  MICROEMO_CHECK(size >= 1 && size <= largest_size, "text of {} pixels", size);
  if (size == size_) return;
  if (FT_Set_Pixel_Sizes(face_.get(), 0, FT_UInt(size)) != 0)
    throw not_usable(default_font(), fmt::format("it cannot be drawn at {} pixels", size));
  size_ = size;
}

Glyph Font::drawn(unsigned number, int size) {
  use(size);
  if (FT_Load_Glyph(face_.get(), number, FT_LOAD_RENDER) != 0) return missing_glyph(size);
  const FT_GlyphSlot slot = face_->glyph;
  const FT_Bitmap& bitmap = slot->bitmap;
  Glyph glyph{number,
              int((slot->metrics.horiAdvance + 32) >> 6),
              slot->bitmap_left,
              slot->bitmap_top,
              int(bitmap.width),
              int(bitmap.rows),
              {}};
  if (bitmap.pixel_mode != FT_PIXEL_MODE_GRAY && bitmap.rows > 0) return missing_glyph(size);
  for (unsigned y = 0; y < bitmap.rows; ++y) {
    const uint8_t* const row = bitmap.buffer + ptrdiff_t(y) * bitmap.pitch;
    glyph.coverage.insert(glyph.coverage.end(), row, row + bitmap.width);
  }
  return glyph;
}

const Glyph& Font::glyph(char32_t letter, int size) {
  const auto [place, is_new] = glyphs_.try_emplace({size, letter});
  if (!is_new) return place->second;
  const unsigned number = FT_Get_Char_Index(face_.get(), letter);
  place->second = number == 0 ? missing_glyph(size) : drawn(number, size);
  return place->second;
}

PlacedText Font::place(const std::u32string& text, int size) {
  const std::lock_guard lock(mutex_);
  use(size);
  PlacedText placed;
  unsigned last = 0;
  for (const char32_t letter : text) {
    if (is_inkless(letter)) continue;
    const Glyph& next = glyph(is_control(letter) ? char32_t(' ') : letter, size);
    FT_Vector kerning{};
    if (last != 0 && next.number != 0) FT_Get_Kerning(face_.get(), last, next.number, FT_KERNING_DEFAULT, &kerning);
    placed.width += int(kerning.x >> 6);
    placed.glyphs.push_back({&next, placed.width});
    placed.width += next.advance;
    last = next.number;
  }
  return placed;
}

bool Font::has(char32_t letter) {
  const std::lock_guard lock(mutex_);
  return is_control(letter) || is_inkless(letter) || FT_Get_Char_Index(face_.get(), letter) != 0;
}

}  // namespace microemo::media
