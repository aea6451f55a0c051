#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace microemo::formats {

// Files of torch.save: a zip archive with a pickle and one record for each storage (since torch 1.6), or the pickles and storages
// one after another before that (torch/serialization.py, _load and _legacy_load). This is the table only: names, types, shapes,
// strides and places. The checkpoint room makes tensors of it. Nothing that stands in the pickle is run (see pickle.h).

/// One tensor. Names part the levels of the dicts and lists around it by '/': "model/decoder.weight",
/// "optimizer/state/0/exp_avg". A file that is a single tensor has it under the name "tensor".
struct PthTensor {
  std::string name;
  std::string dtype;                            ///< the word of safetensors: "F32", "BF16", …
  std::vector<int64_t> shape, strides;          ///< in elements; no stride is negative
  uint64_t storage_begin = 0, storage_end = 0;  ///< bytes of the file; tensors may share a storage
  uint64_t offset = 0;                          ///< of the first element in the storage, in elements
};

/// A value that is neither a tensor nor plain data, and what Python would have called to make it: "argparse.Namespace".
struct PthUnknown {
  std::string path;
  std::string global;
};

struct PthOptions {
  std::string sub_dict = {};    ///< only this part, levels parted by '/'; names are without it
  bool refuse_unknown = false;  ///< an unknown value is an error instead of an entry of unknown()
};

/// Immutable, thread-safe; copies are cheap and share the mapping.
class PthFile {
 public:
  /// Reads the pickle; storages stay untouched but for their headers. Every tensor lies within its storage, and every storage in
  /// the file. Throws Error(checkpoint), naming the file and where it can the value, when it is missing, truncated or damaged, a
  /// TorchScript or tar archive, compressed, from a big-endian machine, holds itself, is nested deeper than 64 levels, has a
  /// single object of an unknown class at its top, when sub_dict is not there, a tensor is over twice the file and 16 MB large
  /// (a repeated one), or reading would take more memory than that.
  explicit PthFile(const std::filesystem::path& path, const PthOptions& options = {});

  /// In the order of the dicts.
  const std::vector<PthTensor>& tensors() const;
  /// The plain values of the dicts as text: "epoch" -> "3". Values in lists are left out.
  const std::map<std::string, std::string>& values() const;
  const std::vector<PthUnknown>& unknown() const;
  bool legacy() const;
  std::span<const std::byte> file_bytes() const;
  const std::filesystem::path& path() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// A tensor to write; row-major.
struct PthPlan {
  std::string name;
  std::string dtype;  ///< a word of safetensors
  std::vector<int64_t> shape;
};

/// Writes a dict of tensors as torch.save does (zip form, pickle protocol 2), one tensor after another, so that only one has to
/// be in memory. torch.load reads it with weights_only=True and with mmap=True; every tensor begins at a multiple of 64 bytes.
/// The file depends on content only. Appears whole at commit(), or not at all. Not thread-safe.
class PthWriter {
 public:
  /// The dict keeps the order of `plan`; `sub_dict` wraps it into another dict under this key, empty leaves it bare. Throws
  /// Error(internal) for a name used twice, text that is not UTF-8, a dtype that torch has no name for here, or a negative
  /// length; Error(environment) when the file cannot be written, here and below.
  PthWriter(const std::filesystem::path& path, std::vector<PthPlan> plan, const std::string& sub_dict = {});
  ~PthWriter();
  PthWriter(const PthWriter&) = delete;
  PthWriter& operator=(const PthWriter&) = delete;

  /// The next of the plan, little-endian, row-major. Throws Error(internal) when the size differs from dtype x shape.
  void write(std::span<const std::byte> bytes);
  /// Throws Error(internal) when a tensor was not written.
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Whether a file of these first bytes is one for PthFile.
bool looks_like_pth(std::string_view first_bytes);

}  // namespace microemo::formats
