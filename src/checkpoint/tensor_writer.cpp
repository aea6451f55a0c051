#include "microemo/checkpoint/tensor_writer.h"

#include <unordered_map>
#include <utility>

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/formats/pth.h"
#include "microemo/formats/safetensors.h"
#include "types.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;

std::string word_of(const TensorPlan& plan) {
  if (const char* word = word_of_type(plan.type)) return word;
  throw InternalError("tensor '{}' has the type {}, which safetensors files do not hold", plan.name, c10::toString(plan.type));
}

/// The tensor of a plan, on the CPU and row-major.
at::Tensor made(const TensorPlan& plan, const TensorMaker& make) {
  const at::Tensor tensor = make(plan);
  MICROEMO_CHECK(tensor.defined(), "tensor '{}' is undefined", plan.name);
  MICROEMO_CHECK(tensor.scalar_type() == plan.type && tensor.sizes() == at::IntArrayRef(plan.shape),
                 "tensor '{}' is {} [{}] and was planned as {} [{}]", plan.name, c10::toString(tensor.scalar_type()),
                 fmt::join(tensor.sizes(), ", "), c10::toString(plan.type), fmt::join(plan.shape, ", "));
  return tensor.detach().cpu().contiguous();
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

uint64_t bytes_of(const TensorPlan& plan) {
  uint64_t bytes = c10::elementSize(plan.type);
  for (const int64_t length : plan.shape) bytes *= static_cast<uint64_t>(length);
  return bytes;
}

/// Consecutive tensors of a plan, each part at most `most` bytes or a single tensor.
std::vector<std::vector<TensorPlan>> cut_into_shards(const std::vector<TensorPlan>& plan, uint64_t most) {
  std::vector<std::vector<TensorPlan>> shards(1);
  uint64_t filled = 0;
  for (const TensorPlan& tensor : plan) {
    const uint64_t bytes = bytes_of(tensor);
    if (!shards.back().empty() && bytes > most - std::min(most, filled)) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(tensor);
    filled += bytes;
  }
  return shards;
}

/// Old shards beside new ones would be read together, or in place of them.
void refuse_filled_folder(const fs::path& folder) {
  if (!fs::is_directory(folder)) return;
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (name.starts_with("model") && (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")))
      throw CheckpointError("the folder holds weights already: {}", name).where(folder).hint("name a new folder, or remove them");
  }
}

void check_names_across_shards(const std::vector<TensorPlan>& plan) {
  std::unordered_map<std::string_view, int> seen;
  for (const TensorPlan& tensor : plan)
    if (++seen[tensor.name] > 1) throw InternalError("the name '{}' is taken: tensors need names of their own", tensor.name);
}

}  // namespace

void write_safetensors_file(const fs::path& path, const std::vector<TensorPlan>& plan, const TensorMaker& make,
                            const std::map<std::string, std::string>& metadata) {
  std::vector<formats::SafetensorsEntry> entries;
  std::unordered_map<std::string_view, const TensorPlan*> plans;
  for (const TensorPlan& tensor : plan) {
    entries.push_back({tensor.name, word_of(tensor), shape_in_file(tensor.type, tensor.shape)});
    plans[tensor.name] = &tensor;
  }
  formats::SafetensorsWriter writer(path, std::move(entries), metadata);
  for (const formats::SafetensorsEntry& entry : writer.entries()) writer.write(bytes_of(made(*plans.at(entry.name), make)));
  writer.commit();
}

std::vector<fs::path> write_safetensors_folder(const fs::path& folder, const std::vector<TensorPlan>& plan,
                                               const TensorMaker& make, const ShardOptions& options) {
  refuse_filled_folder(folder);
  check_names_across_shards(plan);
  const auto shards = cut_into_shards(plan, options.shard_bytes);
  if (shards.size() == 1) {
    write_safetensors_file(folder / "model.safetensors", plan, make, options.metadata);
    return {folder / "model.safetensors"};
  }
  std::vector<fs::path> files;
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    files.push_back(folder / fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size()));
    write_safetensors_file(files.back(), shards[i], make, options.metadata);
    for (const TensorPlan& tensor : shards[i]) total += bytes_of(tensor);
  }
  std::map<std::string, std::string> sorted;
  for (size_t i = 0; i < shards.size(); ++i)
    for (const TensorPlan& tensor : shards[i]) sorted[tensor.name] = files[i].filename().string();
  files.push_back(folder / "model.safetensors.index.json");
  write_json(files.back(), {{"metadata", {{"total_size", total}}}, {"weight_map", sorted}});
  return files;
}

void write_pth(const fs::path& path, const std::vector<TensorPlan>& plan, const TensorMaker& make, const std::string& sub_dict) {
  std::vector<formats::PthPlan> entries;
  for (const TensorPlan& tensor : plan) entries.push_back({tensor.name, word_of(tensor), tensor.shape});
  formats::PthWriter writer(path, std::move(entries), sub_dict);
  for (const TensorPlan& tensor : plan) writer.write(bytes_of(made(tensor, make)));
  writer.commit();
}

}  // namespace microemo::checkpoint
