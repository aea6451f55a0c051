// A whole run of the trainer with checkpoints: how long they hold up the steps, and whether memory grows.
//
//   train_run_bench [steps=1000] [save_every=20] [varied] [every_weight]
//
// The model and rows are those of bench/train/decoder (4 layers of 256 channels, vocabulary 32,000, 8 rows of 256 tokens of which
// an eighth is learned, LoRA of rank 16 on queries and values), drawn from a seed, one thread, fp32. `varied` has rows of 64 to
// 256 tokens, others in every step; `every_weight` trains all weights. Prints the longest time that the begin of a checkpoint
// took from the steps, what a checkpoint takes when it is waited for, the median step beside the writer and else, and the
// resident memory behind steps 50 and the last.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/model/decoder.h"
#include "microemo/nn/init.h"
#include "microemo/nn/loss.h"
#include "microemo/train/trainer.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t rows = 8, tokens = 256, vocabulary = 32000, early_step = 50;

struct Words {
  int64_t steps = 1000, save_every = 20;
  bool varied = false, every_weight = false;
};

Words read_words(const std::vector<std::string>& all) {
  Words words;
  for (const std::string& word : all) {
    if (word.starts_with("steps="))
      words.steps = std::stoll(word.substr(6));
    else if (word.starts_with("save_every="))
      words.save_every = std::stoll(word.substr(11));
    else if (word == "varied")
      words.varied = true;
    else if (word == "every_weight")
      words.every_weight = true;
    else
      throw ConfigError("'{}' is none of steps=N, save_every=N, varied, every_weight", word);
  }
  return words;
}

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double resident_mb() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return double(resident) * double(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2), values.end());
  return values[values.size() / 2];
}

std::shared_ptr<model::Decoder> make_decoder() {
  model::DecoderOptions options;
  options.width = 256;
  options.key_value_heads = 4;
  options.hidden = 704;
  options.utterance_embedding = false;
  options.tied_output = false;
  auto decoder = std::make_shared<model::Decoder>(options, vocabulary);
  decoder->attach_lora({.rank = 16, .alpha = 32, .targets = {"query", "value"}});
  nn::initialise(*decoder, 1);
  return decoder;
}

/// One row behind the other in ids_RL and labels_RL [1, N]; the last eighth of each is learned.
model::ClipBatch make_batch(int64_t step, bool varied) {
  std::mt19937_64 random(uint64_t(step) + 1);
  std::vector<int64_t> ids, labels, lengths;
  for (int64_t row = 0; row < rows; ++row) {
    lengths.push_back(varied ? 64 + int64_t(random() % (tokens - 63)) : tokens);
    for (int64_t i = 0; i < lengths.back(); ++i) {
      ids.push_back(3 + int64_t(random() % (vocabulary - 3)));
      labels.push_back(i < lengths.back() - lengths.back() / 8 ? nn::ignored_label : ids.back());
    }
  }
  model::ClipBatch batch;
  batch.ids_RL = at::tensor(ids, at::kLong).unsqueeze(0);
  batch.labels_RL = at::tensor(labels, at::kLong).unsqueeze(0);
  batch.lengths_R = at::tensor(lengths, at::kLong);
  for (int64_t row = 0; row < rows; ++row) batch.ids.push_back("row" + std::to_string(row));
  return batch;
}

/// What is seen between two steps.
struct Watcher {
  int64_t save_every = 0;
  std::vector<double> alone, beside_writer;  ///< seconds of steps
  double began = 0, early_mb = 0;

  void look(int64_t steps_done) {
    const int64_t before = steps_done - 1;
    const double seconds = seconds_now() - began;
    if (before > 0) (before % save_every == 0 ? beside_writer : alone).push_back(seconds);
    if (steps_done == early_step) early_mb = resident_mb();
    began = seconds_now();
  }
};

train::Task make_task(const std::shared_ptr<model::Decoder>& decoder, Watcher& watcher, bool varied) {
  train::Task task;
  task.module = decoder;
  task.batches = [&watcher, varied](int64_t step) {
    watcher.look(step);
    return std::vector{make_batch(step, varied)};
  };
  task.counts = [](const model::ClipBatch& batch) {
    return train::TermCounts{{"answer", batch.labels_RL.ne(nn::ignored_label).sum().item<double>()}};
  };
  task.loss = [decoder](const model::ClipBatch& batch) {
    const at::Tensor labels_N = batch.labels_RL[0], kept_n = labels_N.ne(nn::ignored_label).nonzero().squeeze(1);
    const int64_t* first = batch.lengths_R.const_data_ptr<int64_t>();
    const model::PackedRows packed{{first, first + batch.lengths_R.size(0)}};
    const at::Tensor hidden_nC = decoder->forward_packed(decoder->embed(batch.ids_RL[0]), packed, kept_n);
    const at::Tensor sum = nn::linear_cross_entropy_sum(hidden_nC, decoder->output_weight(), labels_N.index_select(0, kept_n));
    model::BatchLoss loss;
    loss.terms.push_back({"answer", sum, double(kept_n.size(0)), 1.0});
    return loss;
  };
  task.terms = {"answer"};
  return task;
}

int run(const Words& words) {
  at::set_num_threads(1);
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // as microemo train has it
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const TemporaryFolder folder;
  const fs::path run_folder = folder.path() / "run";
  fs::create_directories(run_folder);
  Watcher watcher{.save_every = words.save_every, .alone = {}, .beside_writer = {}};
  const auto decoder = make_decoder();
  train::TrainOptions options;
  options.steps = words.steps;
  options.save_every = words.save_every;
  options.save_minutes = 0;
  options.log_every = 10;
  if (!words.every_weight) options.trainable = {"*lora*"};
  train::Trainer trainer(make_task(decoder, watcher, words.varied), options, run_folder);
  const train::RunOutcome outcome = trainer.run();
  const double late_mb = resident_mb(), began = seconds_now();
  train::AdamW optimizer(*decoder, options);
  train::WeightAverage average(*decoder, 0);
  train::Checkpoints waited_for(folder.path() / "other", options);
  waited_for.save(trainer.state(), {*decoder, optimizer, average});
  waited_for.wait();
  std::printf("checkpoint: %.0f MB, longest stall %.1f ms, %.0f ms when waited for\n",
              double(fs::file_size(outcome.checkpoint / "model.safetensors")) / 1e6, 1e3 * outcome.longest_stall_s,
              1e3 * (seconds_now() - began));
  std::printf("median step: %.0f ms, %.0f ms where a checkpoint is written beside it (%zu and %zu steps)\n",
              1e3 * median(watcher.alone), 1e3 * median(watcher.beside_writer), watcher.alone.size(),
              watcher.beside_writer.size());
  std::printf("resident memory: %.1f MB behind step %lld, %.1f MB behind step %lld (%+.1f %%)\n", watcher.early_mb,
              (long long)early_step, late_mb, (long long)outcome.step, 100 * (late_mb / watcher.early_mb - 1));
  return 0;
}

}  // namespace
}  // namespace microemo

int main(int count, char** words) {
  try {
    return microemo::run(microemo::read_words({words + 1, words + count}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
