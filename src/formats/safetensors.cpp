#include "microemo/formats/safetensors.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "microemo/base/nearest.h"
#include "microemo/formats/mapped_file.h"
#include "safetensors_dtypes.h"
#include "safetensors_header.h"

namespace microemo::formats {

struct SafetensorsFile::State {
  explicit State(const std::filesystem::path& path) : file(path, ErrorKind::checkpoint) {}

  MappedFile file;
  size_t data_start = 0;
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
  std::unordered_map<std::string_view, size_t> index;  ///< views of the entries' names
};

namespace {

constexpr uint64_t header_limit = 100'000'000;

uint64_t header_size(const MappedFile& file) {
  const auto bytes = file.bytes();
  if (bytes.size() < 8)
    throw CheckpointError("the file has {} bytes; a safetensors file has at least 8", bytes.size()).where(file.path());
  uint64_t size = 0;
  for (int i = 7; i >= 0; --i) size = size << 8 | std::to_integer<uint64_t>(bytes[static_cast<size_t>(i)]);
  if (size > header_limit)
    throw CheckpointError("the header claims {} bytes; at most {} are allowed", size, header_limit)
        .where(file.path())
        .hint("this is no safetensors file, or it is damaged");
  if (size > bytes.size() - 8)
    throw CheckpointError("the file ends within the header: {} bytes claimed, {} present", size, bytes.size() - 8)
        .where(file.path())
        .hint("fetch or write the file again, it is truncated");
  return size;
}

void check_layout(const std::vector<SafetensorsEntry>& entries, uint64_t data_size, const std::filesystem::path& path) {
  uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != expected)
      throw CheckpointError("tensor '{}' begins at byte {} and not at {}: tensors overlap or leave a hole", entry.name,
                            entry.begin, expected)
          .where(path);
    expected = entry.end;
  }
  if (expected > data_size)
    throw CheckpointError("the tensors need {} bytes, {} are present", expected, data_size)
        .where(path)
        .hint("fetch or write the file again, it is truncated");
  if (expected < data_size)
    throw CheckpointError("{} bytes after the last tensor belong to none", data_size - expected).where(path);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) {
  auto state = std::make_shared<State>(path);
  const uint64_t size = header_size(state->file);
  SafetensorsHeader header = parse_safetensors_header(state->file.text().substr(8, size), state->file.bytes().size(), path);
  state->data_start = 8 + size;
  state->entries = std::move(header.entries);
  state->metadata = std::move(header.metadata);
  std::sort(state->entries.begin(), state->entries.end(),
            [](const auto& a, const auto& b) { return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name); });
  check_layout(state->entries, state->file.bytes().size() - state->data_start, path);
  for (size_t i = 0; i < state->entries.size(); ++i) state->index.emplace(state->entries[i].name, i);
  state_ = std::move(state);
}

const std::vector<SafetensorsEntry>& SafetensorsFile::entries() const { return state_->entries; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return state_->metadata; }
const std::filesystem::path& SafetensorsFile::path() const { return state_->file.path(); }
bool SafetensorsFile::contains(std::string_view name) const { return state_->index.count(name) > 0; }

const SafetensorsEntry& SafetensorsFile::find(std::string_view name) const {
  const auto found = state_->index.find(name);
  if (found != state_->index.end()) return state_->entries[found->second];
  std::vector<std::string_view> names;
  for (const SafetensorsEntry& entry : state_->entries) names.push_back(entry.name);
  Error error = CheckpointError("there is no tensor '{}' among the {} of this file", name, names.size()).where(path());
  if (!names.empty()) error.hint("the nearest names are " + near_names(name, names));
  throw error;
}

std::span<const std::byte> SafetensorsFile::bytes(const SafetensorsEntry& entry) const {
  return state_->file.bytes().subspan(state_->data_start + entry.begin, entry.end - entry.begin);
}

std::span<const std::byte> SafetensorsFile::file_bytes() const { return state_->file.bytes(); }
uint64_t SafetensorsFile::data_start() const { return state_->data_start; }

}  // namespace microemo::formats
