#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace microemo::checkpoint {

/// Bytes of a file and what keeps them mapped.
struct MappedBytes {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::shared_ptr<const std::filesystem::path> path;
};

/// A storage over mapped bytes: LibTorch refuses to hand out a pointer to write through (throw_on_mutable_data_ptr).
c10::Storage frozen_storage(const MappedBytes& mapped);

/// One storage for the same bytes as long as any tensor holds it, so that views of a storage stay views of each other.
/// Thread-safe.
class SharedStorages {
 public:
  c10::Storage of(const MappedBytes& mapped) const;

 private:
  using Part = std::pair<const std::byte*, size_t>;
  mutable std::mutex mutex_;
  mutable std::map<Part, c10::weak_intrusive_ptr<c10::StorageImpl>> alive_;
};

/// A tensor in a storage; `offset` and strides count elements and must lie within it.
at::Tensor tensor_in(const c10::Storage& storage, at::ScalarType type, const std::vector<int64_t>& shape,
                     const std::vector<int64_t>& strides, int64_t offset);

/// The same elements in row-major order in memory of their own, from bytes of any alignment.
at::Tensor copied_tensor(std::span<const std::byte> storage, at::ScalarType type, const std::vector<int64_t>& shape,
                         const std::vector<int64_t>& strides, int64_t offset);

/// Copies the elements of `source` to `target` of the same shape, converted to its type. Of a mapped source the pages are let go
/// again once they are copied, so that a whole file can be copied without ever being resident besides.
void copy_tensor(const at::Tensor& source, const at::Tensor& target);

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape);

}  // namespace microemo::checkpoint
