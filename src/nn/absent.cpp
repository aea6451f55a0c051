#include "microemo/nn/absent.h"

#include <ATen/ops/empty.h>

namespace microemo::nn {

at::Tensor absent(at::IntArrayRef shape, at::ScalarType type) {
  at::Tensor tensor = at::empty({0}, type);
  // The shape of the tensor, and not the size of its storage.
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(shape);
  return tensor;
}

bool is_absent(const at::Tensor& tensor) {
  return tensor.is_cpu() && tensor.has_storage() && tensor.numel() > 0 && tensor.storage().nbytes() == 0;
}

void give_memory(const at::Tensor& tensor) {
  if (is_absent(tensor)) at::Tensor(tensor).set_data(at::empty(tensor.sizes(), tensor.scalar_type()));
}

}  // namespace microemo::nn
