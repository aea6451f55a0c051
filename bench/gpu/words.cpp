#include "words.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"

namespace microemo {
namespace {

const std::vector<std::string> numbers = {"layers", "width", "hidden", "heads", "vocabulary", "rows", "tokens", "steps"},
                               alone = {"recompute", "without-kernels"}, kinds = {"bf16", "int8", "nf4"};

bool is_among(const std::vector<std::string>& all, const std::string& one) { return std::ranges::find(all, one) != all.end(); }

std::vector<std::string> taken_by(const std::string& task) {
  std::vector<std::string> words = {"device"};
  if (task == "encoders") words.emplace_back("part");
  if (task != "decoder") return words;
  words.emplace_back("frozen");
  words.insert(words.end(), numbers.begin(), numbers.end());
  words.insert(words.end(), alone.begin(), alone.end());
  return words;
}

template <class Number>
bool is_number(const std::string& text, Number above, Number most) {
  Number value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() && value > above && value <= most;
}

void check_value(const std::string& name, const std::string& value) {
  const auto refuse = [&](const std::string& wanted) {
    throw ConfigError("'{}' is no value", value).at("--" + name).hint("give " + wanted);
  };
  if (is_among(numbers, name) && !is_number<int64_t>(value, 0, int64_t{1} << 32)) refuse("a whole number of at least 1");
  if (name == "part" && !is_number<double>(value, 0, 1)) refuse("a number above 0, at most 1");
  if (name == "frozen" && !is_among(kinds, value)) refuse(fmt::format("{}", fmt::join(kinds, ", ")));
  if (name == "device" && value.empty()) refuse("cuda or cpu");
}

}  // namespace

Words read_words(const std::vector<std::string>& arguments) {
  static const std::vector<std::string> tasks = {"kernels", "curve", "answers", "model", "encoders", "decoder"};
  const std::string task = arguments.empty() ? "" : arguments[0];
  if (!is_among(tasks, task))
    throw ConfigError("there is no task '{}'", task).hint(fmt::format("give one of {}", fmt::join(tasks, ", ")));
  const std::vector<std::string> taken = taken_by(task);
  Words words;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string name = arguments[i].starts_with("--") ? arguments[i].substr(2) : "";
    if (!is_among(taken, name) || words.contains(name))
      throw ConfigError("'{}' takes no '{}'{}", task, arguments[i], words.contains(name) ? " a second time" : "")
          .hint(fmt::format("it takes --{}", fmt::join(taken, ", --")));
    const bool has_value = !is_among(alone, name) && i + 1 < arguments.size();
    words[name] = has_value ? arguments[++i] : "";
    check_value(name, words[name]);
  }
  return words;
}

}  // namespace microemo
