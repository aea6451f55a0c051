#pragma once
#include <array>
#include <cstdint>
#include <utility>

namespace microemo::parallel {

/// What a rank is doing; each has its own limit, after which the rank is taken to hang.
enum class Phase { start, first_step, step, validation, checkpoint };

/// How tensors of GPUs get from rank to rank.
enum class DeviceLink {
  nccl,  ///< between the GPUs themselves
  gloo,  ///< over the CPU, as on machines without a GPU
};
constexpr auto names_of(DeviceLink) {
  return std::array{std::pair{DeviceLink::nccl, "nccl"}, std::pair{DeviceLink::gloo, "gloo"}};
}

/// Without effect for one process.
struct RankOptions {
  int64_t zero = 0;
  DeviceLink link = DeviceLink::nccl;
  double bucket_mb = 16;
  double beat_s = 2, start_limit_s = 600, first_step_limit_s = 600, step_limit_s = 60;
  double validation_limit_s = 1800, checkpoint_limit_s = 600;
  bool shard_frozen = false;

  double limit_s(Phase phase) const;
  /// Of the communication itself. Above all limits, so that the verdict that names a rank comes first.
  double timeout_s() const;
};

template <class Visitor>
void describe(Visitor& option, RankOptions& o) {
  option(
      "zero", o.zero,
      "1: the optimizer's state is cut into ranges of the parameters, one for each rank (ZeRO-1); the same weights to the bit, "
      "less memory, half as many bytes more to send. 0: every rank holds all of it.")
      .min(0)
      .max(1);
  option("link", o.link, "How gradients of GPUs are summed: nccl between them, gloo over the CPU. Without effect on CPUs.");
  option(
      "shard_frozen", o.shard_frozen,
      "Each rank keeps its part of the frozen weights of the decoder's blocks, and fetches a block from the others where it is "
      "computed with, the next one meanwhile; the same bits, less memory, more bytes to send.");
  option("bucket_mb", o.bucket_mb, "Gradients are summed over the ranks in pieces of so many MiB.").above(0).max(1024);
  option("beat_s", o.beat_s, "Seconds between two signs of life of a rank.").min(0.05).max(60);
  option("start_limit_s", o.start_limit_s, "A rank hangs that takes longer from meeting the others to its first step.").above(0);
  option("first_step_limit_s", o.first_step_limit_s, "The same for the first step after a start.").above(0);
  option("step_limit_s", o.step_limit_s, "The same for any other step.").above(0);
  option("validation_limit_s", o.validation_limit_s, "The same for a validation.").above(0);
  option("checkpoint_limit_s", o.checkpoint_limit_s, "The same for writing a checkpoint.").above(0);
}

}  // namespace microemo::parallel
