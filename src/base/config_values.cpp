#include "config_values.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "microemo/base/error.h"

namespace microemo {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

template <class Number>
bool parse_number(std::string_view text, Number& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text.starts_with('+')) return false;
  Number number = 0;  // "1e3" is a 1 with something behind it: the value must not change
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return false;
  value = number;
  return true;
}

bool is_utf8(const std::string& text) {
  try {
    return !Json(text).dump().empty();
  } catch (const Json::type_error&) {
    return false;
  }
}

bool read_scalar(const ConfigNode& node, bool& value) {
  if (node.kind != ConfigNode::Kind::scalar || node.quoted || (node.text != "true" && node.text != "false")) return false;
  value = node.text == "true";
  return true;
}

bool read_scalar(const ConfigNode& node, int64_t& value) {
  return node.kind == ConfigNode::Kind::scalar && !node.quoted && parse_number(node.text, value);
}

bool read_scalar(const ConfigNode& node, double& value) {
  double number = 0;
  if (node.kind != ConfigNode::Kind::scalar || node.quoted || !parse_number(node.text, number) || !std::isfinite(number))
    return false;
  value = number;
  return true;
}

bool read_scalar(const ConfigNode& node, std::string& value) {
  if (node.kind != ConfigNode::Kind::scalar || !is_utf8(node.text)) return false;
  value = node.text;
  return true;
}

template <class T>
bool read_list(const ConfigNode& node, std::vector<T>& value) {
  if (node.kind != ConfigNode::Kind::list) return false;
  std::vector<T> list;
  for (const ConfigNode& element : node.elements) {
    T item{};
    if (!read_scalar(element, item)) return false;
    list.push_back(std::move(item));
  }
  value = std::move(list);
  return true;
}

std::vector<double> numbers_of(const OptionAccess& access) {
  return std::visit(Overloaded{
                        [](int64_t* value) { return std::vector{static_cast<double>(*value)}; },
                        [](double* value) { return std::vector{*value}; },
                        [](std::vector<int64_t>* value) { return std::vector<double>(value->begin(), value->end()); },
                        [](std::vector<double>* value) { return *value; },
                        [](const auto&) { return std::vector<double>(); },
                    },
                    access);
}

}  // namespace

std::string wanted_text(const OptionAccess& access) {
  return std::visit(Overloaded{
                        [](bool*) -> std::string { return "true or false"; },
                        [](int64_t*) -> std::string { return "a whole number"; },
                        [](double*) -> std::string { return "a number"; },
                        [](std::string*) -> std::string { return "text"; },
                        [](std::vector<int64_t>*) -> std::string { return "a list of whole numbers"; },
                        [](std::vector<double>*) -> std::string { return "a list of numbers"; },
                        [](std::vector<std::string>*) -> std::string { return "a list of texts"; },
                        [](const EnumAccess& choice) { return fmt::format("one of {}", fmt::join(choice.names, ", ")); },
                    },
                    access);
}

std::string limits_text(const Option& option) {
  std::vector<std::string> limits;
  if (option.min) limits.push_back(fmt::format("at least {}", *option.min));
  if (option.above) limits.push_back(fmt::format("above {}", *option.above));
  if (option.max) limits.push_back(fmt::format("at most {}", *option.max));
  if (option.below) limits.push_back(fmt::format("below {}", *option.below));
  return fmt::format("{}", fmt::join(limits, ", "));
}

bool assign(const OptionAccess& access, const ConfigNode& node) {
  return std::visit(Overloaded{
                        [&](auto* value) { return read_scalar(node, *value); },
                        [&]<class T>(std::vector<T>* value) { return read_list(node, *value); },
                        [&](const EnumAccess& choice) {
                          const auto name = std::find(choice.names.begin(), choice.names.end(), node.text);
                          if (node.kind != ConfigNode::Kind::scalar || name == choice.names.end()) return false;
                          choice.set(static_cast<size_t>(name - choice.names.begin()));
                          return true;
                        },
                    },
                    access);
}

std::string seen_text(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::nothing:
      return "nothing";
    case ConfigNode::Kind::mapping:
      return "a section";
    case ConfigNode::Kind::scalar:
      break;
    case ConfigNode::Kind::list: {
      std::vector<std::string> texts;
      for (const ConfigNode& element : node.elements) texts.push_back(element.quoted ? "\"" + element.text + "\"" : element.text);
      return fmt::format("the list [{}]", fmt::join(texts, ", "));
    }
  }
  if (!is_utf8(node.text)) return "text that is not UTF-8";
  return node.quoted ? fmt::format("the text \"{}\"", node.text) : fmt::format("'{}'", node.text);
}

Json json_of(const OptionAccess& access) {
  return std::visit(Overloaded{
                        [](const auto* value) { return Json(*value); },
                        [](const EnumAccess& choice) { return Json(choice.names.at(choice.get())); },
                    },
                    access);
}

std::optional<double> number_outside_limits(const Option& option) {
  for (const double number : numbers_of(option.access)) {
    const bool inside = (!option.min || number >= *option.min) && (!option.max || number <= *option.max) &&
                        (!option.above || number > *option.above) && (!option.below || number < *option.below);
    if (!inside) return number;
  }
  return std::nullopt;
}

void set_nested(Json& values, std::string_view key, const Json& value) {
  Json* object = &values;
  for (size_t dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
    object = &(*object)[std::string(key.substr(0, dot))];
    key.remove_prefix(dot + 1);
  }
  (*object)[std::string(key)] = value;
}

}  // namespace microemo
