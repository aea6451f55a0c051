#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "extract_tokens.h"
#include "microemo/eval/extract.h"

namespace microemo::eval {

/// The mentions of an answer that is a list, or has one; nothing when it has none. An empty list is a list.
std::optional<std::vector<LabelMention>> read_list(std::string_view answer, const std::vector<Unit>& units);

/// The mentions of an answer in sentences.
std::vector<LabelMention> read_prose(std::string_view answer, const std::vector<Unit>& units);

/// Units [first, last) of every sentence that has words; its mark of the end included.
struct UnitRange {
  size_t first = 0, last = 0;
};
std::vector<UnitRange> sentences_of(std::string_view answer, const std::vector<Unit>& units);

}  // namespace microemo::eval
