#pragma once
#include <string>
#include <vector>

#include "microemo/media/image.h"
#include "microemo/media/text_drawing.h"

// What the pictures of this room share: paper, ink, text beside a place, and round numbers for axes. Coordinates in pixels.

namespace microemo::report {

using media::Color;
using media::Image;

inline constexpr Color paper{255, 255, 255}, ink{33, 37, 41}, faint_ink{96, 104, 112}, rule{206, 212, 218}, shade{241, 243, 245};

/// Colours that people with any colour vision tell apart (Okabe and Ito 2008), again from the start when there are more than six.
Color series_color(size_t index);
/// Towards white; share 0 leaves the colour, 1 is white.
Color lighter(Color color, double share);

Image blank_page(int width, int height);

enum class Align { left, center, right };
/// One line of letters of `size` pixels, `x` the place that `align` names.
void write(Image& image, const std::string& text, double x, double baseline, int size, Color color, Align align = Align::left);

/// Round values (1, 2 or 5 times a power of ten apart) within [low, high], about `count` of them.
std::vector<double> ticks(double low, double high, int count);
/// How far they are apart; 1 when there are fewer than two.
double tick_step(const std::vector<double>& ticks);
/// A tick as people write it: no more decimals than the distance `step` needs.
std::string tick_text(double value, double step);

}  // namespace microemo::report
