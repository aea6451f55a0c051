#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/media/image.h"

// Text in pictures: UTF-8, Latin and Chinese letters of one font, through FreeType. Sizes are those of the font's em square in
// pixels (a capital letter is 0.71 of it high), from 1 to 1000. A letter that the font does not have, and a byte that is no
// UTF-8, are drawn as a box; control characters as a blank; characters that have no ink by definition (joiners, variation
// selectors) as nothing. Letters stand one after the other from left to right: scripts that join or turn them are not laid out.
// Thread-safe. Every function throws Error(environment) naming the Debian package when the font is not there.

namespace microemo::media {

/// The font's file: the one that the environment variable MICROEMO_FONT names, else that of Debian's fonts-wqy-microhei.
std::filesystem::path default_font();
/// Throws now what drawing would throw later. For checks before long work.
void check_font();

/// One line with its baseline at `baseline_left`, rounded to whole pixels, smoothed, clipped at the border. Advances and kerning
/// are the font's own, fitted to whole pixels.
void draw_text(Image& image, const std::string& text, Point baseline_left, int size, Color color);
/// Pixels by which draw_text moves on.
int text_width(const std::string& text, int size);
/// True when no letter of it becomes a box.
bool can_draw(const std::string& text);
/// The text, or its longest start that fits into `width` pixels together with the "..." behind it; "..." when none does.
std::string shortened_text(const std::string& text, int size, int width);
/// Lines of at most `width` pixels, broken at blanks and between Chinese, Japanese and Korean letters, but not before a closing
/// or behind an opening mark; a word that is too long is broken anywhere. Nothing but blanks is lost.
std::vector<std::string> wrapped_text(const std::string& text, int size, int width);

}  // namespace microemo::media
