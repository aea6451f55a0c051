#include <algorithm>
#include <cerrno>
#include <fstream>
#include <set>
#include <unordered_map>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/write_error.h"
#include "microemo/formats/safetensors.h"
#include "microemo/formats/utf8.h"
#include "safetensors_dtypes.h"
#include "safetensors_header.h"

namespace microemo::formats {
namespace {

void check_metadata(const std::map<std::string, std::string>& metadata) {
  for (const auto& [key, value] : metadata)
    if (!is_utf8(key) || !is_utf8(value)) throw InternalError("metadata must be UTF-8");
}

void check_names(const std::vector<SafetensorsEntry>& plan) {
  std::set<std::string_view> names{"__metadata__"};
  for (const SafetensorsEntry& entry : plan) {
    if (!names.insert(entry.name).second)
      throw InternalError("the name '{}' is taken: tensors need names of their own", entry.name);
    if (!is_utf8(entry.name)) throw InternalError("a tensor's name must be UTF-8");
  }
}

uint64_t size_of(const SafetensorsEntry& entry) {
  try {
    return safetensors_size(entry.dtype, entry.shape);
  } catch (const Error& mistake) {
    throw InternalError("tensor '{}': {}", entry.name, mistake.message());
  }
}

/// Sorts the plan and gives every tensor its place.
void lay_out(std::vector<SafetensorsEntry>& plan) {
  for (SafetensorsEntry& entry : plan) entry.end = size_of(entry);
  std::sort(plan.begin(), plan.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    const int rank_a = find_safetensors_dtype(a.dtype)->rank, rank_b = find_safetensors_dtype(b.dtype)->rank;
    return rank_a != rank_b ? rank_a > rank_b : a.name < b.name;
  });
  uint64_t begin = 0;
  for (SafetensorsEntry& entry : plan) {
    entry.begin = begin;
    begin = entry.end += begin;
  }
}

std::string little_endian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

}  // namespace

struct SafetensorsWriter::State {
  State(const std::filesystem::path& final_path, std::vector<SafetensorsEntry> tensors)
      : path(final_path), pending(final_path), plan(std::move(tensors)), file(pending.temporary(), std::ios::binary) {
    check();
  }
  void check() const {
    if (!file) throw write_error(path, errno);
  }

  std::filesystem::path path;
  PendingFile pending;
  std::vector<SafetensorsEntry> plan;
  std::ofstream file;
  size_t written = 0;
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<SafetensorsEntry> plan,
                                     const std::map<std::string, std::string>& metadata) {
  check_names(plan);
  check_metadata(metadata);
  lay_out(plan);
  const std::string header = format_safetensors_header({plan, metadata});
  state_ = std::make_unique<State>(path, std::move(plan));
  state_->file << little_endian(header.size()) << header;
  state_->check();
}

SafetensorsWriter::~SafetensorsWriter() = default;

const std::vector<SafetensorsEntry>& SafetensorsWriter::entries() const { return state_->plan; }

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  MICROEMO_CHECK(state_->written < state_->plan.size(), "there is no tensor left to write");
  const SafetensorsEntry& entry = state_->plan[state_->written++];
  if (bytes.size() != entry.end - entry.begin)
    throw InternalError("tensor '{}' has {} bytes; its dtype and shape need {}", entry.name, bytes.size(),
                        entry.end - entry.begin);
  state_->file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  state_->check();
}

void SafetensorsWriter::commit() {
  if (state_->written < state_->plan.size())
    throw InternalError("tensor '{}' was not written", state_->plan[state_->written].name);
  state_->file.close();
  state_->check();
  state_->pending.commit();
}

void write_safetensors(const std::filesystem::path& path, const std::vector<SafetensorsTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsEntry> plan;
  std::unordered_map<std::string_view, std::span<const std::byte>> bytes;
  for (const SafetensorsTensor& tensor : tensors) {
    plan.push_back({tensor.name, tensor.dtype, tensor.shape});
    bytes[tensor.name] = tensor.bytes;
  }
  SafetensorsWriter writer(path, std::move(plan), metadata);
  for (const SafetensorsEntry& entry : writer.entries()) writer.write(bytes.at(entry.name));
  writer.commit();
}

}  // namespace microemo::formats
