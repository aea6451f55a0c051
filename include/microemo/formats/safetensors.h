#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace microemo::formats {

// The safetensors layout (github.com/huggingface/safetensors, "Format"): 8 bytes little-endian header size, a JSON header, the
// tensors' bytes. This is the table only: names, types, shapes and bytes. The checkpoint room makes tensors of it.

/// One tensor of a file. `dtype` is the format's word ("F32", "BF16", "I64", "U8", "BOOL", …). [begin, end) counts bytes from the
/// start of the tensors' bytes.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

/// A safetensors file, mapped. The header is checked in full when it is opened; bytes are read from disk when they are touched.
/// Immutable, thread-safe. Copies are cheap and share the mapping, which lives as long as the last of them.
class SafetensorsFile {
 public:
  /// Throws Error(checkpoint), naming the file and the tensor, when it is missing or truncated, when the header is over 100 MB or
  /// not the JSON object that the format asks for, when a key stands twice, a dtype is unknown, a size differs from dtype x
  /// shape, or when the tensors leave a hole, overlap, or leave the file.
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// In the order of their bytes in the file.
  const std::vector<SafetensorsEntry>& entries() const;
  /// Text that the writer added ("__metadata__"); empty when there is none.
  const std::map<std::string, std::string>& metadata() const;
  bool contains(std::string_view name) const;
  /// Throws Error(checkpoint) that lists the nearest names.
  const SafetensorsEntry& find(std::string_view name) const;
  /// The bytes of one of entries(), little-endian, row-major. A view into the mapping: hold a copy of this object as long as it
  /// is used. It is aligned to the element only when the writer took care of that (write_safetensors does), so copy with memcpy
  /// where it must be.
  std::span<const std::byte> bytes(const SafetensorsEntry& entry) const;
  /// The whole mapping, and where the tensors' bytes begin in it.
  std::span<const std::byte> file_bytes() const;
  uint64_t data_start() const;
  const std::filesystem::path& path() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// Writes a file one tensor after another, so that only one has to be in memory. The file depends on content only, not on the
/// order of the plan: wide elements first, then by name, as the format's own library does, so that every tensor is aligned to its
/// element; the header is padded to 8 bytes. Appears whole at commit(), or not at all. Not thread-safe.
class SafetensorsWriter {
 public:
  /// `plan` says name, dtype and shape of every tensor. Throws Error(internal) for a name used twice or "__metadata__", text that
  /// is not UTF-8, an unknown dtype or a negative length; Error(environment) when the file cannot be written, here and below.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<SafetensorsEntry> plan,
                    const std::map<std::string, std::string>& metadata = {});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  /// The plan in the order that the tensors have to be written in.
  const std::vector<SafetensorsEntry>& entries() const;
  /// The next of entries(), little-endian, row-major. Throws Error(internal) when the size differs from dtype x shape.
  void write(std::span<const std::byte> bytes);
  /// Throws Error(internal) when a tensor was not written.
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A tensor to write; `bytes` (little-endian, row-major) belong to the caller.
struct SafetensorsTensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// SafetensorsWriter for tensors that are all in memory; throws as it does.
void write_safetensors(const std::filesystem::path& path, const std::vector<SafetensorsTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Bytes of a tensor of this dtype and shape. Throws Error(checkpoint) for an unknown dtype, a negative length, a size over 2^63
/// - 1 bytes, or one that is no whole number of bytes.
uint64_t safetensors_size(std::string_view dtype, std::span<const int64_t> shape);

}  // namespace microemo::formats
