#include "cli/tiny_run.h"

#include <algorithm>

#include "infer/tiny_model.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/checkpoint/load.h"
#include "microemo/data/manifest.h"
#include "microemo/train/options.h"

namespace microemo::test {

TinyRun::TinyRun() : tiny(std::make_shared<TinyModel>()) {
  std::vector<data::Clip> clips;
  for (uint64_t i = 1; i <= 3; ++i) {
    data::Utterance first = spoken(0.0, 0.3, "what does"), second = spoken(0.4, 0.7, "the person feel");
    first.labels = {"sad"};
    second.labels = {"calm", "tired"};
    data::Sample sample = tiny->clip(10 * i, 4 + int64_t(i), {first, second});
    sample.clip.video = place.path() / (sample.clip.id + ".mp4");
    write_file_atomic(sample.clip.video, sample.clip.id);
    sample.clip.split = i == 3 ? "train" : "test";
    data::write_prepared(data::cache_file(cache, sample.clip, tiny->prepare), sample.prepared);
    clips.push_back(sample.clip);
  }
  data::write_manifest(manifest, clips);
  write_checkpoint(0);
}

void TinyRun::write_checkpoint(int64_t step) const {
  checkpoint::PendingFolder folder(checkpoint::step_folder(run, step));
  train::RunOptions options;
  options.train.manifest = manifest;
  options.train.cache = cache;
  options.prepare = tiny->prepare;
  options.model = tiny->options;
  write_json(folder.path() / "config.json", options_to_json(options));
  write_json(folder.path() / "state.json", {{"step", step}});
  write_file_atomic(folder.path() / "tokenizer.model", tiny->tokenizer_bytes);
  checkpoint::write_tensors(folder.path() / "model.safetensors", checkpoint::tensors_of(*tiny->model));
  folder.commit();
}

std::vector<std::string> TinyRun::parts() const {
  std::vector<std::string> names;
  for (const auto& child : tiny->model->named_children())
    if (!child.value()->parameters().empty()) names.push_back(child.key());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace microemo::test
