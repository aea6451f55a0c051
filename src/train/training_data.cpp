#include <algorithm>
#include <set>

#include <ATen/ops/full.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/log.h"
#include "microemo/train/microemo_task.h"

namespace microemo::train {
namespace {

const std::string& required(const char* key, const std::string& value) {
  if (value.empty())
    throw ConfigError("{} is not set", key).hint(fmt::format("give {}=PATH, or set it in the configuration", key));
  return value;
}

/// The clips of a split. A manifest in which no clip has a split is taken whole: there is nothing to keep apart.
data::Manifest with_split(data::Manifest manifest, const std::string& split, const char* key) {
  std::set<std::string> splits;
  for (const data::Clip& clip : manifest.clips)
    if (!clip.split.empty()) splits.insert(clip.split);
  if (split.empty() || splits.empty()) return manifest;
  std::erase_if(manifest.clips, [&](const data::Clip& clip) { return clip.split != split; });
  if (manifest.clips.empty())
    throw DataError("no clip has the split '{}'; the manifest has {}", split, fmt::join(splits, ", "))
        .where(manifest.path)
        .hint(fmt::format("set {} to one of them", key));
  return manifest;
}

void check_questions(const data::Manifest& manifest) {
  int64_t silent = 0;
  for (const data::Clip& clip : manifest.clips) {
    const auto asked = trainable_questions(clip);
    if (asked.empty())
      throw DataError("clip '{}' has no utterance with labels or an answer, so there is nothing to train on", clip.id)
          .where(manifest.path, clip.line)
          .hint("add labels to one of its utterances, or leave the clip out of the split");
    silent += static_cast<int64_t>(clip.utterances.size() - asked.size());
  }
  if (silent > 0)
    log_warning(fmt::format("{} utterances of {} have neither labels nor an answer: they are seen, and not asked about", silent,
                            manifest.path.string()));
}

data::Dataset load_clips(const data::Manifest& manifest, const RunOptions& options, bool frames) {
  if (!model::looks_or_listens(options.model)) return data::load_words(manifest);
  return data::load_dataset(manifest, required("train.cache", options.train.cache), options.prepare, options.train.allow_missing,
                            frames);
}

/// `hash` becomes that of the manifest and of the features that are read beside it.
std::vector<data::Sample> load_samples(const data::Manifest& manifest, const RunOptions& options, bool frames,
                                       TrainingData& loaded, std::string& hash) {
  check_questions(manifest);
  data::Dataset dataset = load_clips(manifest, options, frames);
  data::read_features(dataset, options.model.features);
  hash = dataset.manifest_hash;
  for (const std::string& id : dataset.missing) log_warning(fmt::format("clip '{}' is not in the cache and left out", id));
  if (const auto partial = dataset.partial(); !partial.empty())
    log_warning(fmt::format("{} of {} clips are partial, as their files break off: {}", partial.size(), dataset.samples.size(),
                            fmt::join(partial, ", ")));
  loaded.missing.insert(loaded.missing.end(), dataset.missing.begin(), dataset.missing.end());
  return std::move(dataset.samples);
}

}  // namespace

TrainingData pattern_data(const RunOptions& options) {
  constexpr double seconds = 10;
  const model::ModelOptions& model = options.model;
  data::Sample sample;
  sample.clip.id = "pattern";
  const int64_t utterances = std::min<int64_t>(3, model.decoder.utterances);
  const double each_s = seconds / static_cast<double>(utterances);
  for (int64_t i = 0; i < utterances; ++i) {
    data::Utterance utterance;
    utterance.start_s = static_cast<double>(i) * each_s;
    utterance.end_s = utterance.start_s + 0.8 * each_s;
    utterance.text = "Well, not what we had in mind.";
    utterance.labels = {"surprised", "disappointed"};
    sample.clip.utterances.push_back(utterance);
  }
  if (model::looks_or_listens(model)) sample.prepared = data::pattern_clip(options.prepare, seconds);
  for (const int64_t width : model.features.widths) sample.features.push_back(at::full({width}, 0.5));
  TrainingData data;
  data.samples.assign(static_cast<size_t>(options.train.batch), sample);
  for (size_t i = 0; i < data.samples.size(); ++i) data.samples[i].index = static_cast<int64_t>(i);
  return data;
}

TrainingData load_training_data(const RunOptions& options, bool frames) {
  const TrainOptions& train = options.train;
  TrainingData loaded;
  const data::Manifest manifest = data::read_manifest(required("train.manifest", train.manifest));
  loaded.samples = load_samples(with_split(manifest, train.split, "train.split"), options, frames, loaded, loaded.manifest_hash);
  if (train.valid_every == 0) return loaded;
  const data::Manifest valid = train.valid_manifest.empty() ? manifest : data::read_manifest(train.valid_manifest);
  loaded.validation = load_samples(with_split(valid, train.valid_split, "train.valid_split"), options, frames, loaded,
                                   loaded.valid_manifest_hash);
  return loaded;
}

}  // namespace microemo::train
