// The program of bench/gpu/check.sh.
//
//   gpu_bench kernels [--device cuda|cpu]
//   gpu_bench decoder [--device cuda|cpu] [--layers N --width N --hidden N --heads N --vocabulary N --rows N --tokens N --steps
//   N]
//                     [--frozen bf16|int8|nf4] [--recompute] [--without-kernels]
//
// "kernels" compares every kernel of the plug-in with the CPU's own way and times it against LibTorch's operations on the same
// device; it exits with 1 when one differs. "decoder" trains a decoder of random weights with adapters (rank 16 on queries and
// values) on rows of random tokens, of which the last eighth is learned, and prints tokens a second and the share of the
// arithmetic peak of an H100 (989 TFLOP/s in bf16), counting 4 operations for each weight and token, or 6 with --recompute.
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "microemo/base/device.h"
#include "microemo/base/device_kernels.h"
#include "microemo/base/error.h"
#include "microemo/model/decoder.h"
#include "microemo/nn/dropout.h"
#include "microemo/nn/frozen_weight.h"
#include "microemo/nn/fused.h"
#include "microemo/nn/loss.h"
#include "microemo/nn/rotary.h"
#include "microemo/train/device.h"
#include "microemo/train/fit.h"
#include "microemo/train/optimizer.h"

namespace microemo {
namespace {

using Words = std::map<std::string, std::string>;

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void wait(const at::Device& device) {
  if (device.is_cuda()) wait_for_cuda(device.index());
}

/// Seconds of one call, the lowest of five times.
double time_of(const at::Device& device, const std::function<void()>& work) {
  double lowest = 1e9;
  for (int round = 0; round < 5; ++round) {
    wait(device);
    const double began = now_s();
    constexpr int calls = 5;
    for (int i = 0; i < calls; ++i) work();
    wait(device);
    lowest = std::min(lowest, (now_s() - began) / calls);
  }
  return lowest;
}

struct Kernel {
  const char* name;
  std::vector<at::Tensor> inputs;
  double tolerance;  ///< of the largest difference, relative to the largest number
  std::function<at::Tensor(const std::vector<at::Tensor>&)> work;
  bool gradients = true;
};

std::vector<at::Tensor> results(const Kernel& kernel, const at::Device& device) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : kernel.inputs) leaves.push_back(input.clone().to(device).set_requires_grad(kernel.gradients));
  const at::Tensor y = kernel.work(leaves);
  std::vector<at::Tensor> found{y.detach().cpu()};
  if (!kernel.gradients) return found;
  (y.dim() == 0 ? y : (y * at::arange(y.numel(), at::kFloat).view(y.sizes()).sin().to(y.options())).sum()).backward();
  for (const at::Tensor& leaf : leaves) found.push_back(leaf.grad().cpu());
  return found;
}

double difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const at::Tensor x = a[i].to(at::kDouble), y = b[i].to(at::kDouble);
    const double size = std::max(1.0, x.abs().max().item<double>());
    most = std::max(most, (x - y).abs().max().item<double>() / size);
  }
  return most;
}

std::vector<Kernel> all_kernels(const at::Device& device) {
  const int64_t rows = device.is_cpu() ? 8 : 512, width = device.is_cpu() ? 64 : 4096;
  const nn::RotaryTable table = nn::rotary_table(rows, 128, 10000, {});
  std::vector<uint64_t> keys;
  for (int64_t r = 0; r < rows; ++r) keys.push_back(uint64_t(r) * 77);
  const at::Tensor labels = at::randint(0, 1000, {rows}, at::kLong), weight = at::randn({1000, 64});
  const nn::FrozenWeight nf4 = nn::frozen_weight(at::randn({256, width}), nn::FrozenDtype::nf4);
  return {{"dropout",
           {at::rand({rows, width}) + 0.1},
           0,
           [=](const auto& x) { return nn::dropout(x[0], 0.3, nn::DropoutKeys(keys)); }},
          {"rotary",
           {at::randn({1, rows, 8, 128})},
           2e-6,
           [=](const auto& x) { return nn::apply_rotary(x[0].transpose(1, 2), table, 0); }},
          {"swiglu",
           {at::randn({rows, width}), at::randn({rows, width})},
           2e-6,
           [](const auto& x) { return nn::swiglu(x[0], x[1]); }},
          {"cross-entropy",
           {at::randn({rows, 64}), weight},
           1e-5,
           [=](const auto& x) { return nn::linear_cross_entropy_sum(x[0], x[1], labels); }},
          {"thaw nf4",
           {at::rand({1})},
           0,
           [=](const auto& x) {
             return nn::thawed({nf4.kind, nf4.values.to(x[0].device()), nf4.scales.to(x[0].device()), nf4.out, nf4.in});
           },
           /*gradients=*/false}};
}

int check_kernels(const at::Device& device) {
  const MicroEmoKernels* own = device_kernels();
  bool right = true;
  std::printf("%-16s%14s%14s%14s\n", "kernel", "difference", "ms", "LibTorch ms");
  for (const Kernel& kernel : all_kernels(device)) {
    const double found = difference(results(kernel, at::kCPU), results(kernel, device));
    const auto once = [&] { results(kernel, device); };
    const double with = time_of(device, once);
    set_device_kernels(nullptr);
    const double without = time_of(device, once);
    set_device_kernels(own);
    std::printf("%-16s%14.2g%14.3f%14.3f%s\n", kernel.name, found, 1e3 * with, 1e3 * without,
                found <= kernel.tolerance ? "" : "  DIFFERS");
    right &= found <= kernel.tolerance;
  }
  return right ? 0 : 1;
}

