#include <cmath>

#include <ATen/ops/tensor.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/data/sample.h"
#include "microemo/formats/npy.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

const fs::path& file_of(const Clip& clip, const std::string& name) {
  const auto found = clip.features.find(name);
  if (found != clip.features.end()) return found->second;
  std::vector<std::string> given;
  for (const auto& [known, file] : clip.features) given.push_back(known);
  throw DataError("clip '{}' has no feature '{}', which the model reads; it has {}", clip.id, name,
                  given.empty() ? "none" : fmt::format("{}", fmt::join(given, ", ")))
      .at("model.features.names")
      .hint("name its .npy file under \"features\" in the manifest");
}

Error not_a_vector(const fs::path& file, const formats::NpyArray& array, int64_t width) {
  return DataError("the feature is {}; wanted: one vector of {} numbers", array.describe(), width)
      .where(file)
      .hint("save the mean over time where there are several, or set model.features.widths");
}

at::Tensor read_vector(const fs::path& file, int64_t width) {
  const formats::NpyArray array = formats::read_npy(file);
  const auto& shape = array.shape;
  const bool one = shape.size() == 1 || (shape.size() == 2 && shape[0] == 1);
  if (array.kind != formats::NpyKind::floating || !one || shape.back() != width) throw not_a_vector(file, array, width);
  const std::vector<float> values = formats::npy_values<float>(array);
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw DataError("value {} of the feature is {}", i, values[i]).where(file).hint("compute the feature again");
  return at::tensor(values);
}

}  // namespace

std::vector<at::Tensor> read_features(const Clip& clip, const model::FeatureOptions& options) {
  std::vector<at::Tensor> vectors;
  for (size_t i = 0; i < options.names.size(); ++i)
    vectors.push_back(read_vector(file_of(clip, options.names[i]), options.widths.at(i)));
  return vectors;
}

void read_features(Dataset& dataset, const model::FeatureOptions& options) {
  if (options.names.empty()) return;
  std::string hashes = dataset.manifest_hash;
  for (Sample& sample : dataset.samples) {
    sample.features = read_features(sample.clip, options);
    for (const at::Tensor& vector : sample.features)
      hashes += sha256({static_cast<const char*>(vector.const_data_ptr()), vector.nbytes()});
  }
  dataset.manifest_hash = sha256(hashes);
}

}  // namespace microemo::data
