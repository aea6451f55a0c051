#include "microemo/infer/answer_text.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/formats/utf8.h"

namespace microemo::infer {
namespace {

size_t without_blanks(const std::string& text, size_t end) {
  while (end > 0 && text[end - 1] == ' ') --end;
  return end;
}

/// Whether the text from `place` on is the beginning of `whole`.
bool may_become(const std::string& text, size_t place, const std::string& whole) {
  return text.size() - place < whole.size() && whole.compare(0, text.size() - place, text, place) == 0;
}

}  // namespace

void check_stop(const std::vector<std::string>& stop) {
  if (std::find(stop.begin(), stop.end(), "") != stop.end())
    throw ConfigError("a text that ends answers is empty").at("stop").hint("leave it out: an empty text would end every answer");
  if (!std::all_of(stop.begin(), stop.end(), [](const std::string& text) { return formats::is_utf8(text); }))
    throw ConfigError("a text that ends answers is not UTF-8").at("stop").hint("answers are UTF-8, and would never hold it");
}

AnswerText::AnswerText(const text::Tokenizer& tokenizer, EndTexts ends) : ends_(std::move(ends)), stream_(tokenizer) {
  longest_ = ends_.closing.size();
  for (const std::string& stop : ends_.stop) longest_ = std::max(longest_, stop.size());
}

void AnswerText::take(const std::string& added) {
  const size_t from = text_.size() < longest_ ? 0 : text_.size() - longest_ + 1;
  text_ += added;
  size_t first = std::string::npos;
  for (const std::string& stop : ends_.stop) first = std::min(first, text_.find(stop, from));
  if (!ends_.closing.empty()) first = std::min(first, text_.find(ends_.closing, from));
  if (first == std::string::npos) return;
  ended_ = true;
  text_.resize(first);
}

std::string AnswerText::shown_to(size_t end) {
  const std::string shown = text_.substr(shown_, end - shown_);
  shown_ = end;
  return shown;
}

size_t AnswerText::certain() const {
  size_t end = text_.size();
  const size_t from = text_.size() < longest_ ? 0 : text_.size() - longest_ + 1;
  for (size_t place = text_.size(); place-- > from;) {
    const auto begins = [&](const std::string& whole) { return may_become(text_, place, whole); };
    if (begins(ends_.closing) || std::any_of(ends_.stop.begin(), ends_.stop.end(), begins)) end = place;
  }
  return std::max(shown_, ends_.closing.empty() ? end : without_blanks(text_, end));
}

std::string AnswerText::add(int64_t id) {
  if (ended_) return {};
  take(stream_.add(id));
  return ended_ ? finish() : shown_to(certain());
}

std::string AnswerText::finish() {
  if (!ended_) take(stream_.finish());
  if (!ends_.closing.empty()) text_.resize(without_blanks(text_, text_.size()));
  return shown_to(text_.size());
}

}  // namespace microemo::infer
