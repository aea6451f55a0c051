#include "microemo/base/random.h"

#include <cmath>
#include <cstring>
#include <numbers>

#include "microemo/base/error.h"

namespace microemo {
namespace {

__extension__ using uint128 = unsigned __int128;
using Key = std::array<uint64_t, 2>;
using Block = std::array<uint64_t, 4>;

constexpr size_t most_coordinates = 8;

struct Product {
  uint64_t high, low;
};
Product multiply(uint64_t a, uint64_t b) {
  const uint128 product = static_cast<uint128>(a) * b;
  return {static_cast<uint64_t>(product >> 64), static_cast<uint64_t>(product)};
}

/// Salmon et al. 2011, section 4.3, with the constants of the authors' Random123.
Block philox(Block counter, Key key) {
  for (int round = 0; round < 10; ++round) {
    const Product first = multiply(0xD2E7470EE14C6C93u, counter[0]);
    const Product second = multiply(0xCA5A826395121157u, counter[2]);
    counter = {second.high ^ counter[1] ^ key[0], second.low, first.high ^ counter[3] ^ key[1], first.low};
    key[0] += 0x9E3779B97F4A7C15u;
    key[1] += 0xBB67AE8584CAA73Bu;
  }
  return counter;
}

/// The words that name a stream; their number and the purpose's length come first, so that no two streams share a list.
std::vector<uint64_t> words_of(uint64_t seed, std::string_view purpose, std::initializer_list<uint64_t> coordinates) {
  std::vector<uint64_t> words{seed, purpose.size() | static_cast<uint64_t>(coordinates.size()) << 32};
  for (size_t i = 0; i < purpose.size(); i += 8) {
    uint64_t word = 0;
    for (size_t byte = i; byte < std::min(i + 8, purpose.size()); ++byte)
      word |= static_cast<uint64_t>(static_cast<unsigned char>(purpose[byte])) << 8 * (byte - i);
    words.push_back(word);
  }
  words.insert(words.end(), coordinates);
  words.resize((words.size() + 3) / 4 * 4);
  return words;
}

}  // namespace

Random::Random(uint64_t seed, std::string_view purpose, std::initializer_list<uint64_t> coordinates) : key_{} {
  MICROEMO_CHECK(coordinates.size() <= most_coordinates, "{} coordinates for '{}'; at most {}", coordinates.size(), purpose,
                 most_coordinates);
  const std::vector<uint64_t> words = words_of(seed, purpose, coordinates);
  for (size_t i = 0; i < words.size(); i += 4) {
    const Block mixed = philox({words[i], words[i + 1], words[i + 2], words[i + 3]}, key_);
    key_ = {mixed[0], mixed[1]};
  }
}

Random::Random(std::array<uint64_t, 2> key) : key_(key) {}

void Random::refill() {
  for (uint64_t& word : counter_)
    if (++word != 0) break;
  block_ = philox(counter_, key_);
  used_ = 0;
}

uint64_t Random::bits() {
  if (used_ == 4) refill();
  return block_[static_cast<size_t>(used_++)];
}

double Random::uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

uint64_t Random::below(uint64_t count) {
  MICROEMO_CHECK(count > 0, "a random number below 0");
  // Lemire 2019: the high word of bits * count, drawn again in the few cases that would favour small numbers. These are fewer
  // than count, so that the division is hardly ever needed.
  for (;;) {
    const Product product = multiply(bits(), count);
    if (product.low >= count || product.low >= -count % count) return product.high;
  }
}

}  // namespace microemo
