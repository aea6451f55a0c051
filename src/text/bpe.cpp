#include "bpe.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <queue>

#include <fmt/format.h>

#include "utf8.h"

namespace microemo::text {
namespace {

constexpr uint32_t none = UINT32_MAX;

/// A run of symbols as a linked list; a symbol that was merged into its left neighbour has length 0.
struct Symbol {
  int64_t id;
  uint32_t previous, next;
  bool gone = false;
};

struct Candidate {
  uint32_t rank, left;
  uint32_t id;
  int64_t left_id, right_id;  ///< what the pair was when it was found
  bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
};

/// Merges a run of symbols; n symbols cost n log n, however long the run.
class Run {
 public:
  Run(const std::vector<int64_t>& ids, const MergeTable& merges) : merges_(merges) {
    symbols_.reserve(ids.size());
    for (uint32_t i = 0; i < ids.size(); ++i)
      symbols_.push_back({ids[i], i == 0 ? none : i - 1, i + 1 == ids.size() ? none : i + 1});
    for (uint32_t i = 0; i + 1 < symbols_.size(); ++i) look_at(i);
  }

  void merge(std::vector<int64_t>& out) {
    while (!candidates_.empty()) {
      const Candidate best = candidates_.top();
      candidates_.pop();
      Symbol& left = symbols_[best.left];
      if (left.gone || left.id != best.left_id || left.next == none || symbols_[left.next].id != best.right_id) continue;
      join(best.left, best.id);
    }
    for (const Symbol& symbol : symbols_)
      if (!symbol.gone) out.push_back(symbol.id);
  }

 private:
  void look_at(uint32_t at) {
    const Symbol& left = symbols_[at];
    if (left.next == none || left.id < 0 || symbols_[left.next].id < 0) return;
    const int64_t right = symbols_[left.next].id;
    if (const Merge* merge = merges_.find(uint32_t(left.id), uint32_t(right)))
      candidates_.push({merge->rank, at, merge->id, left.id, right});
  }

  void join(uint32_t at, uint32_t id) {
    Symbol& left = symbols_[at];
    Symbol& right = symbols_[left.next];
    left.id = id;
    left.next = right.next;
    right.gone = true;
    if (left.next != none) symbols_[left.next].previous = at;
    if (left.previous != none) look_at(left.previous);
    look_at(at);
  }

  const MergeTable& merges_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates_;
};

}  // namespace

size_t MergeTable::slot_of(uint64_t pair) const {
  const size_t mask = slots_.size() - 1;
  size_t at = size_t((pair * 0x9E3779B97F4A7C15u) >> 32) & mask;
  while (slots_[at].pair != empty && slots_[at].pair != pair) at = (at + 1) & mask;
  return at;
}

void MergeTable::grow() {
  std::vector<Slot> old(std::max<size_t>(64, slots_.size() * 2));
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.pair != empty) slots_[slot_of(slot.pair)] = slot;
}

bool MergeTable::insert(uint32_t left, uint32_t right, Merge merge) {
  if (2 * (size_ + 1) > slots_.size()) grow();
  const uint64_t pair = uint64_t(left) << 32 | right;
  Slot& slot = slots_[slot_of(pair)];
  if (slot.pair == pair) return false;
  slot = {pair, merge};
  ++size_;
  return true;
}

const Merge* MergeTable::find(uint32_t left, uint32_t right) const {
  if (slots_.empty()) return nullptr;
  const Slot& slot = slots_[slot_of(uint64_t(left) << 32 | right)];
  return slot.pair == empty ? nullptr : &slot.merge;
}

size_t WordCache::place_of(std::string_view word) { return std::hash<std::string_view>()(word) % entry_count; }

bool WordCache::append(std::string_view word, std::vector<int64_t>& ids) const {
  const Entry& entry = entries_[place_of(word)];
  if (entry.length != word.size() || std::memcmp(entry.word, word.data(), word.size()) != 0) return false;
  ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
  return true;
}

void WordCache::keep(std::string_view word, const int64_t* ids, size_t count) {
  Entry& entry = entries_[place_of(word)];
  if (word.size() > sizeof entry.word || count > std::size(entry.ids)) return;
  entry.length = uint8_t(word.size());
  entry.count = uint8_t(count);
  std::memcpy(entry.word, word.data(), word.size());
  std::copy(ids, ids + count, entry.ids);
}

/// Whether U+2581 stands only at the beginning of tokens, as in LLaMA's: then a text falls into words, each merged by itself,
/// which gives the same and makes most of them known ones.
bool BytePairs::blanks_begin_words() const {
  if (symbols == Symbols::bytes || whole_words || ids.id(visible_blank) < 0) return false;
  return std::none_of(ids.begin(), ids.end(), [](const auto& token) {
    std::string_view text = token.first;
    while (text.starts_with(visible_blank)) text.remove_prefix(visible_blank.size());
    return text.find(visible_blank) != std::string_view::npos;
  });
}

void BytePairs::prepare() {
  for (int byte = 0; byte < 256; ++byte)
    byte_ids_[byte] = symbols == Symbols::bytes ? ids.id(std::string(1, char(byte))) : ids.id(fmt::format("<0x{:02X}>", byte));
  splits_at_blanks_ = blanks_begin_words();
}

void BytePairs::append_character_symbols(std::string_view character, std::vector<int64_t>& out) const {
  if (const int64_t id = ids.id(character); id >= 0) return out.push_back(id);
  const bool as_bytes =
      byte_fallback && std::all_of(character.begin(), character.end(), [&](char byte) { return byte_ids_[uint8_t(byte)] >= 0; });
  if (as_bytes) {
    for (const char byte : character) out.push_back(byte_ids_[uint8_t(byte)]);
  } else if (unknown >= 0 && !(fuse_unknown && !out.empty() && out.back() == unknown)) {
    out.push_back(unknown);
  }
}

std::vector<int64_t> BytePairs::first_symbols(std::string_view word) const {
  std::vector<int64_t> out;
  out.reserve(word.size());
  if (symbols == Symbols::bytes) {
    for (const char byte : word)
      if (const int64_t id = byte_ids_[uint8_t(byte)]; id >= 0)
        out.push_back(id);
      else if (unknown >= 0 && !(fuse_unknown && !out.empty() && out.back() == unknown))
        out.push_back(unknown);
    return out;
  }
  for (size_t i = 0; i < word.size();) {
    const size_t length = first_utf8_part(word.substr(i)).length;
    append_character_symbols(word.substr(i, length), out);
    i += length;
  }
  return out;
}

void BytePairs::append_merged(std::string_view word, std::vector<int64_t>& out) const {
  if (whole_words)
    if (const int64_t id = ids.id(word); id >= 0) return out.push_back(id);
  Run(first_symbols(word), merges).merge(out);
}

void BytePairs::encode_word(std::string_view word, std::vector<int64_t>& out) const {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock.owns_lock() && cache_.append(word, out)) return;
  const size_t before = out.size();
  append_merged(word, out);
  if (lock.owns_lock()) cache_.keep(word, out.data() + before, out.size() - before);
}

void BytePairs::encode(std::string_view text, std::vector<int64_t>& out) const {
  if (!splits_at_blanks_) return encode_word(text, out);
  for (size_t begin = 0; begin < text.size();) {
    size_t inner = begin;
    while (text.substr(inner).starts_with(visible_blank)) inner += visible_blank.size();
    const size_t end = std::min(text.find(visible_blank, inner), text.size());
    encode_word(text.substr(begin, end - begin), out);
    begin = end;
  }
}

}  // namespace microemo::text
