#include "microemo/data/encoded.h"

#include <cstring>
#include <map>

#include <ATen/ops/all.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>

#include "encoded_entry.h"
#include "microemo/base/error.h"
#include "microemo/base/log.h"
#include "microemo/formats/safetensors.h"
#include "prepared_hash.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* layout_key = "format";
constexpr const char* layout_name = "microemo-encoded-1";
constexpr const char* encoder_key = "encoder";
constexpr const char* entry_key = "prepared_entry";
constexpr const char* tokens_name = "tokens";
constexpr size_t digits_of_folder = 16;

Error damaged(const fs::path& file, const std::string& reason) {
  return DataError("the encoder cache's entry is damaged: {}", reason)
      .where(file)
      .hint("remove it and start again: what is missing is encoded before the first step");
}

std::string value_of(const formats::SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? std::string() : found->second;
}

formats::SafetensorsFile opened(const fs::path& path) {
  std::error_code trouble;
  if (!fs::exists(path, trouble))
    throw DataError("the encoder cache has lost the entry")
        .where(path)
        .hint("start again: what is missing is encoded before the first step");
  try {
    return formats::SafetensorsFile(path);
  } catch (const Error& error) {
    throw damaged(path, error.message());
  }
}

const formats::SafetensorsEntry& tokens_of(const formats::SafetensorsFile& file) {
  if (value_of(file, layout_key) != layout_name || !file.contains(tokens_name))
    throw damaged(file.path(), "it is no entry of this version");
  if (value_of(file, entry_key) != file.path().stem()) throw damaged(file.path(), "it is that of another clip");
  const formats::SafetensorsEntry& entry = file.find(tokens_name);
  if (entry.shape.size() != 3 || (entry.dtype != "F32" && entry.dtype != "BF16"))
    throw damaged(file.path(), fmt::format("its tokens have type {} and {} dimensions", entry.dtype, entry.shape.size()));
  return entry;
}

void check_hash(const formats::SafetensorsFile& file) {
  if (value_of(file, entry_hash_key) != entry_hash(file))
    throw damaged(file.path(), "its contents are not those that were written");
}

void check_rows(const formats::SafetensorsFile& file, int64_t rows) {
  const int64_t found = tokens_of(file).shape[0];
  if (found != rows) throw damaged(file.path(), fmt::format("it has {} rows instead of {}", found, rows));
}

at::Tensor loaded(const formats::SafetensorsFile& file) {
  const formats::SafetensorsEntry& entry = tokens_of(file);
  at::Tensor tokens_nSC = at::empty(entry.shape, entry.dtype == "F32" ? at::kFloat : at::kBFloat16);
  const auto bytes = file.bytes(entry);
  if (!bytes.empty()) std::memcpy(tokens_nSC.mutable_data_ptr(), bytes.data(), bytes.size());
  return tokens_nSC;
}

/// In the fewest bytes that keep every bit.
at::Tensor narrowed(const at::Tensor& tokens) {
  const at::Tensor full = tokens.to(at::kCPU, at::kFloat).contiguous(), half = full.to(at::kBFloat16);
  return half.to(at::kFloat).equal(full) ? half : full;
}

}  // namespace

fs::path encoded_folder(const fs::path& cache, const EncodedBy& encoder) {
  return cache / fmt::format("{}-{}", encoder.part, encoder.fingerprint.substr(0, digits_of_folder));
}

fs::path encoded_file(const fs::path& cache, const EncodedBy& encoder, const fs::path& prepared_entry) {
  const std::string name = prepared_entry.filename().string();
  return encoded_folder(cache, encoder) / name.substr(0, 2) / name;
}

void write_encoded(const fs::path& file, const EncodedBy& encoder, const at::Tensor& tokens_nSC) {
  MICROEMO_CHECK(tokens_nSC.dim() == 3, "tokens of a clip have 3 dimensions, not {}", tokens_nSC.dim());
  if (!at::isfinite(tokens_nSC).all().item<bool>())
    throw DataError("what the frozen encoder of {} gives for the clip has NaN or infinite values", encoder.part)
        .where(file)
        .hint("look for them with microemo inspect --check-finite in the files of train.init_from");
  const at::Tensor kept = narrowed(tokens_nSC);
  const std::span<const std::byte> bytes{static_cast<const std::byte*>(kept.const_data_ptr()), kept.nbytes()};
  const std::vector<formats::SafetensorsTensor> tensors{
      {tokens_name, kept.scalar_type() == at::kFloat ? "F32" : "BF16", kept.sizes().vec(), bytes}};
  std::map<std::string, std::string> metadata{
      {layout_key, layout_name}, {encoder_key, encoder.fingerprint}, {entry_key, file.stem().string()}};
  metadata[entry_hash_key] = entry_hash(tensors, metadata);
  formats::write_safetensors(file, tensors, metadata);
}

bool has_encoded(const fs::path& path, const EncodedBy& encoder, int64_t rows) {
  std::error_code trouble;
  if (!fs::exists(path, trouble)) return false;
  try {
    const formats::SafetensorsFile file = opened(path);
    check_rows(file, rows);
    if (value_of(file, encoder_key) != encoder.fingerprint) throw damaged(path, "it is of another encoder");
    return true;
  } catch (const Error& error) {
    log_warning(fmt::format("{} ({}): it is encoded again", error.message(), path.string()));
    return false;
  }
}

at::Tensor read_encoded(const fs::path& path, int64_t rows, const std::string& clip) {
  try {
    const formats::SafetensorsFile file = opened(path);
    check_rows(file, rows);
    check_hash(file);
    return loaded(file);
  } catch (const Error& error) {
    throw DataError("clip '{}': {}", clip, error.message()).where(path).hint(error.next_step());
  }
}

bool is_encoded_entry(const formats::SafetensorsFile& file) { return value_of(file, layout_key) == layout_name; }

void check_encoded_entry(const formats::SafetensorsFile& file) {
  tokens_of(file);
  check_hash(file);
}

}  // namespace microemo::data
