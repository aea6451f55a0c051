#include <ATen/core/Tensor.h>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/data/sample.h"

namespace microemo::data {
namespace {

/// The options that are not at their defaults, as words of a command line.
std::string changed_words(const Json& values, const Json& defaults, const std::string& above) {
  std::string words;
  for (const auto& [key, value] : values.items())
    if (value.is_object())
      words += changed_words(value, defaults[key], above + key + ".");
    else if (!defaults.contains(key) || defaults[key] != value)
      words += fmt::format(" {}{}={}", above, key, value.is_string() ? value.get<std::string>() : value.dump());
  return words;
}

/// What microemo prepare needs on its command line to take the same from the clips.
std::string prepare_words(const PrepareOptions& options) {
  return changed_words(options_to_json(options), options_to_json(PrepareOptions()), "prepare.");
}

std::string prepare_command(const Manifest& manifest, const std::filesystem::path& cache, const PrepareOptions& options) {
  return fmt::format("microemo prepare {} --cache {}{}", manifest.path.string(), cache.string(), prepare_words(options));
}

}  // namespace

std::vector<std::string> Dataset::partial() const {
  std::vector<std::string> ids;
  for (const Sample& sample : samples)
    if (sample.prepared.damage) ids.push_back(sample.clip.id);
  return ids;
}

Dataset load_words(const Manifest& manifest) {
  Dataset dataset;
  dataset.manifest_hash = manifest.hash;
  for (size_t i = 0; i < manifest.clips.size(); ++i) dataset.samples.push_back({manifest.clips[i], {}, int64_t(i)});
  return dataset;
}

Dataset load_dataset(const Manifest& manifest, const std::filesystem::path& cache, const PrepareOptions& options,
                     bool allow_missing, bool frames) {
  Dataset dataset;
  dataset.manifest_hash = manifest.hash;
  for (size_t i = 0; i < manifest.clips.size(); ++i) {
    const Clip& clip = manifest.clips[i];
    if (clip.video.empty())
      throw DataError("clip '{}' has no video, and the model looks or listens", clip.id)
          .where(manifest.path, clip.line)
          .hint("words alone train a model with model.visual.enabled=false and model.audio.enabled=false");
    const std::filesystem::path file = cache_file(cache, clip, options);
    std::error_code trouble;
    if (std::filesystem::exists(file, trouble)) {
      dataset.samples.push_back({.clip = clip,
                                 .prepared = frames ? read_prepared(file) : read_prepared_without_frames(file),
                                 .index = int64_t(i),
                                 .entry = file});
    } else if (allow_missing) {
      dataset.missing.push_back(clip.id);
    } else {
      throw DataError("clip '{}' is not in the feature cache '{}'", clip.id, cache.string())
          .where(manifest.path, clip.line)
          .hint(fmt::format("run: {} (skipped.jsonl there lists clips that could not be read)",
                            prepare_command(manifest, cache, options)));
    }
  }
  if (dataset.samples.empty())
    throw DataError("none of the {} clips is in the feature cache", manifest.clips.size())
        .where(manifest.path)
        .hint("run: " + prepare_command(manifest, cache, options));
  return dataset;
}

}  // namespace microemo::data
