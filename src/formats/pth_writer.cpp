#include <set>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/formats/pth.h"
#include "microemo/formats/safetensors.h"
#include "microemo/formats/utf8.h"
#include "pth_contents.h"
#include "zip_stream.h"

namespace microemo::formats {
namespace {

/// Opcodes of pickle protocol 2, of which torch's weights_only reader knows only some.
class PickleText {
 public:
  PickleText& raw(std::string_view opcodes) {
    text_ += opcodes;
    return *this;
  }
  PickleText& global(std::string_view module, std::string_view name) {
    text_ += fmt::format("c{}\n{}\n", module, name);
    return *this;
  }
  PickleText& text(std::string_view text) {
    text_ += 'X';
    little_endian(text.size(), 4);
    text_ += text;
    return *this;
  }
  PickleText& integer(int64_t value) {
    const bool small = value <= INT32_MAX;
    text_ += small ? std::string_view("J") : std::string_view("\x8a\x08");  // BININT, or LONG1 of 8 bytes
    little_endian(static_cast<uint64_t>(value), small ? 4 : 8);
    return *this;
  }
  PickleText& tuple(const std::vector<int64_t>& values) {
    text_ += '(';
    for (const int64_t value : values) integer(value);
    text_ += 't';
    return *this;
  }
  const std::string& bytes() const { return text_; }

 private:
  void little_endian(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text_ += static_cast<char>(value >> (8 * i) & 0xff);
  }

  std::string text_;
};

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

/// torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks); types without a storage class of their
/// own are bytes with a type, _rebuild_tensor_v3.
void add_tensor(PickleText& out, const PthPlan& plan, size_t key, uint64_t bytes) {
  const std::string_view storage = storage_class_of_dtype(plan.dtype);
  const bool typed = !storage.empty();
  const int64_t elements = static_cast<int64_t>(bytes) / (typed ? dtype_width(plan.dtype) : 1);
  out.text(plan.name).global("torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3").raw("((").text("storage");
  out.global(typed ? "torch" : "torch.storage", typed ? storage : "UntypedStorage");
  out.text(std::to_string(key)).text("cpu").integer(elements).raw("tQ").integer(0);
  out.tuple(plan.shape).tuple(row_major_strides(plan.shape)).raw("\x89").global("collections", "OrderedDict").raw(")R");
  if (!typed) out.global("torch", torch_type_of_dtype(plan.dtype));
  out.raw("tR");
}

std::string make_pickle(const std::vector<PthPlan>& plan, const std::vector<uint64_t>& sizes, const std::string& sub_dict) {
  PickleText out;
  out.raw("\x80\x02}");
  if (!sub_dict.empty()) out.text(sub_dict).raw("}");
  out.raw("(");
  for (size_t i = 0; i < plan.size(); ++i) add_tensor(out, plan[i], i, sizes[i]);
  out.raw("u");
  if (!sub_dict.empty()) out.raw("s");
  return out.raw(".").bytes();
}

void check_plan(const std::vector<PthPlan>& plan) {
  std::set<std::string_view> names;
  for (const PthPlan& tensor : plan) {
    if (!names.insert(tensor.name).second)
      throw InternalError("the name '{}' is taken: tensors need names of their own", tensor.name);
    if (!is_utf8(tensor.name)) throw InternalError("a tensor's name must be UTF-8");
    if (storage_class_of_dtype(tensor.dtype).empty() && torch_type_of_dtype(tensor.dtype).empty())
      throw InternalError("tensor '{}' has the type {}, which .pth files do not hold here", tensor.name, tensor.dtype);
  }
}

uint64_t size_of(const PthPlan& tensor) {
  try {
    return safetensors_size(tensor.dtype, tensor.shape);
  } catch (const Error& mistake) {
    throw InternalError("tensor '{}': {}", tensor.name, mistake.message());
  }
}

}  // namespace

struct PthWriter::State {
  State(std::vector<PthPlan> tensors, std::vector<uint64_t> bytes, const std::filesystem::path& path)
      : plan(std::move(tensors)), sizes(std::move(bytes)), zip(path) {}

  std::vector<PthPlan> plan;
  std::vector<uint64_t> sizes;
  ZipStream zip;
  size_t written = 0;
};

PthWriter::PthWriter(const std::filesystem::path& path, std::vector<PthPlan> plan, const std::string& sub_dict) {
  check_plan(plan);
  if (!is_utf8(sub_dict)) throw InternalError("the name of a dict must be UTF-8");
  std::vector<uint64_t> sizes;
  for (const PthPlan& tensor : plan) sizes.push_back(size_of(tensor));
  const std::string pickle = make_pickle(plan, sizes, sub_dict);
  state_ = std::make_unique<State>(std::move(plan), std::move(sizes), path);
  state_->zip.add("archive/data.pkl", pickle);
  state_->zip.add("archive/byteorder", "little");
}

PthWriter::~PthWriter() = default;

void PthWriter::write(std::span<const std::byte> bytes) {
  MICROEMO_CHECK(state_->written < state_->plan.size(), "there is no tensor left to write");
  const size_t place = state_->written++;
  if (bytes.size() != state_->sizes[place])
    throw InternalError("tensor '{}' has {} bytes; its dtype and shape need {}", state_->plan[place].name, bytes.size(),
                        state_->sizes[place]);
  state_->zip.add(fmt::format("archive/data/{}", place), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void PthWriter::commit() {
  if (state_->written < state_->plan.size())
    throw InternalError("tensor '{}' was not written", state_->plan[state_->written].name);
  state_->zip.add("archive/version", "3\n");
  state_->zip.commit();
}

}  // namespace microemo::formats
