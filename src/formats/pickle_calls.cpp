#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "microemo/formats/utf8.h"
#include "pickle_machine.h"

namespace microemo::formats {
namespace {

bool is_sequence(const PickleValue& value) { return value.is(PickleKind::list) || value.is(PickleKind::tuple); }

/// Cuts an escape off the front of `line`, behind its backslash, and adds what it stands for; false when it is damaged.
bool take_escape(std::string_view& line, std::string& text) {
  if (line.empty()) return false;
  const char mark = line.front();
  line.remove_prefix(1);
  const size_t digits = mark == 'x' ? 2 : mark == 'u' ? 4 : mark == 'U' ? 8 : 0;
  if (digits == 0) {
    text += mark == 'n' ? '\n' : mark == 't' ? '\t' : mark == 'r' ? '\r' : mark;
    return true;
  }
  const std::string_view number = line.substr(0, digits);
  uint32_t value = 0;
  const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), value, 16);
  const char32_t letter = value;
  const auto encoded = encode_utf8({&letter, 1});
  if (failure != std::errc() || end != number.data() + digits || !encoded) return false;
  text += *encoded;
  line.remove_prefix(digits);
  return true;
}

/// Python's escapes; nothing when one is damaged.
std::optional<std::string> unescaped(std::string_view line) {
  std::string text;
  text.reserve(line.size());
  while (!line.empty()) {
    const size_t plain = std::min(line.find('\\'), line.size());
    text.append(line, 0, plain);
    line.remove_prefix(plain);
    if (line.empty()) break;
    line.remove_prefix(1);
    if (!take_escape(line, text)) return std::nullopt;
  }
  return text;
}

}  // namespace

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  push_view(PickleKind::text, module);
  push_view(PickleKind::text, name);
  push_node(PickleKind::global, pop_count(2));
}

/// Turns the few calls that only make containers into these: what a state dict is made of, and how protocol 2 writes sets.
bool PickleMachine::push_known_call(const std::string& name, std::span<const PickleValue> arguments) {
  const bool bare = arguments.empty();
  const bool sequence = arguments.size() == 1 && is_sequence(arguments[0]);
  if (name == "collections.OrderedDict" && sequence) return push_pairs(out_.items(arguments[0])), true;
  if (bare && (name == "collections.OrderedDict" || name == "builtins.dict" || name == "__builtin__.dict"))
    return push_node(PickleKind::dict, {}), true;
  if (name == "collections.defaultdict" && arguments.size() <= 1) return push_node(PickleKind::dict, {}), true;
  const bool is_set =
      name == "builtins.set" || name == "__builtin__.set" || name == "builtins.frozenset" || name == "__builtin__.frozenset";
  if (is_set && sequence) {
    const auto items = out_.items(arguments[0]);
    return push_node(PickleKind::set, {items.begin(), items.end()}), true;
  }
  if (name == "torch.Size" && sequence) return push(arguments[0]), true;
  return false;
}

/// OrderedDict([[key, value], …]) of Python 2.
void PickleMachine::push_pairs(std::span<const PickleValue> pairs) {
  budget_.take(2 * sizeof(PickleValue) * pairs.size());
  std::vector<PickleValue> items;
  items.reserve(2 * pairs.size());
  for (const PickleValue& pair : pairs) {
    const auto parts = out_.items(pair);
    if (!is_sequence(pair) || parts.size() != 2) mistake("an OrderedDict is made of something else than pairs");
    items.insert(items.end(), parts.begin(), parts.end());
  }
  push_node(PickleKind::dict, std::move(items));
}

void PickleMachine::push_call(const PickleValue& callee, const PickleValue& arguments) {
  if (!arguments.is(PickleKind::tuple)) mistake("the arguments of a call are no tuple");
  if (callee.is(PickleKind::global)) {
    const std::string name = out_.global_name(callee);
    budget_.take(name.size());  // bounds the work, too, where one long name is called again and again
    if (push_known_call(name, out_.items(arguments))) return;
  }
  push_node(PickleKind::call, {callee, arguments});
}

void PickleMachine::set_state(const PickleValue& state) {
  const PickleValue target = top();
  if (!target.is(PickleKind::call)) return;
  budget_.take(pickle_value_cost);
  auto& node = out_.nodes_[target.node_];
  node.resize(2);
  node.push_back(state);
}

void PickleMachine::push_persistent() {
  push_node(PickleKind::persistent, pop_count(1));
  budget_.take(pickle_value_cost);
  out_.persistent_values_.push_back(top());
}

bool PickleMachine::run_call(uint8_t opcode) {
  switch (opcode) {
    case 'c': {  // GLOBAL
      const std::string_view module = take_line();
      return push_global(module, take_line()), true;
    }
    case 0x93: {  // STACK_GLOBAL
      const auto names = pop_count(2);
      if (!names[0].is(PickleKind::text) || !names[1].is(PickleKind::text)) mistake("the name of a global is no text");
      return push_global(names[0].text(), names[1].text()), true;
    }
    case 'R':     // REDUCE
    case 0x81: {  // NEWOBJ
      const auto parts = pop_count(2);
      return push_call(parts[0], parts[1]), true;
    }
    case 0x92: {  // NEWOBJ_EX: class, arguments, keyword arguments
      const auto parts = pop_count(3);
      return push_call(parts[0], parts[1]), true;
    }
    case 'o': {  // OBJ
      std::vector<PickleValue> parts = pop_to_mark();
      if (parts.empty()) mistake("a value is missing on the stack");
      const PickleValue callee = parts.front();
      parts.erase(parts.begin());
      push_node(PickleKind::tuple, std::move(parts));
      return push_call(callee, pop()), true;
    }
    case 'i': {  // INST
      push_node(PickleKind::tuple, pop_to_mark());
      const std::string_view module = take_line();
      push_global(module, take_line());
      const auto parts = pop_count(2);
      return push_call(parts[1], parts[0]), true;
    }
    case 'b':  // BUILD
      return set_state(pop()), true;
    case 'P':  // PERSID
      push_view(PickleKind::text, take_line());
      return push_persistent(), true;
    case 'Q':  // BINPERSID
      return push_persistent(), true;
    default:
      return false;
  }
}

/// The texts of protocols 0 and 1.
bool PickleMachine::run_old_text(uint8_t opcode) {
  if (opcode != 'S' && opcode != 'V') return false;
  std::string_view line = take_line();
  if (opcode == 'S') {
    const bool quoted = line.size() >= 2 && line.front() == line.back() && (line.front() == '\'' || line.front() == '"');
    if (!quoted) mistake("a text has no quotes");
    line = line.substr(1, line.size() - 2);
  }
  budget_.take(line.size());
  const auto text = unescaped(line);
  if (!text) mistake("an escape is damaged");
  return push_unescaped(*text), true;
}

}  // namespace microemo::formats
