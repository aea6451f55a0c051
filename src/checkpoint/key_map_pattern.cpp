#include "key_map_pattern.h"

#include <algorithm>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"

namespace microemo::checkpoint {
namespace {

constexpr std::string_view number = "{i}", anything = "{*}";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t digits_at(std::string_view text) {
  constexpr size_t most = 9;
  size_t count = 0;
  while (count < text.size() && is_digit(text[count])) ++count;
  return count > most || (count > 1 && text[0] == '0') ? 0 : count;
}

bool match_from(std::string_view pattern, std::string_view name, Captures& captures) {
  while (!pattern.empty()) {
    if (pattern.starts_with(number)) {
      const size_t digits = digits_at(name);
      if (digits == 0) return false;
      captures.emplace_back(name.substr(0, digits));
      name.remove_prefix(digits);
      pattern.remove_prefix(number.size());
    } else if (pattern.starts_with(anything)) {
      const std::string_view end = pattern.substr(anything.size());
      if (!name.ends_with(end)) return false;
      captures.emplace_back(name.substr(0, name.size() - end.size()));
      return true;
    } else {
      if (name.empty() || name.front() != pattern.front()) return false;
      name.remove_prefix(1);
      pattern.remove_prefix(1);
    }
  }
  return name.empty();
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> elements{""};
  for (const char c : list)
    if (c == ',')
      elements.emplace_back();
    else
      elements.back() += c;
  return elements;
}

/// The first bracketed list of a pattern: what stands before it, its elements, what follows.
struct List {
  std::string before, after;
  std::vector<std::string> elements;
};

std::optional<List> find_list(const std::string& pattern, char open, char close) {
  for (size_t start = pattern.find(open); start != std::string::npos; start = pattern.find(open, start + 1)) {
    const size_t end = pattern.find(close, start);
    MICROEMO_CHECK(end != std::string::npos, "the pattern '{}' has no closing bracket", pattern);
    const std::string inside = pattern.substr(start + 1, end - start - 1);
    if (inside.find(',') != std::string::npos) return List{pattern.substr(0, start), pattern.substr(end + 1), split(inside)};
  }
  return std::nullopt;
}

/// The lists of the two sides are walked together; an ignored name has no other side.
void expand(const std::string& theirs, const std::string& ours, std::vector<std::pair<std::string, std::string>>& pairs) {
  const auto left = find_list(theirs, '{', '}'), right = find_list(ours, '{', '}');
  if (!left && !right) return pairs.push_back({theirs, ours}), void();
  MICROEMO_CHECK(left && (ours.empty() || (right && right->elements.size() == left->elements.size())),
                 "the lists of '{}' and '{}' do not go together", theirs, ours);
  for (size_t i = 0; i < left->elements.size(); ++i)
    expand(left->before + left->elements[i] + left->after,
           ours.empty() ? ours : right->before + right->elements[i] + right->after, pairs);
}

std::vector<std::string> stacked(const std::string& ours) {
  if (ours.empty()) return {};
  const auto list = find_list(ours, '[', ']');
  if (!list) return {ours};
  std::vector<std::string> blocks;
  for (const std::string& element : list->elements) blocks.push_back(element == "0" ? "" : list->before + element + list->after);
  return blocks;
}

}  // namespace

std::optional<Captures> match(std::string_view pattern, std::string_view name) {
  Captures captures;
  if (!match_from(pattern, name, captures)) return std::nullopt;
  return captures;
}

std::string fill(std::string_view pattern, const Captures& captures) {
  std::string name;
  size_t next = 0;
  while (!pattern.empty()) {
    if (next < captures.size() && (pattern.starts_with(number) || pattern.starts_with(anything))) {
      name += captures[next++];
      pattern.remove_prefix(number.size());
    } else {
      name += pattern.front();
      pattern.remove_prefix(1);
    }
  }
  return name;
}

std::vector<PlainRule> plain_rules(const KeyFamily& family) {
  std::vector<PlainRule> rules;
  for (size_t part = 0; part < family.parts.size(); ++part)
    for (const KeyRule& rule : family.parts[part].rules) {
      const bool ignored = rule.op == KeyOp::ignore;
      std::vector<std::pair<std::string, std::string>> pairs;
      expand(family.parts[part].theirs + std::string(rule.theirs),
             ignored ? "" : family.parts[part].ours + std::string(rule.ours), pairs);
      for (auto& [theirs, ours] : pairs) rules.push_back({std::move(theirs), stacked(ours), &rule, part});
    }
  return rules;
}

std::string nearest_of(std::string_view wanted, const std::vector<std::string>& names) {
  constexpr size_t most = 3, longest = 300;
  if (wanted.size() > longest) return {};
  std::vector<std::pair<int, std::string>> ranked;
  for (const std::string& name : names)
    if (name.size() <= longest) ranked.emplace_back(edit_distance(wanted, name), name);
  std::sort(ranked.begin(), ranked.end());
  ranked.erase(std::unique(ranked.begin(), ranked.end()), ranked.end());
  std::string text;
  for (size_t i = 0; i < std::min(most, ranked.size()); ++i) text += fmt::format("{}'{}'", i > 0 ? " or " : "", ranked[i].second);
  return text;
}

}  // namespace microemo::checkpoint
