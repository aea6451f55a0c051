#include "mapped_tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::checkpoint {
namespace {

void release(void* owner) { delete static_cast<MappedBytes*>(owner); }

constexpr uintptr_t page = 4096;

/// The pages that hold nothing but these bytes leave this process; the system's cache keeps them. Reading them again works.
void let_go(std::span<const std::byte> bytes) {
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(bytes.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

/// In pieces, whose pages are mapped at once: one fault for 4 to 64 KB each costs as much as the copy.
void copy_mapped(std::span<const std::byte> bytes, std::byte* target) {
  constexpr size_t piece = size_t{16} << 20;
  for (size_t done = 0; done < bytes.size(); done += piece) {
    const std::span part = bytes.subspan(done, std::min(piece, bytes.size() - done));
    const uintptr_t begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
    // Only a hint: a kernel before 5.14 does not know it, and the copy works all the same.
    ::madvise(reinterpret_cast<void*>(begin), reinterpret_cast<uintptr_t>(part.data() + part.size()) - begin, MADV_POPULATE_READ);
    std::memcpy(target + done, part.data(), part.size());
    let_go(part);
  }
}

struct Layout {
  std::vector<int64_t> shape, strides;
  int64_t width;
};

/// Without the dimensions of length 1: their strides mean nothing and may be anything, and a file may have so many that a
/// recursion through them would need more stack than there is.
Layout layout_of(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides, int64_t width) {
  Layout layout{{}, {}, width};
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    layout.shape.push_back(shape[i]);
    layout.strides.push_back(strides[i]);
  }
  return layout;
}

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
  copy_elements(layout_of(shape, strides, width), 0, storage.data() + offset * width, out);
  return copy;
}

void copy_tensor(const at::Tensor& source, const at::Tensor& target) {
  const std::span bytes(static_cast<const std::byte*>(source.const_data_ptr()), source.nbytes());
  const bool in_order = is_mapped(source) && source.is_contiguous();
  if (in_order && target.is_cpu() && target.scalar_type() == source.scalar_type() && target.is_contiguous())
    return copy_mapped(bytes, static_cast<std::byte*>(target.mutable_data_ptr()));
  const at::NoGradGuard no_grad;
  target.copy_(source);
  if (in_order) let_go(bytes);
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
