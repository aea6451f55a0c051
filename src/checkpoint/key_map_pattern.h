#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/checkpoint/key_map.h"

namespace microemo::checkpoint {

/// What stood at {i} and {*} of a pattern, in order.
using Captures = std::vector<std::string>;

/// Nothing when the name is not of the pattern. {i} takes a number of up to 9 digits without leading zeros, {*} anything.
std::optional<Captures> match(std::string_view pattern, std::string_view name);
std::string fill(std::string_view pattern, const Captures& captures);

/// A rule without lists: one public pattern, and the patterns of ours that it is made of ("" is a block of zeros, none at all is
/// an ignored name).
struct PlainRule {
  std::string theirs;
  std::vector<std::string> ours;
  const KeyRule* source = nullptr;
  size_t part = 0;
};

/// Every rule of a family, in its order, with lists expanded and prefixes put before. The family must outlive the result.
std::vector<PlainRule> plain_rules(const KeyFamily& family);

/// The (at most three) nearest of the names, quoted and joined by " or "; empty when there is none, or for a name of hundreds of
/// letters, for which the search would take long.
std::string nearest_of(std::string_view wanted, const std::vector<std::string>& names);

}  // namespace microemo::checkpoint
