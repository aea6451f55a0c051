// How a configuration is written for people: annotated YAML, the reference page, --help, and differences.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "config_values.h"
#include "microemo/base/config.h"

namespace microemo {
namespace {

std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts;
  size_t start = 0;
  for (size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', start)) {
    parts.push_back(key.substr(start, dot - start));
    start = dot + 1;
  }
  parts.push_back(key.substr(start));
  return parts;
}

std::string section_of(const std::string& key) { return key.substr(0, std::min(key.rfind('.'), key.size())); }

std::string conditions_text(const Option& option) {
  std::string text;
  for (const OptionCondition& condition : option.conditions) text += fmt::format(" Only if {}.", condition.when);
  return text;
}

std::string table_cell(std::string text) {
  for (size_t bar = text.find('|'); bar != std::string::npos; bar = text.find('|', bar + 2)) text.insert(bar, "\\");
  return text;
}

std::string table_row(const Option& option) {
  return fmt::format("| `{}` | {} | `{}` | {} | {} |\n", option.key, table_cell(wanted_text(option.access)),
                     table_cell(json_of(option.access).dump()), limits_text(option),
                     table_cell(option.doc + conditions_text(option)));
}

/// Options by section, in the order of description; "" holds the keys of the top.
std::vector<std::pair<Section, std::vector<const Option*>>> by_section(const Schema& schema) {
  std::vector<std::pair<Section, std::vector<const Option*>>> groups{{Section{}, {}}};
  std::map<std::string, size_t> index{{"", 0}};
  for (const Section& section : schema.sections) {
    index[section.key] = groups.size();
    groups.push_back({section, {}});
  }
  for (const Option& option : schema.options) {
    const bool at_top = option.key.find('.') == std::string::npos;
    groups[index.at(at_top ? "" : section_of(option.key))].second.push_back(&option);
  }
  return groups;
}

std::string wrapped(const std::string& text, size_t indent, size_t width) {
  std::string result, line;
  const auto flush = [&] {
    result += std::string(indent, ' ') + line + "\n";
    line.clear();
  };
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(' ', start), text.size());
    const std::string word = text.substr(start, end - start);
    if (!line.empty() && indent + line.size() + 1 + word.size() > width) flush();
    line += line.empty() ? word : " " + word;
    start = end + 1;
  }
  if (!line.empty()) flush();
  return result;
}

void flatten(const Json& value, const std::string& key, std::vector<std::pair<std::string, Json>>& flat) {
  if (!value.is_object()) {
    flat.emplace_back(key, value);
    return;
  }
  for (const auto& [name, member] : value.items()) flatten(member, key.empty() ? name : key + "." + name, flat);
}

}  // namespace

std::string ResolvedConfig::yaml() const {
  std::string text;
  std::vector<std::string> open;
  for (const ConfigEntry& entry : entries) {
    const std::vector<std::string> parts = parts_of(entry.key);
    size_t shared = 0;
    while (shared < open.size() && shared + 1 < parts.size() && open[shared] == parts[shared]) ++shared;
    for (size_t level = shared; level + 1 < parts.size(); ++level)
      text += fmt::format("{}{}:\n", std::string(2 * level, ' '), parts[level]);
    open.assign(parts.begin(), parts.end() - 1);
    const std::string indent(2 * open.size(), ' ');
    // A JSON text is a YAML text; numbers keep all their digits.
    const std::string line = fmt::format("{}: {}", parts.back(), entry.value.dump());
    text += entry.no_effect.empty() ? fmt::format("{}{}  # {}\n", indent, line, entry.origin)
                                    : fmt::format("{}# {}  # no effect unless {}\n", indent, line, entry.no_effect);
  }
  return text;
}

std::string reference_page(const Schema& schema) {
  std::string page;
  for (const auto& [section, options] : by_section(schema)) {
    if (!section.key.empty()) page += fmt::format("## `{}`\n\n{}\n\n", section.key, section.doc);
    if (options.empty()) continue;
    page += "| key | type | default | limits | meaning |\n| --- | --- | --- | --- | --- |\n";
    for (const Option* option : options) page += table_row(*option);
    page += "\n";
  }
  return page;
}

std::string help_text(const Schema& schema) {
  std::string text;
  for (const Option& option : schema.options) {
    const std::string limits = limits_text(option);
    text += fmt::format("  {}={}\n", option.key, json_of(option.access).dump());
    text += wrapped(fmt::format("{}{} ({}{}{})", option.doc, conditions_text(option), wanted_text(option.access),
                                limits.empty() ? "" : ", ", limits),
                    6, 100);
  }
  return text;
}

std::vector<ConfigDifference> diff_configs(const Json& left, const Json& right) {
  std::vector<std::pair<std::string, Json>> left_flat, right_flat;
  flatten(left, "", left_flat);
  flatten(right, "", right_flat);
  std::map<std::string, Json> right_values(right_flat.begin(), right_flat.end());
  std::set<std::string> left_keys;
  std::vector<ConfigDifference> differences;
  for (const auto& [key, value] : left_flat) {
    left_keys.insert(key);
    const auto other = right_values.find(key);
    if (other == right_values.end())
      differences.push_back({key, value, nullptr});
    else if (other->second != value)
      differences.push_back({key, value, other->second});
  }
  for (const auto& [key, value] : right_flat)
    if (!left_keys.contains(key)) differences.push_back({key, nullptr, value});
  return differences;
}

}  // namespace microemo
