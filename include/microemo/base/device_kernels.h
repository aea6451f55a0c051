#pragma once
#include <cstdint>

// Kernels of a device beside the CPU, in C: libmicroemo_cuda.so offers those of a GPU. Pointers are to memory of the device, all
// tensors are contiguous. A kernel is put in the device's queue; it returns 0, or the device's error code when it was refused.
extern "C" {

enum MicroEmoNumber : int32_t { microemo_fp32 = 0, microemo_bf16 = 1 };

/// Most dimensions of a tensor that is dropped out.
enum { microemo_most_dimensions = 6 };

struct MicroEmoDropout {
  const void* from;
  void* to;
  MicroEmoNumber type;
  int32_t dimensions;                       ///< at least 2
  int64_t sizes[microemo_most_dimensions];  ///< the first: rows
  const uint64_t* row_keys;
  uint64_t threshold;  ///< of 2^32: below it a number is dropped
  float scale;
};

/// Heads [rows, length, heads, width]: dimensions i and i + width / 2 of a head turned by angle [place, i].
struct MicroEmoRotary {
  const void* from;
  void* to;
  MicroEmoNumber type;
  int64_t rows, length, heads, width;
  const void *cosines, *sines;  ///< [length, width], of `type`
  float sign;                   ///< -1: back
};

/// silu(gate) * up; with `gradient` what it is for both.
struct MicroEmoSwiglu {
  const void *gate, *up, *gradient;
  void *product, *gate_gradient, *up_gradient;
  MicroEmoNumber type;
  int64_t count;
};

/// Of rows of logits: -log softmax at the label, and in place of the logits softmax - (1 at the label).
struct MicroEmoCrossEntropy {
  void* logits;
  MicroEmoNumber type;
  int64_t rows, vocabulary;
  const int64_t* labels;
  float* losses;
};

struct MicroEmoThaw {
  const uint8_t* packed;
  const float* scales;
  void* to;
  MicroEmoNumber type;
  int64_t count;
};

struct MicroEmoKernels {
  int (*dropout)(const MicroEmoDropout*);
  int (*rotary)(const MicroEmoRotary*);
  int (*swiglu)(const MicroEmoSwiglu*);
  int (*swiglu_backward)(const MicroEmoSwiglu*);
  int (*cross_entropy)(const MicroEmoCrossEntropy*);
  int (*thaw_nf4)(const MicroEmoThaw*);
};
}

namespace microemo {

/// Those of the device that was chosen (see choose_device); null while that is the CPU.
const MicroEmoKernels* device_kernels();
/// Before the first tensor is computed on the device. Not for several threads at once.
void set_device_kernels(const MicroEmoKernels* kernels);

}  // namespace microemo
