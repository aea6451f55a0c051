#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "token_map.h"

namespace microemo::text {

/// What two neighbouring tokens become, and how soon: lower ranks merge first.
struct Merge {
  uint32_t rank = 0, id = 0;
};

/// Merges by pair of tokens: an open hash table, since every word asks it many times.
class MergeTable {
 public:
  /// False when the pair is there already; the first one stays.
  bool insert(uint32_t left, uint32_t right, Merge merge);
  const Merge* find(uint32_t left, uint32_t right) const;
  size_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t pair = empty;
    Merge merge;
  };
  static constexpr uint64_t empty = UINT64_MAX;
  size_t slot_of(uint64_t pair) const;
  void grow();

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

/// Tokens of words that were seen before. Every word has one place, which the next word that falls there takes over, so memory is
/// bounded. Not thread-safe.
class WordCache {
 public:
  WordCache() : entries_(entry_count) {}
  /// Appends the word's ids when they are known.
  bool append(std::string_view word, std::vector<int64_t>& ids) const;
  void keep(std::string_view word, const int64_t* ids, size_t count);

 private:
  static constexpr size_t entry_count = 1 << 14;
  struct Entry {
    uint8_t length = 0, count = 0;
    char word[22];
    uint32_t ids[10];
  };
  static size_t place_of(std::string_view word);
  std::vector<Entry> entries_;
};

/// Byte-pair encoding of one word, or of a text in one: its symbols (bytes, or characters) are merged in pairs, the lowest rank
/// first and of equal ranks the leftmost. Immutable once filled but for a cache; thread-safe: a thread that finds the cache in
/// use goes without.
class BytePairs {
 public:
  enum class Symbols { bytes, characters };

  Symbols symbols = Symbols::bytes;
  bool whole_words = false;    ///< a word that is a token is not taken apart ("ignore_merges")
  bool fuse_unknown = false;   ///< neighbouring unknown characters are one unknown token
  bool byte_fallback = false;  ///< a character without a token becomes <0xAB> tokens of its bytes, where all of those are there
  int64_t unknown = -1;        ///< for symbols without a token; negative leaves them out, as the tokenizers library does
  TokenMap ids;                ///< token text (for bytes, its bytes) to id
  MergeTable merges;

  /// To be called once, after the members above are filled.
  void prepare();
  void encode(std::string_view word, std::vector<int64_t>& out) const;

 private:
  void encode_word(std::string_view word, std::vector<int64_t>& out) const;
  void append_merged(std::string_view word, std::vector<int64_t>& out) const;
  bool blanks_begin_words() const;
  std::vector<int64_t> first_symbols(std::string_view word) const;
  void append_character_symbols(std::string_view character, std::vector<int64_t>& symbols_out) const;

  int64_t byte_ids_[256];
  bool splits_at_blanks_ = false;  ///< no merge reaches over the place before a U+2581 that follows another character
  mutable std::mutex mutex_;
  mutable WordCache cache_;
};

}  // namespace microemo::text
