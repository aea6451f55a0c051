#include "microemo/model/key_value_cache.h"

#include <algorithm>
#include <cstring>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "microemo/base/error.h"

namespace microemo::model {
namespace {

/// Positions that are given room at once, at least.
constexpr int64_t smallest_growth = 64;

/// The positions in front of `length` in memory that holds more.
at::Tensor with_room(const at::Tensor& positions_RGSE, int64_t length, int64_t room, const at::Tensor& like_RGnE) {
  std::vector<int64_t> shape = like_RGnE.sizes().vec();
  shape[2] = room;
  at::Tensor larger = at::empty(shape, like_RGnE.options());
  if (length > 0) larger.narrow(2, 0, length).copy_(positions_RGSE.narrow(2, 0, length));
  return larger;
}

/// One position of every head into place `at`.
void write_position(const at::Tensor& to_1GSE, int64_t at, const at::Tensor& from_RGE, int64_t row) {
  if (!to_1GSE.is_cpu() || from_RGE.stride(2) != 1) {
    to_1GSE.select(0, 0).select(1, at).copy_(from_RGE.select(0, row));
    return;
  }
  const int64_t bytes = from_RGE.element_size();
  const char* from = static_cast<const char*>(from_RGE.const_data_ptr()) + row * from_RGE.stride(0) * bytes;
  char* to = static_cast<char*>(to_1GSE.mutable_data_ptr()) + at * to_1GSE.stride(2) * bytes;
  for (int64_t head = 0; head < from_RGE.size(1); ++head)
    std::memcpy(to + head * to_1GSE.stride(1) * bytes, from + head * from_RGE.stride(1) * bytes,
                size_t(from_RGE.size(2) * bytes));
}

at::Tensor joined(const nn::CachedRow& begun, at::Tensor nn::CachedPiece::*part, const at::Tensor& rest_RGnE) {
  if (begun.empty()) return rest_RGnE;
  std::vector<at::Tensor> pieces;
  for (const nn::CachedPiece& piece : begun) pieces.push_back((piece.*part).narrow(1, 0, piece.length).unsqueeze(0));
  pieces.push_back(rest_RGnE);
  return at::cat(pieces, 2);
}

}  // namespace

void KeyValueCache::make_room(Block& kept, int64_t count, const at::Tensor& like_RGnE) const {
  const int64_t needed = kept.length + count;
  if (kept.keys_RGSE.defined() && kept.keys_RGSE.size(2) >= needed) return;
  const int64_t room = needed + std::max(smallest_growth, needed / 2);
  kept.keys_RGSE = with_room(kept.keys_RGSE, kept.length, room, like_RGnE);
  kept.values_RGSE = with_room(kept.values_RGSE, kept.length, room, like_RGnE);
}

std::pair<at::Tensor, at::Tensor> KeyValueCache::extend(size_t block, const at::Tensor& keys_RGnE,
                                                        const at::Tensor& values_RGnE) {
  if (blocks_.size() <= block) blocks_.resize(block + 1);
  Block& kept = blocks_[block];
  const int64_t count = keys_RGnE.size(2);
  if (kept.length == 0) {
    kept.keys_RGSE = keys_RGnE;
    kept.values_RGSE = values_RGnE;
  } else {
    make_room(kept, count, keys_RGnE);
    kept.keys_RGSE.narrow(2, kept.length, count).copy_(keys_RGnE);
    kept.values_RGSE.narrow(2, kept.length, count).copy_(values_RGnE);
  }
  kept.length += count;
  return {joined(kept.begun, &nn::CachedPiece::keys_GSE, kept.keys_RGSE.narrow(2, 0, kept.length)),
          joined(kept.begun, &nn::CachedPiece::values_GSE, kept.values_RGSE.narrow(2, 0, kept.length))};
}

void KeyValueCache::append(size_t block, const at::Tensor& keys_RGE, const at::Tensor& values_RGE, int64_t row) {
  if (blocks_.size() <= block) blocks_.resize(block + 1);
  Block& kept = blocks_[block];
  MICROEMO_CHECK(!kept.keys_RGSE.defined() || kept.keys_RGSE.size(0) == 1, "one token for a cache of {} rows",
                 kept.keys_RGSE.size(0));
  make_room(kept, 1, keys_RGE.narrow(0, row, 1).unsqueeze(2));
  write_position(kept.keys_RGSE, kept.length, keys_RGE, row);
  write_position(kept.values_RGSE, kept.length, values_RGE, row);
  ++kept.length;
}

KeyValueCache KeyValueCache::continued() const {
  KeyValueCache result;
  result.length_ = length_;
  for (size_t block = 0; block < blocks_.size(); ++block) result.blocks_.push_back({row(block), {}, {}, 0});
  return result;
}

nn::CachedRow KeyValueCache::row(size_t block) const {
  const Block& kept = blocks_.at(block);
  nn::CachedRow row = kept.begun;
  if (kept.length == 0) return row;
  MICROEMO_CHECK(kept.keys_RGSE.size(0) == 1, "a cache of {} rows is not one row", kept.keys_RGSE.size(0));
  row.push_back({kept.keys_RGSE.select(0, 0), kept.values_RGSE.select(0, 0), kept.length});
  return row;
}

}  // namespace microemo::model
