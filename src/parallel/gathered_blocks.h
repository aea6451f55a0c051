#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "side_link.h"

namespace microemo::parallel {

struct BlockExtent {
  int64_t bytes = 0;  ///< of the block
  int64_t begin = 0;  ///< of a rank's piece among its pieces
};

/// Blocks of bytes of which each rank keeps a piece, brought together in two buffers on a device by gathers that all ranks take
/// part in. For that, every rank goes through all blocks in one order, pass by pass: first to last, and back with `backward`. A
/// block that a rank does not need it gathers with the others. While a block is computed with, the next one is on its way to the
/// buffer of the one before, behind what the rank has in the device's queue by then. One thread at a time.
class GatheredBlocks {
 public:
  /// `own` are this rank's pieces on the CPU. `moved` is told where a block lies from now on; null: nowhere.
  GatheredBlocks(std::unique_ptr<SideLink> link, int64_t world, const at::Tensor& own, std::vector<BlockExtent> blocks,
                 const at::Device& device, std::function<void(int64_t block, void* memory)> moved);

  /// Returns when all ranks have begun a pass or join those of others.
  void begin_pass(bool backward);
  /// Gathers what the pass has not come to.
  void end_pass();
  /// Takes part in the passes of other ranks until all have come here.
  void join_passes(bool backward);
  /// What is put in the device's queue from now on finds the block there, until the block behind the next one is needed. A pass
  /// asks for blocks in its order, and may leave some out. Outside of a pass, block 0 begins one without backward, which the last
  /// block ends.
  void need(int64_t block);

 private:
  struct Slot {
    at::Tensor memory;
    at::Tensor staged;  ///< on the CPU, where the link does not reach the device
    int64_t block = -1;
    std::function<void()> arrive = {};  ///< none: it is there
  };

  int64_t block_at(int64_t position) const;
  Slot* slot_of(int64_t block);
  void open(bool backward);
  void begin_until(int64_t position);
  void begin(int64_t block);
  void settle(Slot& slot);

  std::unique_ptr<SideLink> link_;
  int64_t world_;
  at::Tensor own_;  ///< on the device, or where the link begins
  std::vector<BlockExtent> blocks_;
  std::function<void(int64_t, void*)> moved_;
  std::array<Slot, 2> slots_;
  bool open_ = false, backward_ = false;
  int64_t length_ = 0;   ///< of the pass, in blocks
  int64_t begun_ = 0;    ///< positions of the pass whose gather has begun
  int64_t at_ = 0;       ///< position that is computed with
  int64_t latest_ = -1;  ///< block of the position that began last
};

}  // namespace microemo::parallel
