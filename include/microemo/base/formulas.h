#pragma once
#include <cstdint>
#include <cstring>

// Formulas that the CPU and a GPU compute with the same bits: this header is compiled by both compilers.

#ifdef __CUDACC__
#define MICROEMO_EVERYWHERE __host__ __device__
#else
#define MICROEMO_EVERYWHERE
#endif

namespace microemo::formulas {

constexpr uint64_t golden = 0x9e3779b97f4a7c15;

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
MICROEMO_EVERYWHERE inline uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// The key of part `number` of what has `key`.
MICROEMO_EVERYWHERE inline uint64_t folded(uint64_t key, uint64_t number) { return mixed(key + mixed(number + golden)); }

/// The 32 random bits of number i of a row. Two numbers share what is drawn for them.
MICROEMO_EVERYWHERE inline uint64_t bits_of(uint64_t row_key, int64_t i) {
  const uint64_t bits = mixed(row_key + uint64_t(i / 2 + 1) * golden);
  return i % 2 == 0 ? bits & 0xffffffff : bits >> 32;
}

/// The number of code 0 to 15 of NF4: quantiles of a normal distribution, 0 among them, scaled to [-1, 1] (QLoRA, Dettmers et al.
/// 2023, appendix E).
MICROEMO_EVERYWHERE inline float nf4_value(unsigned code) {
  constexpr float values[16] = {-1.0f,
                                -0.6961928009986877f,
                                -0.5250730514526367f,
                                -0.39491748809814453f,
                                -0.28444138169288635f,
                                -0.18477343022823334f,
                                -0.09105003625154495f,
                                0.0f,
                                0.07958029955625534f,
                                0.16093020141124725f,
                                0.24611230194568634f,
                                0.33791524171829224f,
                                0.44070982933044434f,
                                0.5626170039176941f,
                                0.7229568362236023f,
                                1.0f};
  return values[code];
}
/// Numbers of a matrix that share a scale in NF4.
constexpr int64_t nf4_block = 64;

/// Number n of a matrix in NF4: two codes in a byte, the first in the high bits.
MICROEMO_EVERYWHERE inline float thawed_nf4(const uint8_t* packed, const float* scales, int64_t n) {
  const unsigned code = n % 2 == 0 ? packed[n / 2] >> 4u : packed[n / 2] & 15u;
  return nf4_value(code) * scales[n / nf4_block];
}

}  // namespace microemo::formulas
