#pragma once
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "microemo/eval/label_table.h"

namespace microemo::eval {

/// Finds items of a table by their ids: open addressing over item numbers.
class IdIndex {
 public:
  explicit IdIndex(const LabelTable& table) : table_(table), slots_(16) {}

  /// The item of this id, no_number when there is none.
  uint32_t find(std::string_view id) const { return slots_[slot_of(id, hash_of(id))].item; }

  /// The item that has the id of the table's item `item`; without one, enters `item` and returns no_number.
  uint32_t add(uint32_t item, std::string_view id) {
    if (2 * (used_ + 1) > slots_.size()) grow();
    const uint32_t hash = hash_of(id);
    Slot& slot = slots_[slot_of(id, hash)];
    if (slot.item != no_number) return slot.item;
    slot = {hash, item};
    ++used_;
    return no_number;
  }

 private:
  /// The hash stands beside the item, so that the ids of others are hardly ever looked at.
  struct Slot {
    uint32_t hash = 0, item = no_number;
  };

  static uint32_t hash_of(std::string_view id) { return static_cast<uint32_t>(std::hash<std::string_view>()(id)); }

  size_t slot_of(std::string_view id, uint32_t hash) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at].item != no_number && (slots_[at].hash != hash || table_.id(slots_[at].item) != id)) at = (at + 1) & mask;
    return at;
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    const size_t mask = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.item == no_number) continue;
      size_t at = slot.hash & mask;
      while (slots_[at].item != no_number) at = (at + 1) & mask;
      slots_[at] = slot;
    }
  }

  const LabelTable& table_;
  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace microemo::eval
