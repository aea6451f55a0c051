#include "train/prepared_set.h"

#include <fstream>

#include "infer/tiny_model.h"
#include "microemo/base/json.h"
#include "microemo/data/prepared.h"

namespace microemo::test {
namespace {

void write_config(const std::filesystem::path& folder, const TinyModel& tiny) {
  const Json config = {{"train",
                        {{"manifest", (folder / "manifest.jsonl").string()},
                         {"cache", (folder / "cache").string()},
                         {"tokenizer", (folder / "tokenizer.model").string()},
                         {"steps", 12},
                         {"warmup_steps", 3},
                         {"batch", 4},
                         {"micro_batch", 2},
                         {"save_every", 0},
                         {"save_minutes", 0}}},
                       {"prepare", options_to_json(tiny.prepare)},
                       {"model", options_to_json(tiny.options)}};
  write_json(folder / "train.json", config);
}

}  // namespace

PreparedSet::PreparedSet(const std::filesystem::path& where, uint64_t train_clips, uint64_t valid_clips) : folder(where) {
  const TinyModel tiny;
  for (uint64_t i = 0; i < train_clips + valid_clips; ++i) {
    data::Utterance first = spoken(0, 0.3, "This frame"), second = spoken(0.4, 0.7, "is sampled");
    first.labels = i % 2 == 0 ? std::vector<std::string>{"happy"} : std::vector<std::string>{"sad", "tired"};
    second.labels = {"calm"};
    data::Sample sample = tiny.clip(10 * i, 4, {first, second});
    sample.clip.split = i < train_clips ? "train" : "valid";
    sample.clip.video = folder / (sample.clip.id + ".mp4");
    std::ofstream(sample.clip.video) << "stand-in " << i;
    data::write_prepared(data::cache_file(folder / "cache", sample.clip, tiny.prepare), sample.prepared);
    clips.push_back(sample.clip);
  }
  write_clips();
  write_file_atomic(folder / "tokenizer.model", tiny.tokenizer_bytes);
  write_config(folder, tiny);
}

void PreparedSet::write_clips() const { data::write_manifest(folder / "manifest.jsonl", clips); }

}  // namespace microemo::test