int64_t number(const Words& words, const char* key, int64_t otherwise) {
  const auto found = words.find(key);
  return found == words.end() ? otherwise : std::stoll(found->second);
}

train::FrozenChoice frozen_of(const Words& words) {
  const std::string name = words.contains("frozen") ? words.at("frozen") : "bf16";
  return name == "nf4" ? train::FrozenChoice::nf4 : name == "int8" ? train::FrozenChoice::int8 : train::FrozenChoice::bf16;
}

/// Random weights are drawn where they will lie: memory that nothing has written to costs nothing on the way.
std::shared_ptr<model::Decoder> random_decoder(const Words& words, const train::TrainOptions& options, const at::Device& device) {
  model::DecoderOptions shape;
  shape.layers = number(words, "layers", 32);
  shape.width = number(words, "width", 4096);
  shape.hidden = number(words, "hidden", 11008);
  shape.heads = shape.key_value_heads = number(words, "heads", 32);
  shape.max_tokens = number(words, "tokens", 4096);
  shape.tied_output = shape.utterance_embedding = false;
  auto decoder = std::make_shared<model::Decoder>(shape, number(words, "vocabulary", 32000));
  decoder->attach_lora({.rank = 16, .alpha = 32, .targets = {"query", "value"}});
  train::select_trainable(*decoder, options);
  train::freeze_weights(*decoder, options.frozen_dtype, device.is_cuda());
  decoder->to(device);
  const at::NoGradGuard no_grad;
  for (auto& item : decoder->named_parameters())
    if (item.value().is_floating_point() && item.key().find("norm") == std::string::npos) item.value().normal_(0, 0.02);
  for (auto& item : decoder->named_parameters())
    if (item.key().find("norm") != std::string::npos) item.value().fill_(1);
  decoder->compute_in(at::kBFloat16);
  return decoder;
}

int train_decoder(const Words& words, const at::Device& device) {
  if (words.contains("without-kernels")) set_device_kernels(nullptr);
  train::TrainOptions options;
  options.trainable = {"*lora*"};
  options.frozen_dtype = frozen_of(words);
  const auto decoder = random_decoder(words, options, device);
  if (words.contains("recompute")) decoder->recompute_blocks(std::vector<bool>(size_t(decoder->layers()), true));
  train::AdamW optimizer(*decoder, options);
  const int64_t rows = number(words, "rows", 1), tokens = number(words, "tokens", 4096), steps = number(words, "steps", 10);
  const at::Tensor ids_N = at::randint(0, decoder->embedding_rows(), {rows * tokens}, at::kLong).to(device);
  std::vector<at::Tensor> learned;
  for (int64_t row = 0; row < rows; ++row)
    learned.push_back(at::arange((row + 1) * tokens - tokens / 8, (row + 1) * tokens, at::kLong));
  const at::Tensor learned_n = at::cat(learned),
                   labels_n = at::randint(0, decoder->embedding_rows(), {learned_n.size(0)}, at::kLong);
  const model::PackedRows packed{std::vector<int64_t>(size_t(rows), tokens)};
  const auto step = [&] {
    optimizer.clear_gradients();
    const at::Tensor hidden_nC = decoder->forward_packed(decoder->embed(ids_N), packed, learned_n.to(device));
    const at::Tensor loss =
        nn::linear_cross_entropy_sum(hidden_nC, decoder->output_weight(), labels_n) / double(labels_n.size(0));
    loss.backward();
    train::clip_gradients(optimizer.gradients(), 1.0);
    optimizer.step(1e-4);
    return loss;
  };
  const double first = step().item<double>();
  step();
  wait(device);
  const double began = now_s();
  at::Tensor loss;
  for (int64_t i = 0; i < steps; ++i) loss = step();
  wait(device);
  const double seconds = (now_s() - began) / double(steps), per_second = double(rows * tokens) / seconds;
  double weights = 0;
  for (const auto& item : decoder->named_parameters())
    if (item.key().find("block") != std::string::npos && item.value().dim() == 2) weights += double(item.value().numel());
  const double operations = (words.contains("recompute") ? 6 : 4) * weights * per_second;
  std::printf("%.0f tokens/s, %.1f ms a step, %.1f %% of 989 TFLOP/s, loss %.4f -> %.4f", per_second, 1e3 * seconds,
              100 * operations / 989e12, first, loss.item<double>());
  if (device.is_cuda()) std::printf(", %.1f GB at most", double(cuda_memory(device.index()).peak_allocated) / 1e9);
  std::printf("\n");
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw ConfigError("no task").hint("give kernels or decoder");
  Words words;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string key = arguments[i].substr(arguments[i].find_first_not_of('-'));
    const bool has_value = i + 1 < arguments.size() && !arguments[i + 1].starts_with("--");
    words[key] = has_value ? arguments[++i] : "";
  }
  const Device chosen = choose_device(words.contains("device") ? words.at("device") : "cuda");
  const at::Device device = train::torch_device(chosen);
  std::printf("device: %s\n", chosen.cuda ? chosen.reason.c_str() : "the CPU");
  if (arguments[0] == "kernels") return check_kernels(device);
  if (arguments[0] == "decoder") return train_decoder(words, device);
  throw ConfigError("there is no task '{}'", arguments[0]).hint("give kernels or decoder");
}

}  // namespace
}  // namespace microemo

int main(int count, char** words) {
  try {
    return microemo::run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
