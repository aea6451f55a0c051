#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/formats/memory_budget.h"

namespace microemo::formats {

// Python's pickles (protocols 0 to 5; the opcodes are those of CPython's Lib/pickletools.py) as a table of what stands in them.
// Nothing is ever imported, called or run: a class or function is a name, and a call is a value that holds the name and the
// arguments. The few calls that only make containers (collections.OrderedDict, set, …) stand as those containers.

enum class PickleKind : uint8_t {
  none,
  boolean,
  integer,
  wide_integer,  ///< beyond 64 bits; `text()` is its two's complement, little-endian
  real,
  text,
  bytes,
  list,
  tuple,
  set,
  dict,        ///< items() are key, value, key, value, …
  global,      ///< a class or function; items() are the texts of module and name
  call,        ///< items() are the callee, its arguments (a tuple) and, where it was set, the result's state
  persistent,  ///< a value kept outside the pickle; items() is its id
};

/// One value; containers are places in the Pickle's table. Cheap to copy.
class PickleValue {
 public:
  PickleValue() = default;

  PickleKind kind() const { return kind_; }
  bool is(PickleKind kind) const { return kind_ == kind; }
  /// Of boolean (0 or 1) and integer.
  int64_t integer() const { return integer_; }
  double real() const { return real_; }
  /// Of text, bytes and wide_integer: a view into the pickle's bytes or the Pickle. Text need not be UTF-8.
  std::string_view text() const { return {text_, size_}; }

 private:
  friend class Pickle;
  friend class PickleMachine;

  PickleKind kind_ = PickleKind::none;
  uint32_t node_ = 0;
  union {
    int64_t integer_ = 0;
    double real_;
    const char* text_;
  };
  uint64_t size_ = 0;
};

/// A pickle, read. Immutable, thread-safe.
class Pickle {
 public:
  /// Reads one pickle from the front of `bytes`, which have to outlive it. Throws Error(checkpoint) naming the file and the byte
  /// when it is truncated, an opcode is unknown or finds other values on the stack than it needs, or the budget is spent.
  Pickle(std::string_view bytes, MemoryBudget& budget, const std::filesystem::path& name_in_errors);

  PickleValue root() const { return root_; }
  /// Of containers, globals, calls and persistent values; empty for others. A container may hold itself.
  std::span<const PickleValue> items(const PickleValue& value) const;
  /// Number that two values share exactly when they are the same container.
  uint32_t identity(const PickleValue& value) const { return value.node_; }
  /// "module.name" of a global, or of a call's callee; empty for others.
  std::string global_name(const PickleValue& value) const;
  /// Every persistent value in the order of the pickle, also those that nothing refers to any more.
  const std::vector<PickleValue>& persistent_values() const { return persistent_values_; }
  /// How many bytes the pickle took.
  size_t size() const { return size_; }

 private:
  friend class PickleMachine;

  std::deque<std::vector<PickleValue>> nodes_;
  std::deque<std::string> texts_;  ///< of the old opcodes that escape letters
  std::vector<PickleValue> persistent_values_;
  PickleValue root_;
  size_t size_ = 0;
};

}  // namespace microemo::formats
