#include "microemo/parallel/frozen_shards.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "gathered_blocks.h"
#include "microemo/base/error.h"
#include "network.h"
#include "pieces.h"

namespace microemo::parallel {
namespace {

/// Where a tensor may begin, for products that read whole lines of the cache.
constexpr int64_t line = 64;

int64_t rounded_up(int64_t bytes, int64_t to) { return (bytes + to - 1) / to * to; }

/// A tensor in its block.
struct Place {
  int64_t block = 0, offset = 0, bytes = 0;
  at::Tensor tensor;
};

struct Layout {
  int64_t bytes = 0;  ///< of the block, N pieces
  int64_t begin = 0;  ///< of this rank's piece among its pieces
  c10::Storage storage;
  std::vector<std::string> names;

  int64_t piece(int64_t world) const { return bytes / world; }
};

/// Storage whose memory comes and goes.
c10::Storage empty_storage(const at::Device& device) {
  return {c10::Storage::use_byte_size_t(), 0, at::DataPtr(nullptr, device), /*allocator=*/nullptr, /*resizable=*/false};
}

void point_to(const c10::Storage& storage, void* memory, int64_t bytes) {
  storage.unsafeGetStorageImpl()->set_data_ptr_noswap(at::DataPtr(memory, storage.device()));
  storage.unsafeGetStorageImpl()->set_nbytes(static_cast<size_t>(bytes));
}

/// The tensor, seen in its block.
at::Tensor seen_in(const c10::Storage& storage, const at::Tensor& like, int64_t offset) {
  const c10::DispatchKey key = c10::computeDispatchKey(like.scalar_type(), std::nullopt, storage.device());
  at::Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(key), like.dtype());
  tensor.unsafeGetTensorImpl()->set_storage_offset(offset / static_cast<int64_t>(like.itemsize()));
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(like.sizes());
  return tensor;
}

std::byte* bytes_of(const at::Tensor& memory) { return static_cast<std::byte*>(memory.mutable_data_ptr()); }

/// One connection to each other rank.
using Clients = std::vector<std::unique_ptr<PieceClient>>;

Clients connect_to_all(const std::vector<PieceAddress>& addresses, int64_t rank, double limit_s) {
  Clients clients;
  for (int64_t other = 0; other < static_cast<int64_t>(addresses.size()); ++other)
    clients.push_back(other == rank ? nullptr : std::make_unique<PieceClient>(addresses[static_cast<size_t>(other)], limit_s));
  return clients;
}

enum class SlotState { empty, coming, here };

struct Slot {
  at::Tensor memory;
  int64_t block = -1;
  SlotState state = SlotState::empty;
};

}  // namespace

struct FrozenShards::Impl {
  int64_t rank, world;
  std::vector<Layout> blocks{};
  std::map<std::string, Place> places{};
  at::Tensor own{};  ///< pieces of this rank on the CPU, one block behind the other
  at::Device device = at::kCPU;

  Group* group = nullptr;
  std::vector<PieceAddress> addresses{};
  double limit_s = 0;
  std::unique_ptr<PieceServer> server{};
  Clients clients{};  ///< of the fetching thread
  mutable std::mutex beside{};
  mutable Clients clients_beside{};  ///< of whole()

  std::array<Slot, 2> slots{};
  Slot* current = &slots[0];  ///< of the block that is computed with; the other one may be given up
  std::mutex mutex{};
  std::condition_variable changed{};
  std::deque<Slot*> wanted{};
  std::exception_ptr failure{};
  bool stopping = false;
  std::jthread fetcher{};
  std::unique_ptr<GatheredBlocks> gathered{};  ///< on a device, instead of slots and fetcher

  void gather_on_device();
  void fetch_range(Clients& from, int64_t block, int64_t begin, std::span<std::byte> to) const;
  void fetch_all();
  Slot* slot_of(int64_t block);
  Slot& other_slot() { return slots[current == &slots[0] ? 1 : 0]; }
  void start(Slot& slot, int64_t block);
  void wait_for(Slot& slot);
  void bring(int64_t block);
};

/// Bytes of a block from `begin` on, from the ranks that have them; all are asked before any is waited for.
void FrozenShards::Impl::fetch_range(Clients& from, int64_t block, int64_t begin, std::span<std::byte> to) const {
  const Layout& layout = blocks[static_cast<size_t>(block)];
  const int64_t piece = layout.piece(world), end = begin + static_cast<int64_t>(to.size());
  const auto part = [&](int64_t other) {
    const int64_t first = std::max(begin, other * piece), last = std::min(end, (other + 1) * piece);
    return std::pair{first, std::max<int64_t>(0, last - first)};
  };
  for (int64_t other = 0; other < world; ++other) {
    const auto [first, size] = part(other);
    if (other != rank && size > 0) from[static_cast<size_t>(other)]->ask(layout.begin + first - other * piece, size);
  }
  for (int64_t other = 0; other < world; ++other) {
    const auto [first, size] = part(other);
    if (size == 0) continue;
    const auto target = to.subspan(static_cast<size_t>(first - begin), static_cast<size_t>(size));
    if (other == rank)
      std::memcpy(target.data(), bytes_of(own) + layout.begin + first - rank * piece, target.size());
    else
      from[static_cast<size_t>(other)]->receive(target);
  }
}

