#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

namespace microemo {

/// Random numbers that are a pure function of (seed, purpose, coordinates, position): nothing is shared and nothing needs saving,
/// so a resumed or re-split run draws the same. Philox 4x64-10 (Salmon et al. 2011), bit-equal to numpy.random.Philox for the
/// same key and counter. Cheap to make. Not for secrets. One object per thread.
class Random {
 public:
  /// `purpose` names the use ("dropout", "augment", …); `coordinates` are at most 8 integers such as epoch, step, sample.
  Random(uint64_t seed, std::string_view purpose, std::initializer_list<uint64_t> coordinates = {});
  /// The raw generator at counter 0, for comparison with numpy.
  explicit Random(std::array<uint64_t, 2> key);

  uint64_t bits();
  /// [0, 1), 53 random bits.
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Standard normal (Box-Muller, two draws for each value).
  double normal();
  /// 0 … count-1 without bias; count > 0.
  uint64_t below(uint64_t count);
  bool chance(double probability) { return uniform() < probability; }

  template <class T>
  const T& pick(const std::vector<T>& items) {
    return items[below(items.size())];
  }

  /// Fisher-Yates.
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  void refill();

  std::array<uint64_t, 2> key_;
  std::array<uint64_t, 4> counter_{}, block_{};
  int used_ = 4;
};

}  // namespace microemo
