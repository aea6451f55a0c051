#include "utterance_cards.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microemo::report {
namespace {

constexpr int heading_size = 19, label_size = 27, words_size = 21, answer_size = 19;
constexpr double heading_line = 34, label_line = 38, words_line = 30, answer_line = 28;
constexpr double card_gap = 20, inset = 22, stripe = 8;
constexpr size_t most_columns = 3;

double content_height(const Card& card) {
  return heading_line + double(card.labels.size()) * label_line + double(card.words.size()) * words_line +
         double(card.answer.size()) * answer_line + 26;
}

Card make_card(const TimelineUtterance& utterance, size_t index, double width) {
  const int text_width = int(width - 2 * inset - stripe);
  Card card;
  card.width = width;
  card.heading = fmt::format("{}   {:.2f} - {:.2f} s", index + 1, utterance.start_s, utterance.end_s);
  const std::string labels =
      utterance.labels.empty() ? "no label in the answer" : fmt::format("{}", fmt::join(utterance.labels, ", "));
  card.labels = media::wrapped_text(labels, label_size, text_width);
  if (!utterance.words.empty()) card.words = media::wrapped_text("\"" + utterance.words + "\"", words_size, text_width);
  card.answer = media::wrapped_text(utterance.answer.empty() ? "(empty answer)" : utterance.answer, answer_size, text_width);
  card.color = series_color(index);
  return card;
}

void draw_lines(Image& image, const std::vector<std::string>& lines, double x, double& y, double line_height, int size,
                Color color) {
  for (const std::string& line : lines) {
    y += line_height;
    write(image, line, x, y, size, color);
  }
}

void draw_card(Image& image, const Card& card, double page_top) {
  const double top = page_top + card.top, x = card.left + stripe + inset;
  media::fill_box(image, card.left, top, card.left + card.width, top + card.height, shade);
  media::fill_box(image, card.left, top, card.left + stripe, top + card.height, card.color);
  double y = top;
  draw_lines(image, {card.heading}, x, y, heading_line, heading_size, faint_ink);
  draw_lines(image, card.labels, x, y, label_line, label_size, ink);
  draw_lines(image, card.words, x, y, words_line, words_size, ink);
  draw_lines(image, card.answer, x, y, answer_line, answer_size, faint_ink);
}

}  // namespace

std::vector<Card> lay_out_cards(const std::vector<TimelineUtterance>& utterances, double left, double right) {
  std::vector<Card> cards;
  const size_t columns = std::clamp<size_t>(utterances.size(), 1, utterances.size() == 4 ? 2 : most_columns);
  const double width = (right - left - double(columns - 1) * card_gap) / double(columns);
  double top = 0;
  for (size_t first = 0; first < utterances.size(); first += columns) {
    const size_t last = std::min(first + columns, utterances.size());
    double height = 0;
    for (size_t i = first; i < last; ++i) {
      cards.push_back(make_card(utterances[i], i, width));
      cards.back().left = left + double(i - first) * (width + card_gap);
      cards.back().top = top;
      height = std::max(height, content_height(cards.back()));
    }
    for (size_t i = first; i < last; ++i) cards[i].height = height;
    top += height + card_gap;
  }
  return cards;
}

double cards_height(const std::vector<Card>& cards) {
  return cards.empty() ? 0 : cards.back().top + cards.back().height + card_gap;
}

void draw_cards(Image& image, const std::vector<Card>& cards, double top) {
  for (const Card& card : cards) draw_card(image, card, top);
}

}  // namespace microemo::report
