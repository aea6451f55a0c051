#include "mapped_tensor.h"

#include <cstring>

#include <ATen/ops/empty.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::checkpoint {
namespace {

void release(void* owner) { delete static_cast<MappedBytes*>(owner); }

struct Layout {
  const std::vector<int64_t>& shape;
  const std::vector<int64_t>& strides;
  int64_t width;
};

/// Copies the elements below one index of the first `dimension` dimensions, and moves `out` behind them.
void copy_elements(const Layout& layout, size_t dimension, const std::byte* from, std::byte*& out) {
  const bool last = dimension + 1 >= layout.shape.size();
  const int64_t length = layout.shape.empty() ? 1 : layout.shape[dimension];
  const int64_t step = layout.shape.empty() ? 1 : layout.strides[dimension];
  if (last && step == 1) {
    std::memcpy(out, from, static_cast<size_t>(length * layout.width));
    out += length * layout.width;
    return;
  }
  for (int64_t i = 0; i < length; ++i, from += step * layout.width) {
    if (!last) {
      copy_elements(layout, dimension + 1, from, out);
      continue;
    }
    std::memcpy(out, from, static_cast<size_t>(layout.width));
    out += layout.width;
  }
}

}  // namespace

c10::Storage frozen_storage(const MappedBytes& mapped) {
  // LibTorch has no pointer to constant bytes; the flag below takes the place of const.
  auto* bytes = const_cast<std::byte*>(mapped.bytes.data());
  at::DataPtr pointer(bytes, new MappedBytes(mapped), release, c10::Device(at::kCPU));
  c10::Storage storage(c10::Storage::use_byte_size_t(), static_cast<int64_t>(mapped.bytes.size()), std::move(pointer));
  storage.unsafeGetStorageImpl()->set_throw_on_mutable_data_ptr();
  return storage;
}

c10::Storage SharedStorages::of(const MappedBytes& mapped) const {
  const std::lock_guard lock(mutex_);
  const Part part{mapped.bytes.data(), mapped.bytes.size()};
  const auto known = alive_.find(part);
  if (known != alive_.end())
    if (auto storage = known->second.lock()) return c10::Storage(std::move(storage));
  c10::Storage storage = frozen_storage(mapped);
  alive_.insert_or_assign(part, c10::weak_intrusive_ptr<c10::StorageImpl>(storage.getWeakStorageImpl()));
  return storage;
}

at::Tensor tensor_in(const c10::Storage& storage, at::ScalarType type, const std::vector<int64_t>& shape,
                     const std::vector<int64_t>& strides, int64_t offset) {
  at::Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                               c10::scalarTypeToTypeMeta(type));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(shape, strides, offset);
  return tensor;
}

at::Tensor copied_tensor(std::span<const std::byte> storage, at::ScalarType type, const std::vector<int64_t>& shape,
                         const std::vector<int64_t>& strides, int64_t offset) {
  const auto width = static_cast<int64_t>(c10::elementSize(type));
  at::Tensor copy = at::empty(shape, type);
  auto* out = static_cast<std::byte*>(copy.mutable_data_ptr());
  copy_elements({shape, strides, width}, 0, storage.data() + offset * width, out);
  return copy;
}

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

std::filesystem::path mapped_file_of(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.has_storage()) return {};
  const at::DataPtr& pointer = tensor.storage().data_ptr();
  return pointer.get_deleter() == release ? *static_cast<const MappedBytes*>(pointer.get_context())->path : "";
}

void require_writable(const at::Tensor& tensor, std::string_view name) {
  const std::filesystem::path file = mapped_file_of(tensor);
  if (!file.empty())
    throw InternalError("'{}' is to be written to, and lies in a mapped file", name)
        .where(file)
        .hint("clone() a mapped tensor before it is changed or trained");
}

}  // namespace microemo::checkpoint