void FrozenShards::Impl::fetch_all() {
  for (;;) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return stopping || !wanted.empty(); });
    if (stopping) return;
    Slot& slot = *wanted.front();
    wanted.pop_front();
    lock.unlock();
    std::exception_ptr failed;
    try {
      fetch_range(clients, slot.block, 0,
                  {bytes_of(slot.memory), static_cast<size_t>(blocks[static_cast<size_t>(slot.block)].bytes)});
    } catch (...) {
      failed = std::current_exception();
    }
    lock.lock();
    slot.state = SlotState::here;
    failure = failed;
    changed.notify_all();
    if (failed) return;
  }
}

Slot* FrozenShards::Impl::slot_of(int64_t block) {
  const std::lock_guard lock(mutex);
  for (Slot& slot : slots)
    if (slot.state != SlotState::empty && slot.block == block) return &slot;
  return nullptr;
}

void FrozenShards::Impl::wait_for(Slot& slot) {
  group->waiting([&] {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return failure != nullptr || slot.state != SlotState::coming; });
    if (failure) std::rethrow_exception(failure);
  });
}

/// Nothing is computed with what lies in the slot.
void FrozenShards::Impl::start(Slot& slot, int64_t block) {
  wait_for(slot);
  if (slot.block >= 0) point_to(blocks[static_cast<size_t>(slot.block)].storage, nullptr, 0);
  const std::lock_guard lock(mutex);
  slot.block = block;
  slot.state = SlotState::coming;
  wanted.push_back(&slot);
  changed.notify_all();
}

void FrozenShards::Impl::bring(int64_t block) {
  Slot* slot = slot_of(block);
  if (slot == nullptr) start(*(slot = &other_slot()), block);
  wait_for(*slot);
  current = slot;
  const Layout& layout = blocks[static_cast<size_t>(block)];
  point_to(layout.storage, bytes_of(slot->memory), layout.bytes);
}

FrozenShards::FrozenShards(std::vector<Block> blocks, int64_t rank, int64_t world)
    : impl_(new Impl{.rank = rank, .world = world}) {
  int64_t own_bytes = 0;
  for (const Block& block : blocks) {
    Layout& layout = impl_->blocks.emplace_back();
    for (const auto& [name, tensor] : block) {
      MICROEMO_CHECK(tensor.is_cpu() && !tensor.requires_grad(), "'{}' is cut over ranks, and is trained or on a device", name);
      const auto number = static_cast<int64_t>(impl_->blocks.size()) - 1;
      const int64_t bytes = tensor.numel() * static_cast<int64_t>(tensor.itemsize());
      const bool is_new = impl_->places.emplace(name, Place{number, layout.bytes, bytes, tensor}).second;
      MICROEMO_CHECK(is_new, "'{}' is in two blocks", name);
      layout.names.push_back(name);
      layout.bytes = rounded_up(layout.bytes + bytes, line);
    }
    layout.bytes = rounded_up(layout.bytes, line * world);
    layout.begin = own_bytes;
    layout.storage = empty_storage(at::kCPU);
    own_bytes += layout.piece(world);
  }
  impl_->own = at::zeros({own_bytes}, at::kByte);
}

FrozenShards::~FrozenShards() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->changed.notify_all();
  }
  if (impl_->fetcher.joinable()) impl_->fetcher.join();
  for (const Layout& layout : impl_->blocks) point_to(layout.storage, nullptr, 0);
}

bool FrozenShards::holds(const std::string& name) const { return impl_->places.contains(name); }

std::vector<std::string> FrozenShards::names() const {
  std::vector<std::string> all;
  for (const auto& [name, place] : impl_->places) all.push_back(name);
  return all;
}

void FrozenShards::store(const std::string& name, const at::Tensor& values) {
  Place& place = impl_->places.at(name);
  const at::Tensor plain = values.detach().cpu().contiguous();
  MICROEMO_CHECK(plain.scalar_type() == place.tensor.scalar_type() && plain.sizes() == place.tensor.sizes(),
                 "'{}' is stored with another shape or type", name);
  const Layout& layout = impl_->blocks[static_cast<size_t>(place.block)];
  const int64_t piece = layout.piece(impl_->world), piece_begin = impl_->rank * piece;
  const int64_t first = std::max(place.offset, piece_begin), end = std::min(place.offset + place.bytes, piece_begin + piece);
  if (first < end)
    std::memcpy(bytes_of(impl_->own) + layout.begin + first - piece_begin,
                static_cast<const std::byte*>(plain.const_data_ptr()) + first - place.offset, static_cast<size_t>(end - first));
  place.tensor.set_data(seen_in(layout.storage, place.tensor, place.offset));
}

void FrozenShards::store_rest() {
  for (auto& [name, place] : impl_->places)
    if (place.tensor.storage().nbytes() > 0) store(name, at::Tensor(place.tensor));
}

