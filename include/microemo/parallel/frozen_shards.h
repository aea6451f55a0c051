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
/// buffers; the other one takes the block that comes next, which a thread fetches from the other ranks meanwhile. Every rank
/// fetches when it wants to, and a thread for each other rank answers: ranks may compute different numbers of batches and tokens.
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

  /// Meets the other ranks. Called by all of them once, behind the last store(); `group` outlives this.
  void connect(Group& group);
  /// Returns when the block is there, and begins to fetch `next` (-1: none) in place of whatever is not `block`. Throws
  /// Error(environment) when a rank does not answer. Called by one thread at a time.
  void need(int64_t block, int64_t next);
  /// A copy of one tensor, whole, beside all buffers. Any thread.
  at::Tensor whole(const std::string& name) const;

  int64_t blocks() const;
  int64_t bytes_of_all() const;  ///< of the tensors
  int64_t bytes_held() const;    ///< by this rank: its pieces, and both buffers
  /// That each rank sends to the others for one forward and backward pass of every other one, at most.
  double bytes_sent_per_pass() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace microemo::parallel
