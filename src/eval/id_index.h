#pragma once
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "microemo/eval/label_table.h"

namespace microemo::eval {

/// Finds items of a table by their ids. Open addressing over item numbers: 8 to 16 bytes an item, where a map of texts takes
/// eighty.
class IdIndex {
 public:
  explicit IdIndex(const LabelTable& table) : table_(table), slots_(16, no_number) {}

  /// The item of this id, no_number when there is none.
  uint32_t find(std::string_view id) const { return slots_[slot_of(id)]; }

  /// Enters the table's item of that number, whose id must not be there yet.
  void add(uint32_t item) {
    if (2 * (used_ + 1) > slots_.size()) grow();
    slots_[slot_of(table_.id(item))] = item;
    ++used_;
  }

 private:
  size_t slot_of(std::string_view id) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = std::hash<std::string_view>()(id) & mask;
    while (slots_[slot] != no_number && table_.id(slots_[slot]) != id) slot = (slot + 1) & mask;
    return slot;
  }
  void grow() {
    std::vector<uint32_t> old(2 * slots_.size(), no_number);
    old.swap(slots_);
    for (const uint32_t item : old)
      if (item != no_number) slots_[slot_of(table_.id(item))] = item;
  }

  const LabelTable& table_;
  std::vector<uint32_t> slots_;
  size_t used_ = 0;
};

}  // namespace microemo::eval