void FrozenShards::to(const at::Device& device) {
  MICROEMO_CHECK(impl_->group == nullptr, "shards are moved that are in use");
  if (device == impl_->device) return;
  impl_->device = device;
  for (Layout& layout : impl_->blocks) layout.storage = empty_storage(device);
  for (auto& [name, place] : impl_->places) {
    MICROEMO_CHECK(place.tensor.storage().nbytes() == 0, "'{}' is moved before it is stored", name);
    place.tensor.set_data(seen_in(impl_->blocks[static_cast<size_t>(place.block)].storage, place.tensor, place.offset));
  }
}

void FrozenShards::Impl::gather_on_device() {
  std::vector<BlockExtent> extents;
  for (const Layout& layout : blocks) extents.push_back({layout.bytes, layout.begin});
  gathered =
      std::make_unique<GatheredBlocks>(group->side_link(), world, own, extents, device, [this](int64_t block, void* memory) {
        const Layout& layout = blocks[static_cast<size_t>(block)];
        point_to(layout.storage, memory, memory == nullptr ? 0 : layout.bytes);
      });
}

void FrozenShards::connect(Group& group) {
  Impl& own = *impl_;
  MICROEMO_CHECK(own.group == nullptr && group.world() == own.world && group.rank() == own.rank, "shards of other ranks");
  own.group = &group;
  own.limit_s = group.timeout_s();
  const std::string host = group.address();
  own.server = std::make_unique<PieceServer>(std::span<const std::byte>(bytes_of(own.own), own.own.nbytes()),
                                             leads_to_this_machine_alone(host));
  for (const std::string& text : group.texts(fmt::format("{} {}", host, own.server->port()))) {
    std::istringstream words(text);
    words >> own.addresses.emplace_back().host >> own.addresses.back().port;
  }
  if (!own.device.is_cpu()) return own.gather_on_device();
  group.waiting([&] { own.clients = connect_to_all(own.addresses, own.rank, own.limit_s); });
  int64_t largest = 0;
  for (const Layout& layout : own.blocks) largest = std::max(largest, layout.bytes);
  for (Slot& slot : own.slots) slot.memory = at::empty({largest}, at::kByte);
  own.fetcher = std::jthread([&own] { own.fetch_all(); });
}

void FrozenShards::need(int64_t block, int64_t next) {
  MICROEMO_CHECK(impl_->group != nullptr, "the ranks have not met yet");
  if (impl_->gathered) return impl_->gathered->need(block);
  impl_->bring(block);
  if (next >= 0 && next < blocks() && impl_->slot_of(next) == nullptr) impl_->start(impl_->other_slot(), next);
}

void FrozenShards::begin_pass() {
  if (impl_->gathered) impl_->gathered->begin_pass(/*backward=*/true);
}

void FrozenShards::end_pass() {
  if (impl_->gathered) impl_->gathered->end_pass();
}

void FrozenShards::join_passes(bool backward) {
  if (impl_->gathered) impl_->gathered->join_passes(backward);
}

at::Tensor FrozenShards::whole(const std::string& name) const {
  const Place& place = impl_->places.at(name);
  const at::Tensor copy = at::empty(place.tensor.sizes(), place.tensor.scalar_type());
  const std::lock_guard lock(impl_->beside);
  try {
    if (impl_->clients_beside.empty()) impl_->clients_beside = connect_to_all(impl_->addresses, impl_->rank, impl_->limit_s);
    impl_->fetch_range(impl_->clients_beside, place.block, place.offset, {bytes_of(copy), static_cast<size_t>(place.bytes)});
  } catch (const std::exception& failure) {
    throw EnvironmentError("'{}' cannot be brought together from the ranks: {}", name, failure.what())
        .hint("look for the rank that failed first; the last checkpoint is whole and can be resumed");
  }
  return copy;
}

int64_t FrozenShards::blocks() const { return static_cast<int64_t>(impl_->blocks.size()); }

int64_t FrozenShards::bytes_of_all() const {
  int64_t bytes = 0;
  for (const auto& [name, place] : impl_->places) bytes += place.bytes;
  return bytes;
}

int64_t FrozenShards::bytes_held() const {
  int64_t largest = 0;
  for (const Layout& layout : impl_->blocks) largest = std::max(largest, layout.bytes);
  return static_cast<int64_t>(impl_->own.nbytes()) + 2 * largest;
}

double FrozenShards::bytes_sent_per_pass() const {
  // The last two blocks of forward are there when backward begins, and its last two when the next forward does.
  int64_t forward = 0, backward = 0;
  for (size_t i = 0; i < impl_->blocks.size(); ++i) {
    if (i >= 2) forward += impl_->blocks[i].piece(impl_->world);
    if (i + 2 < impl_->blocks.size()) backward += impl_->blocks[i].piece(impl_->world);
  }
  return static_cast<double>(forward + backward) * static_cast<double>(impl_->world - 1);
}

}  // namespace microemo::parallel
