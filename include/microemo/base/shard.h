#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace microemo {

/// One of `count` parts of a list, for several processes: every count-th item, from item number - 1 on. The parts of one count
/// are disjoint and cover the list.
struct Shard {
  int64_t number = 1, count = 1;

  bool has(size_t item) const { return int64_t(item) % count == number - 1; }
};

/// Two whole numbers around a separator, such as "2/8"; nothing for other text, a number that is not in 1 … count, or more than
/// 65536 parts.
std::optional<Shard> read_shard(const std::string& text, const std::string& separator);
/// "2/8". Throws Error(config) for what read_shard does not take.
Shard parse_shard(const std::string& text);

}  // namespace microemo
