#include "microemo/checkpoint/tensor_source.h"

#include <mutex>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <fmt/ranges.h>

#include <ATen/ops/empty.h>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"
#include "types.h"
#include "weight_file.h"

namespace microemo::checkpoint {

struct TensorSource::State {
  std::vector<WeightFile> shards;
  std::vector<std::filesystem::path> files;
  std::vector<TensorEntry> entries;
  std::vector<const StoredTensor*> stored;             ///< of each entry, in its shard
  std::unordered_map<std::string_view, size_t> index;  ///< views of the entries' names
  std::map<std::string, std::string> metadata;
  std::vector<SkippedValue> skipped;
  SharedStorages storages;
};

namespace {

std::vector<WeightFile> read_shards(const WeightFiles& found, const SourceOptions& options) {
  std::vector<WeightFile> shards;
  for (const auto& file : found.files) shards.push_back(read_weight_file(file, options));
  return shards;
}

/// Of a tensor that several shards hold, the one that the index names is taken.
bool belongs_elsewhere(const WeightFiles& found, const std::string& name, size_t shard) {
  const auto place = found.places.find(name);
  return place != found.places.end() && place->second != shard;
}

[[noreturn]] void missing_from_shard(const WeightFiles& found, const std::string& name) {
  throw CheckpointError("the index says that '{}' lies in {}, which does not hold it", name,
                        found.files[found.places.at(name)].filename().string())
      .where(found.index)
      .hint("fetch the shards and their index again, they do not belong together");
}

[[noreturn]] void two_of_a_name(const std::string& name, const std::filesystem::path& file) {
  throw CheckpointError("two tensors have the name '{}'", name).where(file);
}

}  // namespace

TensorSource::TensorSource(const std::filesystem::path& path, const SourceOptions& options) {
  auto state = std::make_shared<State>();
  const WeightFiles found = find_weight_files(path);
  state->files = found.files;
  state->shards = read_shards(found, options);
  for (size_t shard = 0; shard < state->shards.size(); ++shard) {
    for (const StoredTensor& tensor : state->shards[shard].tensors) {
      if (belongs_elsewhere(found, tensor.entry.name, shard)) continue;
      state->entries.push_back(tensor.entry);
      state->entries.back().file = shard;
      state->stored.push_back(&tensor);
    }
    state->metadata.insert(state->shards[shard].metadata.begin(), state->shards[shard].metadata.end());
    state->skipped.insert(state->skipped.end(), state->shards[shard].skipped.begin(), state->shards[shard].skipped.end());
  }
  for (size_t i = 0; i < state->entries.size(); ++i)
    if (!state->index.emplace(state->entries[i].name, i).second)
      two_of_a_name(state->entries[i].name, state->files[state->entries[i].file]);
  for (const auto& [name, place] : found.places)
    if (!state->index.contains(name)) missing_from_shard(found, name);
  state_ = std::move(state);
}

const std::vector<TensorEntry>& TensorSource::entries() const { return state_->entries; }
const std::map<std::string, std::string>& TensorSource::metadata() const { return state_->metadata; }
const std::vector<SkippedValue>& TensorSource::skipped() const { return state_->skipped; }
const std::vector<std::filesystem::path>& TensorSource::files() const { return state_->files; }
std::string_view TensorSource::format() const { return state_->shards.front().format; }
bool TensorSource::contains(std::string_view name) const { return state_->index.contains(name); }

const TensorEntry& TensorSource::find(std::string_view name) const {
  const auto found = state_->index.find(name);
  if (found != state_->index.end()) return state_->entries[found->second];
  std::vector<std::string> names;
  for (const TensorEntry& entry : state_->entries) names.push_back(entry.name);
  Error error = CheckpointError("there is no tensor '{}' among the {} here", name, names.size()).where(state_->files.front());
  const std::string nearest = nearest_name(name, names);
  if (!nearest.empty()) error.hint(fmt::format("the nearest name is '{}'", nearest));
  throw error;
}

at::Tensor TensorSource::tensor(std::string_view name) const { return tensor(find(name)); }

at::Tensor TensorSource::tensor(const TensorEntry& entry) const {
  const StoredTensor& stored = *state_->stored.at(state_->index.at(entry.name));
  const WeightFile& shard = state_->shards[entry.file];
  const auto type = type_of_word(entry.dtype);
  if (!type)
    throw CheckpointError("tensor '{}' has the type {}, which LibTorch has no tensors of", entry.name, entry.dtype)
        .where(shard.path);
  const std::vector<int64_t> shape = shape_in_memory(*type, entry.shape);
  if (entry.bytes == 0) return at::empty(shape, *type);
  const auto width = static_cast<uint64_t>(c10::elementSize(*type));
  const MappedBytes part{shard.file.bytes.subspan(stored.storage_begin, stored.storage_end - stored.storage_begin),
                         shard.file.owner, shard.file.path};
  const auto offset = static_cast<int64_t>((entry.offset - stored.storage_begin) / width);
  const std::vector<int64_t> strides = shape == entry.shape ? entry.strides : row_major_strides(shape);
  if (reinterpret_cast<uintptr_t>(part.bytes.data()) % width != 0)
    return copied_tensor(part.bytes, *type, shape, strides, offset);
  return tensor_in(state_->storages.of(part), *type, shape, strides, offset);
}

void TensorSource::copy_to(const TensorEntry& entry, const at::Tensor& target) const {
  const at::Tensor source = tensor(entry);
  if (source.sizes() != target.sizes())
    throw CheckpointError("tensor '{}' has the shape [{}], and its target [{}]", entry.name, fmt::join(source.sizes(), ", "),
                          fmt::join(target.sizes(), ", "))
        .where(state_->files[entry.file]);
  copy_tensor(source, target);
}

}  // namespace microemo::checkpoint
