#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace microemo::checkpoint {

// Weights where they lie. One view for every public form:
//   - a safetensors file; a folder with model.safetensors, or with shards and model.safetensors.index.json; such an index itself
//   - a .pth/.pt/.bin file of torch.save, zip or legacy; a folder with pytorch_model.bin, or with shards and
//     pytorch_model.bin.index.json; such an index itself
//   - a folder of a PEFT adapter (adapter_model.safetensors or adapter_model.bin)
// What a file is, its first bytes say, not its name. In a folder safetensors go before pickles, whole files before shards.

/// One tensor. Several entries may share bytes of the file (tied weights and views of a .pth); then their file and offset agree.
struct TensorEntry {
  std::string name;
  std::string dtype;             ///< the word of safetensors: "F32", "BF16", "I64", …
  std::vector<int64_t> shape;    ///< empty for a single value
  std::vector<int64_t> strides;  ///< in elements; row-major in safetensors, anything non-negative in a .pth
  uint64_t bytes = 0;            ///< dtype x shape
  size_t file = 0;               ///< place in files()
  uint64_t offset = 0;           ///< of the first element in that file, in bytes
};

/// Something in a .pth that is neither a tensor nor plain data: it was not read, and nothing of it was run.
struct SkippedValue {
  std::string path;    ///< where it stands: "args", "model/quantizer"
  std::string global;  ///< what Python would have called: "argparse.Namespace"
};

enum class UnknownValues { skip, refuse };

struct SourceOptions {
  /// Of a .pth: only this sub-dict, its keys without the prefix. Levels are parted by '/': "model", "state/ema". Other parts of
  /// the file are not read.
  std::string sub_dict = {};
  /// Of a .pth: whether a global that is not known here is listed in skipped() or an error.
  UnknownValues unknown = UnknownValues::skip;
};

/// Immutable, thread-safe; copies are cheap and share the mapping.
class TensorSource {
 public:
  /// Reads headers only: no tensor's bytes are touched, and memory grows with the number of tensors, not with their size. Throws
  /// Error(checkpoint), naming the file, when nothing of the above is there, a file is damaged or truncated, an index names a
  /// tensor that its shard lacks or a file outside the folder, two tensors have one name, or sub_dict is not there (the error
  /// lists what is).
  explicit TensorSource(const std::filesystem::path& path, const SourceOptions& options = {});

  /// safetensors: in the order of their bytes, shard after shard. A .pth: in the order of its dicts, nested ones in depth, with
  /// names such as "model/decoder.weight" and "optimizer/state/0/exp_avg": '/' parts the levels.
  const std::vector<TensorEntry>& entries() const;
  bool contains(std::string_view name) const;
  /// Throws Error(checkpoint) that lists the nearest names.
  const TensorEntry& find(std::string_view name) const;

  /// The tensor, on the CPU, requires_grad false. A view of the mapped file where its bytes are aligned to the element (always in
  /// files of today's libraries), else a copy of its own elements. The view is read from disk when it is touched and keeps the
  /// mapping alive, also without this object; views of one storage of a .pth share their storage here too.
  ///
  /// A view is frozen: LibTorch's operations that would write to it throw c10::Error ("Cannot access data pointer of Tensor …")
  /// before any byte changes, and so do data_ptr() and mutable_data_ptr(); read with const_data_ptr(), and clone() what is to be
  /// changed. All of LibTorch reads such tensors; oneDNN's products of half-precision matrices do not and give way, with a
  /// warning, to slower ones, so move weights to where they are computed with (copy_to, to()). A file that is shortened while it
  /// is mapped ends the process with SIGBUS, which the command line turns into a message.
  ///
  /// Throws Error(checkpoint) for an unknown name, or a dtype that LibTorch has no tensors of (F6_E2M3, F6_E3M2).
  at::Tensor tensor(std::string_view name) const;
  at::Tensor tensor(const TensorEntry& entry) const;

  /// Copies a tensor's elements to `target` of the same shape, on any device, converted to its dtype. The way for whole tensors:
  /// as fast as memcpy, and the file's pages leave memory again behind the copy. Throws Error(checkpoint) for another shape.
  void copy_to(const TensorEntry& entry, const at::Tensor& target) const;

  /// Text of the writer: "__metadata__" of safetensors; of a .pth its plain values (numbers, texts, true, false, none) by their
  /// place ("epoch" -> "3"). Of shards: of all, the first shard's where they differ.
  const std::map<std::string, std::string>& metadata() const;
  const std::vector<SkippedValue>& skipped() const;
  const std::vector<std::filesystem::path>& files() const;
  /// "safetensors", "pth" (zip) or "legacy pth".
  std::string_view format() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// The file that a tensor, or what it is a view of, is mapped from, so that it must not be written to. Empty for other tensors
/// and undefined ones.
std::filesystem::path mapped_file_of(const at::Tensor& tensor);
inline bool is_mapped(const at::Tensor& tensor) { return !mapped_file_of(tensor).empty(); }

/// Throws Error(internal) naming the tensor and the file when it is mapped. For whoever is about to change or train it: LibTorch
/// itself refuses, too, but in words that do not help.
void require_writable(const at::Tensor& tensor, std::string_view name);

}  // namespace microemo::checkpoint
