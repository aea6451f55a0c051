#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

// Eight fp32 numbers at once, with the vector types that GCC and Clang have on every processor.

namespace microemo::nn {

using Eight = float __attribute__((vector_size(32)));
using EightWhole = int32_t __attribute__((vector_size(32)));

constexpr int64_t eight = 8;

inline Eight load(const float* from) {
  Eight result;
  std::memcpy(&result, from, sizeof result);
  return result;
}

inline void store(float* to, const Eight& values) { std::memcpy(to, &values, sizeof values); }

inline float sum(const Eight& v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }

/// exp within 2 units of the last place: 2^n times Cephes' polynomial on [-ln 2 / 2, ln 2 / 2]. Arguments beyond [-87, 88] count
/// as the nearer of the two.
inline Eight exp(Eight x) {
  constexpr float per_octave = 1.44269504f, octave_high = 0.693359375f, octave_low = -2.12194440e-4f;
  constexpr float to_whole = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  x = x > 88.0f ? Eight{} + 88.0f : x;
  x = x < -87.0f ? Eight{} - 87.0f : x;
  const Eight n = (x * per_octave + to_whole) - to_whole;
  const Eight r = (x - n * octave_high) - n * octave_low;
  Eight p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return (p * r * r + r + 1.0f) * std::bit_cast<Eight>((__builtin_convertvector(n, EightWhole) + 127) << 23);
}

}  // namespace microemo::nn
