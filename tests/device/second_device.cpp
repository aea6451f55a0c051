#include "second_device.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <vector>

#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/op_registration/adaption.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_local_scalar_dense_native.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

// LibTorch's PrivateUse1 device on the memory of the CPU. Every operation without a kernel below goes to the kernel of the CPU,
// which is given tensors of the CPU over the same memory.

namespace microemo::test {
namespace {

constexpr auto device_type = c10::DeviceType::PrivateUse1;
constexpr c10::DispatchKeySet device_keys(c10::DispatchKey::PrivateUse1);

constexpr c10::DeviceIndex count_of_devices = 2;
thread_local c10::DeviceIndex in_use = 0;

std::atomic<int64_t> waits = 0, copies = 0;

/// Operations whose result is as large as the numbers say, or is no tensor.
constexpr std::array sized_by_numbers = {"aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique2"};

struct Graph {
  std::vector<std::function<void()>> calls;
};
Graph* recording = nullptr;
int64_t graph_runs = 0;

struct Memory final : c10::Allocator {
  explicit Memory(c10::DeviceIndex i) : index(i) {}
  c10::DeviceIndex index;
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes == 0 ? nullptr : std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (bytes > 0 && data == nullptr) throw std::bad_alloc();
    return {data, data, &std::free, c10::Device(device_type, index)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

Memory& memory(c10::DeviceIndex index) {
  static Memory all[count_of_devices] = {Memory(0), Memory(1)};
  return all[index];
}

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return device_type; }
  c10::Device exchangeDevice(c10::Device next) const override {
    const c10::Device before = getDevice();
    setDevice(next);
    return before;
  }
  c10::Device getDevice() const override { return {device_type, in_use}; }
  void setDevice(c10::Device device) const override { uncheckedSetDevice(device); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { in_use = device.has_index() ? device.index() : in_use; }
  c10::Stream getStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream exchangeStream(c10::Stream next) const override { return c10::Stream(c10::Stream::DEFAULT, next.device()); }
  c10::DeviceIndex deviceCount() const noexcept override { return count_of_devices; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override { ++waits; }
  void synchronizeDevice(c10::DeviceIndex) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, c10::DeviceIndex) const noexcept override {}
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::DeviceType::CPU); }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    c10::DataPtr grown = memory(storage.device().index()).allocate(bytes);
    std::memcpy(grown.get(), storage.data(), std::min(bytes, storage.nbytes()));
    storage.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(grown));
    storage.unsafeGetStorageImpl()->set_nbytes(bytes);
  }
};

/// The same memory as a tensor of the CPU.
at::Tensor on_cpu(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.device().type() != device_type) return tensor;
  const auto storage = tensor.storage();  // held by the deleter
  return at::from_blob(
      tensor.nbytes() == 0 ? nullptr : tensor.data_ptr(), tensor.sizes(), tensor.strides(), [storage](void*) {},
      tensor.options().device(at::kCPU).requires_grad(false));
}

/// The same memory as a tensor of a second device.
at::Tensor on_device(const at::Tensor& tensor, c10::DeviceIndex index) {
  if (!tensor.defined() || !tensor.is_cpu()) return tensor;
  const auto storage = tensor.storage();
  auto* held = new c10::Storage(storage);
  c10::Storage shared(c10::Storage::use_byte_size_t(), storage.nbytes(),
                      c10::DataPtr(
                          storage.mutable_data(), held, [](void* one) { delete static_cast<c10::Storage*>(one); },
                          c10::Device(device_type, index)),
                      &memory(index), /*resizable=*/false);
  auto result = at::detail::make_tensor<c10::TensorImpl>(std::move(shared), device_keys, tensor.dtype());
  result.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(), tensor.storage_offset());
  return result;
}

void check_place(const at::Tensor& tensor, c10::DeviceIndex index, const std::string& operation) {
  if (!tensor.defined() || tensor.device() == c10::Device(device_type, index) || (tensor.is_cpu() && tensor.dim() == 0)) return;
  throw std::runtime_error(operation + " mixes tensors of the second device and of " + tensor.device().str());
}

