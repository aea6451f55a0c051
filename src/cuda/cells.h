#pragma once
#include <cmath>

#include "microemo/base/device_kernels.h"
#include "microemo/base/formulas.h"

// What one thread of each kernel does, in code that the CPU runs as well: tests run it there, thread by thread.

namespace microemo::cells {

/// A bfloat16 as its bits: no header of CUDA is needed to read it.
struct Bf16 {
  uint16_t bits;
};

MICROEMO_EVERYWHERE inline float to_float(float x) { return x; }
MICROEMO_EVERYWHERE inline float to_float(Bf16 x) {
  const uint32_t bits = uint32_t(x.bits) << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

template <class Number>
MICROEMO_EVERYWHERE inline Number from_float(float x);
template <>
MICROEMO_EVERYWHERE inline float from_float<float>(float x) {
  return x;
}
/// To the nearest, ties to even; NaN stays NaN.
template <>
MICROEMO_EVERYWHERE inline Bf16 from_float<Bf16>(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (x != x) return {0x7fc0};
  return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

template <class Number>
MICROEMO_EVERYWHERE inline void drop(const MicroEmoDropout& o, int64_t n) {
  int64_t place[microemo_most_dimensions];
  int64_t rest = n;
  for (int d = o.dimensions - 1; d >= 0; --d) {
    place[d] = rest % o.sizes[d];
    rest /= o.sizes[d];
  }
  uint64_t key = o.row_keys[place[0]];
  for (int d = 1; d + 1 < o.dimensions; ++d) key = formulas::folded(key, uint64_t(place[d]));
  const bool dropped = formulas::bits_of(key, place[o.dimensions - 1]) < o.threshold;
  const float value = to_float(static_cast<const Number*>(o.from)[n]);
  static_cast<Number*>(o.to)[n] = from_float<Number>(dropped ? 0.0f : value * o.scale);
}

/// Number n counts halves of heads: [rows, length, heads, width / 2].
template <class Number>
MICROEMO_EVERYWHERE inline void turn(const MicroEmoRotary& o, int64_t n) {
  const int64_t half = o.width / 2, i = n % half, head = n / half, place = head / o.heads % o.length;
  const auto *from = static_cast<const Number*>(o.from) + head * o.width, *cosines = static_cast<const Number*>(o.cosines),
             *sines = static_cast<const Number*>(o.sines);
  Number* to = static_cast<Number*>(o.to) + head * o.width;
  const float first = to_float(from[i]), second = to_float(from[i + half]);
  const float c = to_float(cosines[place * o.width + i]), s = o.sign * to_float(sines[place * o.width + i]);
  to[i] = from_float<Number>(first * c - second * s);
  to[i + half] = from_float<Number>(second * c + first * s);
}

template <class Number>
MICROEMO_EVERYWHERE inline void swiglu(const MicroEmoSwiglu& o, int64_t n) {
  const float gate = to_float(static_cast<const Number*>(o.gate)[n]), up = to_float(static_cast<const Number*>(o.up)[n]);
  static_cast<Number*>(o.product)[n] = from_float<Number>(gate / (1.0f + expf(-gate)) * up);
}

/// With s the logistic function: silu'(x) = s(x) (1 + x (1 - s(x))).
template <class Number>
MICROEMO_EVERYWHERE inline void swiglu_backward(const MicroEmoSwiglu& o, int64_t n) {
  const float gate = to_float(static_cast<const Number*>(o.gate)[n]), up = to_float(static_cast<const Number*>(o.up)[n]),
              gradient = to_float(static_cast<const Number*>(o.gradient)[n]), s = 1.0f / (1.0f + expf(-gate));
  static_cast<Number*>(o.gate_gradient)[n] = from_float<Number>(gradient * up * s * (1.0f + gate * (1.0f - s)));
  static_cast<Number*>(o.up_gradient)[n] = from_float<Number>(gradient * gate * s);
}

template <class Number>
MICROEMO_EVERYWHERE inline void thaw(const MicroEmoThaw& o, int64_t n) {
  static_cast<Number*>(o.to)[n] = from_float<Number>(formulas::thawed_nf4(o.packed, o.scales, n));
}

/// The largest of some logits and the sum of exp(logit - largest): of two parts of a row that of both.
struct SoftmaxPart {
  float largest = -INFINITY, sum = 0;
};
MICROEMO_EVERYWHERE inline SoftmaxPart joined(const SoftmaxPart& a, const SoftmaxPart& b) {
  if (a.sum == 0) return b;
  if (b.sum == 0) return a;
  const float largest = a.largest > b.largest ? a.largest : b.largest;
  return {largest, a.sum * expf(a.largest - largest) + b.sum * expf(b.largest - largest)};
}

/// Every threads-th logit of a row, from `thread` on.
template <class Number>
MICROEMO_EVERYWHERE inline SoftmaxPart softmax_part(const MicroEmoCrossEntropy& o, int64_t row, int thread, int threads) {
  const Number* logits = static_cast<const Number*>(o.logits) + row * o.vocabulary;
  SoftmaxPart part;
  for (int64_t i = thread; i < o.vocabulary; i += threads) {
    const float logit = to_float(logits[i]);
    if (logit > part.largest) {
      part.sum *= expf(part.largest - logit);
      part.largest = logit;
    }
    part.sum += expf(logit - part.largest);
  }
  return part;
}

/// Behind softmax_part of all threads; the loss is that of the thread that meets the label, as it reads it before it writes.
template <class Number>
MICROEMO_EVERYWHERE inline void cross_entropy_part(const MicroEmoCrossEntropy& o, int64_t row, int thread, int threads,
                                                   const SoftmaxPart& whole) {
  Number* logits = static_cast<Number*>(o.logits) + row * o.vocabulary;
  const int64_t label = o.labels[row];
  for (int64_t i = thread; i < o.vocabulary; i += threads) {
    const float logit = to_float(logits[i]);
    if (i == label) o.losses[row] = logf(whole.sum) + whole.largest - logit;
    logits[i] = from_float<Number>(expf(logit - whole.largest) / whole.sum - (i == label ? 1.0f : 0.0f));
  }
}

}  // namespace microemo::cells
