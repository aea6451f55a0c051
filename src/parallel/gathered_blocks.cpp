#include "gathered_blocks.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/empty.h>

#include "microemo/base/error.h"

namespace microemo::parallel {

GatheredBlocks::GatheredBlocks(std::unique_ptr<SideLink> link, int64_t world, const at::Tensor& own,
                               std::vector<BlockExtent> blocks, const at::Device& device,
                               std::function<void(int64_t block, void* memory)> moved)
    : link_(std::move(link)),
      world_(world),
      own_(link_->reaches(device) ? own.to(device) : own),
      blocks_(std::move(blocks)),
      moved_(std::move(moved)) {
  int64_t largest = 0;
  for (const BlockExtent& block : blocks_) largest = std::max(largest, block.bytes);
  for (Slot& slot : slots_) {
    slot.memory = at::empty({largest}, at::TensorOptions(at::kByte).device(device));
    if (!link_->reaches(device)) slot.staged = at::empty({largest}, at::kByte);
  }
}

int64_t GatheredBlocks::block_at(int64_t position) const {
  const auto count = static_cast<int64_t>(blocks_.size());
  return position < count ? position : 2 * count - 1 - position;
}

GatheredBlocks::Slot* GatheredBlocks::slot_of(int64_t block) {
  const auto found = std::ranges::find(slots_, block, &Slot::block);
  return found == slots_.end() ? nullptr : &*found;
}

void GatheredBlocks::begin_pass(bool backward) {
  MICROEMO_CHECK(!open_, "a pass begins in another one");
  link_->sum(1);
  open(backward);
}

void GatheredBlocks::open(bool backward) {
  open_ = true;
  backward_ = backward;
  length_ = static_cast<int64_t>(blocks_.size()) * (backward ? 2 : 1);
  begun_ = at_ = 0;
}

void GatheredBlocks::end_pass() {
  if (!open_) return;
  begin_until(length_ - 1);
  for (Slot& slot : slots_) settle(slot);
  open_ = false;
}

void GatheredBlocks::join_passes(bool backward) {
  while (link_->sum(0) > 0) {
    open(backward);
    end_pass();
  }
}

void GatheredBlocks::begin_until(int64_t position) {
  while (begun_ <= std::min(position, length_ - 1)) begin(block_at(begun_++));
}

/// Which buffer is given up is the same on every rank, as all begin the same blocks.
void GatheredBlocks::begin(int64_t block) {
  const int64_t before = std::exchange(latest_, block);
  if (slot_of(block) != nullptr) return;
  Slot& slot = slots_[slots_[0].block == before ? 1 : 0];
  settle(slot);
  if (slot.block >= 0) moved_(slot.block, nullptr);
  slot.block = block;
  const BlockExtent& extent = blocks_[static_cast<size_t>(block)];
  const at::Tensor piece = own_.narrow(0, extent.begin, extent.bytes / world_);
  const at::Tensor room = slot.memory.narrow(0, 0, extent.bytes);
  if (!slot.staged.defined()) {
    slot.arrive = link_->gather_later(room, piece);
    return;
  }
  const at::Tensor staged = slot.staged.narrow(0, 0, extent.bytes);
  slot.arrive = [wait = link_->gather_later(staged, piece), staged, room] {
    wait();
    room.copy_(staged);
  };
}

void GatheredBlocks::settle(Slot& slot) {
  if (const auto arrive = std::exchange(slot.arrive, nullptr)) arrive();
}

void GatheredBlocks::need(int64_t block) {
  if (!open_) begin_pass(/*backward=*/false);
  int64_t position = at_;
  while (position < length_ && block_at(position) != block) ++position;
  MICROEMO_CHECK(position < length_, "block {} is needed behind block {} of a pass", block, block_at(at_));
  begin_until(at_ = position);
  Slot& slot = *slot_of(block);
  settle(slot);
  moved_(block, slot.memory.mutable_data_ptr());
  begin_until(at_ + 1);
  if (!backward_ && at_ + 1 == length_) end_pass();
}

}  // namespace microemo::parallel