/// Which device the operation is for.
c10::DeviceIndex index_of(const std::vector<c10::IValue>& arguments) {
  const auto is_there = [](const c10::Device& device) { return device.type() == device_type; };
  const auto of_any = [&](const auto& tensors) {
    for (const at::Tensor& tensor : tensors)
      if (tensor.defined() && is_there(tensor.device())) return tensor.device().index();
    return c10::DeviceIndex{-1};
  };
  for (const c10::IValue& value : arguments) {
    c10::DeviceIndex index = -1;
    if (value.isTensor()) index = of_any(std::vector{value.toTensor()});
    if (value.isTensorList()) index = of_any(value.toTensorVector());
    if (value.isDevice() && is_there(value.toDevice())) index = value.toDevice().index();
    if (index >= 0) return index;
  }
  return in_use;
}

c10::IValue moved(const c10::IValue& value, c10::DeviceIndex index, const std::string& operation) {
  const auto one = [&](const at::Tensor& tensor) {
    check_place(tensor, index, operation);
    return on_cpu(tensor);
  };
  if (value.isTensor()) return one(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(one(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList().vec())
      list.push_back(tensor ? std::optional(one(*tensor)) : std::nullopt);
    return list;
  }
  if (value.isDevice() && value.toDevice().type() == device_type) return c10::Device(at::kCPU);
  return value;
}

/// The argument that a result is, for an operation that works in place; otherwise null.
const c10::IValue* same_argument(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments, size_t result) {
  const c10::AliasInfo* alias = schema.returns()[result].alias_info();
  if (alias == nullptr || !alias->isWrite()) return nullptr;
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    const c10::AliasInfo* own = schema.arguments()[i].alias_info();
    if (own != nullptr && own->beforeSets() == alias->beforeSets()) return &arguments[i];
  }
  return nullptr;
}

c10::IValue back(const c10::IValue& value, c10::DeviceIndex index) {
  if (value.isTensor()) return on_device(value.toTensor(), index);
  if (!value.isTensorList()) return value;
  c10::List<at::Tensor> list;
  for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(on_device(tensor, index));
  return list;
}

void adopt(const at::Tensor& tensor, const at::Tensor& from) {
  tensor.unsafeGetTensorImpl()->set_storage_keep_dtype(from.storage());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(from.sizes(), from.strides(), from.storage_offset());
}

void record_operation(const c10::OperatorHandle& operation, const std::vector<c10::IValue>& arguments,
                      const std::vector<c10::IValue>& results);

void compute_on_cpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = operation.schema();
  const size_t count = schema.arguments().size(), begin = stack->size() - count;
  const std::vector<c10::IValue> arguments(stack->begin() + std::ptrdiff_t(begin), stack->end());
  const c10::DeviceIndex index = index_of(arguments);
  waits += std::ranges::find(sized_by_numbers, schema.name()) != sized_by_numbers.end();
  std::vector<std::pair<at::Tensor, at::Tensor>> outputs;
  for (size_t i = 0; i < count; ++i) {
    (*stack)[begin + i] = moved(arguments[i], index, schema.name());
    if (!schema.arguments()[i].is_out() || !arguments[i].isTensor() || arguments[i].toTensor().numel() > 0) continue;
    // The kernel makes room in it.
    const at::Tensor room = at::empty({0}, arguments[i].toTensor().options().device(at::kCPU));
    (*stack)[begin + i] = room;
    outputs.emplace_back(arguments[i].toTensor(), room);
  }
  operation.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  for (const auto& [output, room] : outputs) adopt(output, on_device(room, index));
  for (size_t i = 0; i < schema.returns().size(); ++i) {
    const c10::IValue* same = same_argument(schema, arguments, i);
    c10::IValue& result = (*stack)[stack->size() - schema.returns().size() + i];
    result = same != nullptr ? *same : back(result, index);
  }
  if (recording != nullptr)
    record_operation(operation, arguments, {stack->end() - std::ptrdiff_t(schema.returns().size()), stack->end()});
}

/// What it gives when it is computed again goes to the memory of what it gave first.
void record_operation(const c10::OperatorHandle& operation, const std::vector<c10::IValue>& arguments,
                      const std::vector<c10::IValue>& results) {
  recording->calls.emplace_back([operation, arguments, results] {
    torch::jit::Stack again(arguments.begin(), arguments.end());
    compute_on_cpu(operation, &again);
    for (size_t i = 0; i < results.size(); ++i) {
      if (!results[i].isTensor() || !results[i].toTensor().defined()) continue;
      const at::Tensor first = on_cpu(results[i].toTensor()), second = on_cpu(again[i].toTensor());
      if (first.data_ptr() != second.data_ptr()) first.copy_(second);
    }
  });
}

