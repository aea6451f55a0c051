#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "microemo/formats/pickle.h"
#include "microemo/formats/pth.h"

namespace microemo::formats {

/// [begin, end) in bytes of the file.
struct PthStorage {
  uint64_t begin = 0, end = 0;
};

/// By key. The keys are views of the file.
using PthStorages = std::unordered_map<std::string_view, PthStorage>;

/// What a pickle says of a storage: its class, and of a view (legacy files) where in the storage it begins.
struct PthStorageId {
  PickleValue type;  ///< a global
  std::string_view key;
  int64_t elements = 0;
  int64_t view_offset = 0, view_elements = 0;
};

/// Nothing for persistent values that are no storages ("module").
std::optional<PthStorageId> read_storage_id(const Pickle& pickle, const PickleValue& persistent);

/// The safetensors word of a storage class ("torch.FloatStorage") or of a type ("torch.float32"); empty for others.
std::string_view dtype_of_storage_class(std::string_view global);
std::string_view dtype_of_torch_type(std::string_view global);
/// The other way: "FloatStorage" or "float8_e4m3fn" of the module torch; empty when there is none. UntypedStorage is no answer.
std::string_view storage_class_of_dtype(std::string_view word);
std::string_view torch_type_of_dtype(std::string_view word);
/// Bytes of one element of a word that the two above give.
int64_t dtype_width(std::string_view word);

struct PthContents {
  std::vector<PthTensor> tensors;
  std::map<std::string, std::string> values;
  std::vector<PthUnknown> unknown;
};

struct PthDocument {
  const Pickle& pickle;
  const PthStorages& storages;
  uint64_t file_bytes;
  const std::filesystem::path& path;
};

/// Throws Error(checkpoint), see PthFile.
PthContents read_pth_contents(const PthDocument& document, const PthOptions& options, MemoryBudget& budget);

/// A whole file of torch before 1.6.
PthContents read_legacy_form(std::string_view bytes, const PthOptions& options, const std::filesystem::path& path);

}  // namespace microemo::formats
