#pragma once
#include <string>
#include <vector>

#include "microemo/text/tokenizer.h"

namespace microemo::infer {

/// Texts that end an answer wherever they begin and end in its tokens; they are no part of it.
struct EndTexts {
  std::vector<std::string> stop = {};  ///< none is empty
  std::string closing = {};            ///< that of the prompt's template; blanks before it are no part of the answer either
};
/// Throws Error(config) for a stop text that is empty or not UTF-8.
void check_stop(const std::vector<std::string>& stop);

/// The text of an answer as its tokens come. What add and finish return, put together, is text(), and never a part of a
/// character nor what may turn out to belong to an end text. The tokenizer must outlive it. Not thread-safe.
class AnswerText {
 public:
  AnswerText(const text::Tokenizer& tokenizer, EndTexts ends);
  /// What is certain with this token.
  std::string add(int64_t id);
  /// What was held back, when no more tokens come.
  std::string finish();
  bool ended() const { return ended_; }  ///< an end text is there
  /// All of it once it ended or is finished.
  const std::string& text() const { return text_; }

 private:
  void take(const std::string& added);
  std::string shown_to(size_t end);
  size_t certain() const;

  EndTexts ends_;
  text::TextStream stream_;
  std::string text_;
  size_t shown_ = 0, longest_ = 0;
  bool ended_ = false;
};

}  // namespace microemo::infer
