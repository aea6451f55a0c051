#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <ft2build.h>
#include FT_FREETYPE_H

namespace microemo::media {

/// A letter at one size: its coverage (0 none, 255 whole), and where it stands from the pen on the baseline, in pixels.
struct Glyph {
  unsigned number = 0;  ///< in the font, 0 for one that it does not have
  int advance = 0, left = 0, top = 0, width = 0, height = 0;
  std::vector<uint8_t> coverage;  ///< height * width
};

struct PlacedGlyph {
  const Glyph* glyph;
  int x;  ///< of the pen, from the start of the text
};

struct PlacedText {
  std::vector<PlacedGlyph> glyphs;
  int width = 0;
};

/// One font file of the process; glyphs are drawn once for each size and kept. Thread-safe.
class Font {
 public:
  /// The default font, opened at the first call. Throws Error(environment) when it is not there.
  static Font& standard();

  PlacedText place(const std::u32string& text, int size);
  bool has(char32_t letter);

 private:
  explicit Font(const std::string& file);
  void use(int size);
  const Glyph& glyph(char32_t letter, int size);
  Glyph drawn(unsigned number, int size);

  std::mutex mutex_;
  std::unique_ptr<FT_LibraryRec_, FT_Error (*)(FT_Library)> library_;
  std::unique_ptr<FT_FaceRec_, FT_Error (*)(FT_Face)> face_;
  int size_ = 0;
  std::map<std::pair<int, char32_t>, Glyph> glyphs_;
};

/// Characters that Unicode draws with nothing by definition: joiners, marks of direction, variation selectors.
bool is_inkless(char32_t letter);
bool is_control(char32_t letter);

}  // namespace microemo::media
