#include "microemo/base/shard.h"

#include <charconv>
#include <string_view>
#include <system_error>

#include "microemo/base/error.h"

namespace microemo {
namespace {

constexpr int64_t most_shards = 65536;

bool read_number(std::string_view digits, int64_t& value) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc() && end == digits.data() + digits.size();
}

}  // namespace

std::optional<Shard> read_shard(const std::string& text, const std::string& separator) {
  const size_t at = text.find(separator);
  if (at == std::string::npos) return std::nullopt;
  Shard shard;
  const std::string_view whole = text;
  if (!read_number(whole.substr(0, at), shard.number) || !read_number(whole.substr(at + separator.size()), shard.count))
    return std::nullopt;
  const bool fits = shard.count >= 1 && shard.count <= most_shards && shard.number >= 1 && shard.number <= shard.count;
  return fits ? std::optional(shard) : std::nullopt;
}

Shard parse_shard(const std::string& text) {
  const std::optional<Shard> shard = read_shard(text, "/");
  if (!shard)
    throw ConfigError("'{}' names no shard", text).at("--shard").hint("give NUMBER/COUNT, such as 1/4 to 4/4 for four parts");
  return *shard;
}

}  // namespace microemo
