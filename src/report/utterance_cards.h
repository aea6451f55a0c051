#pragma once
#include <string>
#include <vector>

#include "canvas.h"
#include "microemo/report/timeline.h"

namespace microemo::report {

/// What is written about one utterance, broken into lines, and its place below the top of all cards. Pixels.
struct Card {
  std::string heading;
  std::vector<std::string> labels, words, answer;
  double left = 0, top = 0, width = 0, height = 0;
  Color color;
};

/// Cards side by side, as many as stay wide enough to read; all of one row are as high as its highest.
std::vector<Card> lay_out_cards(const std::vector<TimelineUtterance>& utterances, double left, double right);
double cards_height(const std::vector<Card>& cards);
void draw_cards(Image& image, const std::vector<Card>& cards, double top);

}  // namespace microemo::report
