// The program of bench/train/decoder and bench/train/ranks: a decoder with adapters, trained on one batch again and again.
//
//   train_bench FOLDER ADAPTERS BATCH [recompute]
//
// FOLDER is a decoder as transformers saves it; ADAPTERS a safetensors file with "blockN.query.lora_A" and so on; BATCH one with
// input_ids and labels [rows, tokens], the labels not yet moved by one. Then it reads lines: "steps N" makes N steps and prints
// the seconds of the clock and of the processor, the last loss, the highest memory so far and that before the first step (MB).
// Adam's settings are those of the script. As one of
// several ranks (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) it takes its part of the rows.
#include <malloc.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full_like.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/model/hf_decoder.h"
#include "microemo/nn/loss.h"
#include "microemo/parallel/gradient_reducer.h"
#include "microemo/parallel/group.h"
#include "microemo/parallel/launch_context.h"
#include "microemo/train/optimizer.h"

namespace microemo {
namespace {

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

/// Not getrusage's, which a program takes over from the one that started it.
double peak_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (double kb = 0; word == "VmHWM:" && status >> kb) return kb / 1024;
  return 0;
}

struct Batch {
  at::Tensor ids_N, labels_n, learned_n;
  model::PackedRows rows;
  double all_labels = 0;  ///< of all ranks
};

/// The rows of this rank.
Batch read_batch(const std::string& file, const parallel::Group& group) {
  const checkpoint::NamedTensors tensors = checkpoint::read_tensors(file);
  const auto own = [&](const char* name) { return tensors.at(name).chunk(group.world()).at(size_t(group.rank())); };
  const at::Tensor ids_RL = own("input_ids"), labels_RL = own("labels");
  const at::Tensor next_RL = at::full_like(labels_RL, nn::ignored_label);
  next_RL.slice(1, 0, -1).copy_(labels_RL.slice(1, 1));
  Batch batch{.ids_N = ids_RL.flatten(), .labels_n = {}, .learned_n = {}, .rows = {}};
  batch.learned_n = next_RL.flatten().ne(nn::ignored_label).nonzero().squeeze(1);
  batch.labels_n = next_RL.flatten().index_select(0, batch.learned_n);
  batch.all_labels = group.sums({double(batch.labels_n.size(0))}).front();
  batch.rows.lengths.assign(size_t(ids_RL.size(0)), ids_RL.size(1));
  return batch;
}

std::shared_ptr<model::Decoder> make_decoder(const std::string& folder, const std::string& adapters) {
  auto decoder = model::load_hf_decoder(folder);
  const checkpoint::NamedTensors values = checkpoint::read_tensors(adapters);
  decoder->attach_lora({.rank = values.at("block0.query.lora_A").size(0), .alpha = 32, .targets = {"query", "value"}});
  const at::NoGradGuard no_grad;
  for (auto& item : decoder->named_parameters())
    if (const auto found = values.find(item.key()); found != values.end()) item.value().copy_(found->second);
  return decoder;
}

double step(const model::Decoder& decoder, const Batch& batch, train::AdamW& optimizer, parallel::GradientReducer& reducer) {
  optimizer.clear_gradients();
  const at::Tensor hidden_nC = decoder.forward_packed(decoder.embed(batch.ids_N), batch.rows, batch.learned_n);
  const at::Tensor loss = nn::linear_cross_entropy_sum(hidden_nC, decoder.output_weight(), batch.labels_n) / batch.all_labels;
  reducer.last_pass();
  loss.backward();
  reducer.finish();
  train::clip_gradients(optimizer.gradients(), 1.0);
  optimizer.step(1e-3);
  return reducer.group().sums({loss.item<double>()}).front();
}

int run(const std::vector<std::string>& words) {
  at::set_num_threads(1);
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as microemo train has it
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const auto decoder = make_decoder(words.at(0), words.at(1));
  const parallel::LaunchContext context = parallel::launch_context(parallel::environment_variables());
  parallel::Group group = context.world > 1 ? parallel::Group(context, {}) : parallel::Group();
  const Batch batch = read_batch(words.at(2), group);
  if (words.size() > 3) decoder->recompute_blocks(std::vector<bool>(size_t(decoder->layers()), true));
  train::TrainOptions options;
  options.trainable = {"*lora*"};
  options.beta2 = 0.999;
  options.weight_decay = 0;
  train::select_trainable(*decoder, options);
  train::AdamW optimizer(*decoder, options);
  std::vector<at::Tensor> trained;
  for (const at::Tensor& parameter : decoder->parameters())
    if (parameter.requires_grad()) trained.push_back(parameter);
  parallel::GradientReducer reducer(group, trained, /*bucket_mb=*/8);
  const double before_mb = peak_mb();
  std::string word;
  for (int64_t steps = 0; std::cin >> word >> steps;) {
    const double clock = seconds_of(CLOCK_MONOTONIC), processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    double loss = 0;
    for (int64_t i = 0; i < steps; ++i) loss = step(*decoder, batch, optimizer, reducer);
    std::cout << seconds_of(CLOCK_MONOTONIC) - clock << ' ' << seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor << ' '
              << fmt::format("{:.7f}", loss) << ' ' << peak_mb() << ' ' << before_mb << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace microemo

int main(int count, char** words) {
  try {
    return microemo::run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
