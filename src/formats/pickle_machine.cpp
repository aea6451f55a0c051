#include "pickle_machine.h"

#include <bit>
#include <charconv>
#include <utility>

namespace microemo::formats {
namespace {

constexpr uint64_t tree_cost = 96;
constexpr uint8_t stop = '.';

}  // namespace

void PickleMachine::run() {
  while (true) {
    const auto opcode = static_cast<uint8_t>(take(1)[0]);
    if (opcode == stop) break;
    if (!run_number(opcode) && !run_text(opcode) && !run_old_text(opcode) && !run_container(opcode) && !run_filling(opcode) &&
        !run_call(opcode) && !run_stack(opcode) && !run_memo(opcode)) {
      --at_;
      mistake(fmt::format("opcode 0x{:02x} is unknown or not supported", opcode));
    }
  }
  out_.root_ = pop();
  out_.size_ = at_;
}

void PickleMachine::mistake(const std::string& what) const {
  throw CheckpointError("the pickle is damaged: {} at its byte {}", what, at_)
      .where(path_)
      .hint("fetch or write the file again, it is truncated or no file of torch.save");
}

std::string_view PickleMachine::take(uint64_t count) {
  if (count > bytes_.size() - at_) mistake("it ends");
  const std::string_view taken = bytes_.substr(at_, count);
  at_ += count;
  return taken;
}

std::string_view PickleMachine::take_line() {
  const size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) mistake("a line has no end");
  const std::string_view line = bytes_.substr(at_, end - at_);
  at_ = end + 1;
  return line;
}

uint64_t PickleMachine::take_number(size_t bytes) {
  const std::string_view place = take(bytes);
  uint64_t value = 0;
  for (auto byte = place.rbegin(); byte != place.rend(); ++byte) value = value << 8 | static_cast<unsigned char>(*byte);
  return value;
}

uint64_t PickleMachine::take_decimal() {
  const std::string_view line = take_line();
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (failure != std::errc() || end != line.data() + line.size()) mistake("a whole number is expected");
  return value;
}

void PickleMachine::push(const PickleValue& value) {
  if (stack_.size() == highest_) {
    budget_.take(pickle_value_cost);
    ++highest_;
  }
  stack_.push_back(value);
}

void PickleMachine::push_integer(int64_t value) {
  PickleValue result;
  result.kind_ = PickleKind::integer;
  result.integer_ = value;
  push(result);
}

void PickleMachine::push_boolean(bool value) {
  PickleValue result;
  result.kind_ = PickleKind::boolean;
  result.integer_ = value;
  push(result);
}

void PickleMachine::push_real(double value) {
  PickleValue result;
  result.kind_ = PickleKind::real;
  result.real_ = value;
  push(result);
}

void PickleMachine::push_view(PickleKind kind, std::string_view bytes) {
  PickleValue result;
  result.kind_ = kind;
  result.text_ = bytes.data();
  result.size_ = bytes.size();
  push(result);
}

void PickleMachine::push_unescaped(std::string text) {
  budget_.take(pickle_node_cost + 2 * text.size());
  push_view(PickleKind::text, out_.texts_.emplace_back(std::move(text)));
}

void PickleMachine::push_node(PickleKind kind, std::vector<PickleValue> items) {
  if (out_.nodes_.size() >= UINT32_MAX) mistake("over 2^32 containers");
  budget_.take(pickle_node_cost + sizeof(PickleValue) * items.size());
  PickleValue result;
  result.kind_ = kind;
  result.node_ = static_cast<uint32_t>(out_.nodes_.size());
  out_.nodes_.push_back(std::move(items));
  push(result);
}

/// Little-endian two's complement of any length.
void PickleMachine::push_long(uint64_t length) {
  const std::string_view bytes = take(length);
  if (length > 8) return push_view(PickleKind::wide_integer, bytes);
  uint64_t value = 0;
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) value = value << 8 | static_cast<unsigned char>(*byte);
  const auto unused = static_cast<unsigned>(64 - 8 * length);
  push_integer(length == 0 ? 0 : static_cast<int64_t>(value << unused) >> unused);
}

