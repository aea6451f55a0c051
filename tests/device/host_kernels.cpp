#include "host_kernels.h"

#include <array>
#include <utility>

#include "cells.h"
#include "second_device.h"

namespace microemo::test {
namespace {

using namespace microemo::cells;

int calls = 0;

template <class Work, void (*of_floats)(const Work&, int64_t), void (*of_bf16)(const Work&, int64_t)>
int run(const Work& work, int64_t count) {
  ++calls;
  const auto call = [=] {
    for (int64_t n = 0; n < count; ++n) work.type == microemo_bf16 ? of_bf16(work, n) : of_floats(work, n);
  };
  call();
  record_call(call);
  return 0;
}

/// As many threads to a row as on the GPU, joined in the same order.
template <class Number>
void cross_entropy_of_row(const MicroEmoCrossEntropy& work, int64_t row) {
  constexpr int threads = 256;
  std::array<SoftmaxPart, threads> parts;
  for (int thread = 0; thread < threads; ++thread) parts[size_t(thread)] = softmax_part<Number>(work, row, thread, threads);
  for (int half = threads / 2; half > 0; half /= 2)
    for (int thread = 0; thread < half; ++thread)
      parts[size_t(thread)] = joined(parts[size_t(thread)], parts[size_t(thread + half)]);
  for (int thread = 0; thread < threads; ++thread) cross_entropy_part<Number>(work, row, thread, threads, parts[0]);
}

int cross_entropy(const MicroEmoCrossEntropy* work) {
  ++calls;
  for (int64_t row = 0; row < work->rows; ++row)
    work->type == microemo_bf16 ? cross_entropy_of_row<Bf16>(*work, row) : cross_entropy_of_row<float>(*work, row);
  return 0;
}

int dropout(const MicroEmoDropout* work) {
  int64_t count = 1;
  for (int d = 0; d < work->dimensions; ++d) count *= work->sizes[d];
  return run<MicroEmoDropout, drop<float>, drop<Bf16>>(*work, count);
}

int rotary(const MicroEmoRotary* work) {
  return run<MicroEmoRotary, turn<float>, turn<Bf16>>(*work, work->rows * work->length * work->heads * (work->width / 2));
}

int swiglu_forward(const MicroEmoSwiglu* work) { return run<MicroEmoSwiglu, swiglu<float>, swiglu<Bf16>>(*work, work->count); }

int swiglu_back(const MicroEmoSwiglu* work) {
  return run<MicroEmoSwiglu, swiglu_backward<float>, swiglu_backward<Bf16>>(*work, work->count);
}

int thaw_nf4(const MicroEmoThaw* work) { return run<MicroEmoThaw, thaw<float>, thaw<Bf16>>(*work, work->count); }

}  // namespace

const MicroEmoKernels& host_kernels() {
  static constexpr MicroEmoKernels kernels{dropout, rotary, swiglu_forward, swiglu_back, cross_entropy, thaw_nf4};
  return kernels;
}

int host_kernel_calls() { return std::exchange(calls, 0); }

}  // namespace microemo::test