Memory& memory_of(const std::optional<at::Device>& device) {
  return memory(device && device->has_index() ? device->index() : in_use);
}

at::Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory_of(device), device_keys, c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &memory_of(device), device_keys, c10::dtype_or_default(type));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (from.device() != to.device()) ++copies;
  if (to.is_cpu() && !non_blocking) ++waits;
  const auto copy = [from, to] { on_cpu(to).copy_(on_cpu(from)); };
  copy();
  record_call(copy);
  return to;
}

const at::Tensor& resize(const at::Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat>) {
  at::TensorImpl* tensor = self.unsafeGetTensorImpl();
  const size_t bytes =
      size_t(c10::multiply_integers(size)) * self.element_size() + size_t(self.storage_offset()) * self.element_size();
  if (bytes > self.storage().nbytes()) at::detail::getPrivateUse1Hooks().resizePrivateUse1Bytes(self.storage(), bytes);
  tensor->set_sizes_contiguous(size);
  return self;
}

/// Forward alone: LibTorch looks for the kernel of a convolution by device.
at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                    at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding,
                    int64_t groups) {
  const auto compute = [=, bias = bias.value_or(at::Tensor()), stride = stride.vec(), padding = padding.vec(),
                        dilation = dilation.vec(), output_padding = output_padding.vec()] {
    return at::convolution(on_cpu(x), on_cpu(weight), on_cpu(bias), stride, padding, dilation, transposed, output_padding,
                           groups);
  };
  const at::Tensor first = compute();
  record_call([=] { first.copy_(compute()); });
  return on_device(first, x.device().index());
}

at::Scalar read_number(const at::Tensor& tensor) {
  ++waits;
  if (recording != nullptr) throw std::runtime_error("a number is read while work is recorded");
  return at::native::_local_scalar_dense_cpu(on_cpu(tensor));
}

}  // namespace

at::Device second_device(int index) {
  static const bool registered = [] {
    static Hooks hooks;
    at::RegisterPrivateUse1HooksInterface(&hooks);
    c10::register_privateuse1_backend("second");
    c10::SetAllocator(device_type, &memory(0));
    return true;
  }();
  return {registered ? device_type : at::kCPU, c10::DeviceIndex(index)};
}

const DeviceGraphs& second_device_graphs() {
  static constexpr DeviceGraphs graphs{.begin = []() -> void* { return recording = new Graph; },
                                       .end = [](void*) { recording = nullptr; },
                                       .run =
                                           [](void* graph) {
                                             ++graph_runs;
                                             for (const auto& call : static_cast<Graph*>(graph)->calls) call();
                                           },
                                       .free = [](void* graph) { delete static_cast<Graph*>(graph); }};
  return graphs;
}

void record_call(std::function<void()> call) {
  if (recording != nullptr) recording->calls.push_back(std::move(call));
}

int64_t second_device_graph_runs() { return graph_runs; }

int64_t second_device_waits() { return waits; }
int64_t second_device_copies() { return copies; }

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute_on_cpu>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", [](const at::Tensor& from, const at::Tensor& to) {
    to.resize_(from.sizes());
    return copy_from(from, to, false);
  });
  library.impl("_local_scalar_dense", &read_number);
  library.impl("convolution_overrideable", &convolve);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("view", &at::native::view);
  library.impl("_reshape_alias", &at::native::_reshape_alias);
  library.impl("unfold", &at::native::unfold);
  library.impl("resize_", &resize);
  // Asked when a parameter is moved from the CPU.
  library.impl("_has_compatible_shallow_copy_type", [](const at::Tensor&, const at::Tensor&) { return true; });
  library.impl(
      "set_.source_Storage_storage_offset",
      [](at::Tensor& self, at::Storage source, int64_t offset, at::IntArrayRef size, at::IntArrayRef stride) -> at::Tensor& {
        self.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(source));
        self.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride, offset);
        return self;
      });
}

}  // namespace microemo::test