void PickleMachine::push_decimal(std::string_view line) {
  if (line.ends_with('L')) line.remove_suffix(1);
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (failure != std::errc() || end != line.data() + line.size()) mistake("a whole number of 64 bits is expected");
  push_integer(value);
}

PickleValue PickleMachine::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) mistake("a value is missing on the stack");
  const PickleValue value = stack_.back();
  stack_.pop_back();
  return value;
}

PickleValue& PickleMachine::top() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) mistake("a value is missing on the stack");
  return stack_.back();
}

std::vector<PickleValue> PickleMachine::pop_to_mark() {
  if (marks_.empty()) mistake("a mark is missing on the stack");
  const size_t count = stack_.size() - marks_.back();
  marks_.pop_back();
  return pop_count(count);
}

std::vector<PickleValue> PickleMachine::pop_count(size_t count) {
  if (stack_.size() - (marks_.empty() ? 0 : marks_.back()) < count) mistake("a value is missing on the stack");
  std::vector<PickleValue> values(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return values;
}

void PickleMachine::put(uint64_t place) {
  const PickleValue value = top();
  if (place < memo_.size()) {
    memo_[place] = value;
  } else if (place == memo_.size()) {
    budget_.take(pickle_value_cost);
    memo_.push_back(value);
    far_memo_.erase(place);
  } else {
    budget_.take(tree_cost);
    far_memo_[place] = value;
  }
}

void PickleMachine::get(uint64_t place) {
  if (place < memo_.size()) return push(memo_[place]);
  const auto found = far_memo_.find(place);
  if (found == far_memo_.end()) mistake(fmt::format("nothing was remembered as {}", place));
  push(found->second);
}

bool PickleMachine::run_stack(uint8_t opcode) {
  switch (opcode) {
    case 0x80:  // PROTO
      if (const uint64_t version = take_number(1); version > 5) mistake(fmt::format("protocol {} is unknown", version));
      return true;
    case 0x95:  // FRAME: its length is a hint for buffered reading
      take(8);
      return true;
    case '(':  // MARK
      budget_.take(pickle_value_cost);
      marks_.push_back(stack_.size());
      return true;
    case '0':  // POP: of a mark when nothing stands above it
      if (!marks_.empty() && marks_.back() == stack_.size())
        marks_.pop_back();
      else
        pop();
      return true;
    case '1':  // POP_MARK
      pop_to_mark();
      return true;
    case '2':  // DUP
      push(PickleValue(top()));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::run_memo(uint8_t opcode) {
  switch (opcode) {
    case 'p':  // PUT
      return put(take_decimal()), true;
    case 'q':  // BINPUT
      return put(take_number(1)), true;
    case 'r':  // LONG_BINPUT
      return put(take_number(4)), true;
    case 0x94:  // MEMOIZE: the place is the number of those taken
      return put(memo_.size() + far_memo_.size()), true;
    case 'g':  // GET
      return get(take_decimal()), true;
    case 'h':  // BINGET
      return get(take_number(1)), true;
    case 'j':  // LONG_BINGET
      return get(take_number(4)), true;
    default:
      return false;
  }
}

bool PickleMachine::run_number(uint8_t opcode) {
  switch (opcode) {
    case 'N':  // NONE
      return push(PickleValue()), true;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      return push_boolean(opcode == 0x88), true;
    case 'J':  // BININT
      return push_integer(static_cast<int32_t>(take_number(4))), true;
    case 'K':  // BININT1
      return push_integer(static_cast<int64_t>(take_number(1))), true;
    case 'M':  // BININT2
      return push_integer(static_cast<int64_t>(take_number(2))), true;
    case 0x8a:  // LONG1
      return push_long(take_number(1)), true;
    case 0x8b:  // LONG4
      return push_long(take_number(4)), true;
    case 'G': {  // BINFLOAT, big-endian
      return push_real(std::bit_cast<double>(__builtin_bswap64(take_number(8)))), true;
    }
    case 'I': {  // INT, also the booleans of protocol 1
      const std::string_view line = take_line();
      if (line == "00" || line == "01") return push_boolean(line == "01"), true;
      return push_decimal(line), true;
    }
    case 'L':  // LONG
      return push_decimal(take_line()), true;
    case 'F': {  // FLOAT
      const std::string_view line = take_line();
      double value = 0;
      const auto [end, failure] = std::from_chars(line.data(), line.data() + line.size(), value);
      if (failure != std::errc() || end != line.data() + line.size()) mistake("a number is expected");
      return push_real(value), true;
    }
    default:
      return false;
  }
}

bool PickleMachine::run_text(uint8_t opcode) {
  switch (opcode) {
    case 'X':  // BINUNICODE
    case 'T':  // BINSTRING
      return push_view(PickleKind::text, take(take_number(4))), true;
    case 0x8c:  // SHORT_BINUNICODE
    case 'U':   // SHORT_BINSTRING
      return push_view(PickleKind::text, take(take_number(1))), true;
    case 0x8d:  // BINUNICODE8
      return push_view(PickleKind::text, take(take_number(8))), true;
    case 'B':  // BINBYTES
      return push_view(PickleKind::bytes, take(take_number(4))), true;
    case 'C':  // SHORT_BINBYTES
      return push_view(PickleKind::bytes, take(take_number(1))), true;
    case 0x8e:  // BINBYTES8
    case 0x96:  // BYTEARRAY8
      return push_view(PickleKind::bytes, take(take_number(8))), true;
    default:
      return false;
  }
}

bool PickleMachine::run_container(uint8_t opcode) {
  switch (opcode) {
    case ')':  // EMPTY_TUPLE
      return push_node(PickleKind::tuple, {}), true;
    case ']':  // EMPTY_LIST
      return push_node(PickleKind::list, {}), true;
    case '}':  // EMPTY_DICT
      return push_node(PickleKind::dict, {}), true;
    case 0x8f:  // EMPTY_SET
      return push_node(PickleKind::set, {}), true;
    case 't':  // TUPLE
      return push_node(PickleKind::tuple, pop_to_mark()), true;
    case 'l':  // LIST
      return push_node(PickleKind::list, pop_to_mark()), true;
    case 0x91:  // FROZENSET
      return push_node(PickleKind::set, pop_to_mark()), true;
    case 'd': {  // DICT
      std::vector<PickleValue> items = pop_to_mark();
      if (items.size() % 2 != 0) mistake("a key has no value");
      return push_node(PickleKind::dict, std::move(items)), true;
    }
    case 0x85:  // TUPLE1, TUPLE2, TUPLE3
    case 0x86:
    case 0x87:
      return push_node(PickleKind::tuple, pop_count(opcode - size_t{0x84})), true;
    default:
      return false;
  }
}

/// What is added to the result of a call is left out, as the call itself is.
void PickleMachine::append_to_top(PickleKind kind, const std::vector<PickleValue>& items) {
  const PickleValue target = top();
  if (target.is(PickleKind::call)) return;
  if (!target.is(kind)) mistake("items are added to a value that is no container of theirs");
  if (kind == PickleKind::dict && items.size() % 2 != 0) mistake("a key has no value");
  budget_.take(pickle_value_cost * items.size());
  auto& node = out_.nodes_[target.node_];
  node.insert(node.end(), items.begin(), items.end());
}

bool PickleMachine::run_filling(uint8_t opcode) {
  switch (opcode) {
    case 'a':  // APPEND
      return append_to_top(PickleKind::list, pop_count(1)), true;
    case 'e':  // APPENDS
      return append_to_top(PickleKind::list, pop_to_mark()), true;
    case 's':  // SETITEM
      return append_to_top(PickleKind::dict, pop_count(2)), true;
    case 'u':  // SETITEMS
      return append_to_top(PickleKind::dict, pop_to_mark()), true;
    case 0x90:  // ADDITEMS
      return append_to_top(PickleKind::set, pop_to_mark()), true;
    default:
      return false;
  }
}

}  // namespace microemo::formats
