#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/formats/pickle.h"

namespace microemo::formats {

// What is taken from the budget: for a value in a vector that doubles its memory (old and new stand side by side then), and for
// a node of the table.
inline constexpr uint64_t pickle_value_cost = 3 * sizeof(PickleValue), pickle_node_cost = 64;

/// The stack machine of pickle: runs the opcodes of one pickle into a table of values.
class PickleMachine {
 public:
  PickleMachine(std::string_view bytes, MemoryBudget& budget, const std::filesystem::path& path, Pickle& out)
      : bytes_(bytes), budget_(budget), path_(path), out_(out) {}

  void run();

 private:
  // Each of these runs an opcode of its family, or answers false when it is of another.
  bool run_number(uint8_t opcode);
  bool run_text(uint8_t opcode);
  bool run_old_text(uint8_t opcode);
  bool run_container(uint8_t opcode);
  bool run_filling(uint8_t opcode);
  bool run_call(uint8_t opcode);
  bool run_stack(uint8_t opcode);
  bool run_memo(uint8_t opcode);

  void push_integer(int64_t value);
  void push_boolean(bool value);
  void push_real(double value);
  void push_long(uint64_t length);
  void push_decimal(std::string_view line);
  void push_view(PickleKind kind, std::string_view bytes);
  void push_unescaped(std::string text);
  void push_node(PickleKind kind, std::vector<PickleValue> items);
  void push_global(std::string_view module, std::string_view name);
  void push_persistent();
  void push_call(const PickleValue& callee, const PickleValue& arguments);
  bool push_known_call(const std::string& name, std::span<const PickleValue> arguments);
  void set_state(const PickleValue& state);
  void push_pairs(std::span<const PickleValue> pairs);
  void push(const PickleValue& value);

  PickleValue pop();
  PickleValue& top();
  std::vector<PickleValue> pop_to_mark();
  std::vector<PickleValue> pop_count(size_t count);
  void append_to_top(PickleKind kind, const std::vector<PickleValue>& items);
  void put(uint64_t place);
  void get(uint64_t place);

  std::string_view take(uint64_t count);
  std::string_view take_line();
  uint64_t take_number(size_t bytes);
  uint64_t take_decimal();
  [[noreturn]] void mistake(const std::string& what) const;

  std::string_view bytes_;
  MemoryBudget& budget_;
  const std::filesystem::path& path_;
  Pickle& out_;
  size_t at_ = 0, highest_ = 0;
  std::vector<PickleValue> stack_, memo_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleValue> far_memo_;  ///< places that do not follow each other
};

}  // namespace microemo::formats
