#pragma once
#include <string_view>
#include <vector>

#include "microemo/eval/explanation.h"

namespace microemo::eval {

/// A clue and the words that stand for it: whole words in lower case, or Chinese, which is looked for anywhere.
struct ClueWords {
  Channel channel;
  std::string_view clue;
  std::vector<std::string_view> words;
};
const std::vector<ClueWords>& clue_words();

}  // namespace microemo::eval
