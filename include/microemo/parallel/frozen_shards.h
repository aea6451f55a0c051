#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/parallel/group.h"

namespace microemo::parallel {

/// Weights that nobody changes, block by block, of which each of N ranks keeps 1/N: the tensors of a block lie one behind the
/// other in their bytes, and are cut into N equal pieces. A block is brought together where it is computed with, in one of two
/// buffers; the other one takes the block that comes next meanwhile.
///
/// On the CPU a thread fetches it from the other ranks: every rank fetches when it wants to, and a thread for each other rank
/// answers. On a device all ranks gather it at once, over the link of the group. There every forward and backward pass stands
/// between begin_pass() and end_pass(), passes without gradients need neither, and a rank that has had its passes joins those of
/// the others. Either way ranks may compute different numbers of batches and tokens.
///
/// The tensors stay those of their module. While their block is not in a buffer they have no memory (nn::is_absent), and what the
/// graph of autograd keeps of them is there again when the block is.
class FrozenShards {
 public:
  using Block = std::vector<std::pair<std::string, at::Tensor>>;  ///< names, which are used once, and tensors of the CPU

  /// The layout; tensors stay as they are until store() takes them. Tensors may be absent.
  FrozenShards(std::vector<Block> blocks, int64_t rank, int64_t world);
  ~FrozenShards();
  FrozenShards(const FrozenShards&) = delete;
  FrozenShards& operator=(const FrozenShards&) = delete;

  bool holds(const std::string& name) const;
  /// Names of all tensors.
  std::vector<std::string> names() const;
  /// Keeps this rank's piece of the values, and lets the tensor's own memory go. `values` has its shape and type. Throws
  /// Error(internal) for others.
  void store(const std::string& name, const at::Tensor& values);
  /// The same with the tensor's own values, for all that have memory still.
  void store_rest();

  /// Makes the tensors those of a device, before the ranks meet; none may have memory of its own. Pieces stay in the memory of
  /// the CPU, for whole(), beside those that the device is given.
  void to(const at::Device& device);

  /// Meets the other ranks. Called by all of them once, behind the last store(); `group` outlives this.
  void connect(Group& group);
  /// Returns when the block is there, and begins to fetch `next` (-1: none) in place of whatever is not `block`. Throws
  /// Error(environment) when a rank does not answer. Called by one thread at a time. On a device, what is put in its queue from
  /// then on finds the block there, blocks are asked for in the order of passes, and what follows there is `next`.
  void need(int64_t block, int64_t next);
  /// Around a pass with backward, on a device; nothing on the CPU. The thread that calls may be another one than that of
  /// backward.
  void begin_pass();
  void end_pass();
  /// Behind the last pass, with backward or without, on a device: helps with those of other ranks until all have come here.
  void join_passes(bool backward);
  /// A copy of one tensor, whole, beside all buffers. Any thread.
  at::Tensor whole(const std::string& name) const;

  int64_t blocks() const;
  int64_t bytes_of_all() const;  ///< of the tensors
  int64_t bytes_held() const;    ///< by this rank, on its device: its pieces, and both buffers
  /// That each rank sends to the others for one forward and backward pass of every other one, at most.
  double bytes_sent_per_pass() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace microemo::parallel
