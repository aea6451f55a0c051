// The program of bench/gpu/check.sh.
//
//   gpu_bench kernels [--device cuda|cpu]
//   gpu_bench curve [--device cuda|cpu]
//   gpu_bench answers [--device cuda|cpu]
//   gpu_bench model [--device cuda|cpu]
//   gpu_bench encoders [--device cuda|cpu] [--part P]
//   gpu_bench decoder [--device cuda|cpu] [--layers N --width N --hidden N --heads N --vocabulary N --rows N --tokens N --steps
//   N]
//                     [--frozen bf16|int8|nf4] [--recompute] [--without-kernels]
//
// "kernels" compares every kernel of the plug-in with the CPU's own way, in fp32 and bf16, and times it against LibTorch's
// operations on the same device; it exits with 1 when one differs. "decoder" trains a decoder of random weights with adapters
// (rank 16 on queries and values) on rows of random tokens, of which the last eighth is learned, and prints tokens a second and
// the share of the arithmetic peak of an H100 (989 TFLOP/s in bf16), counting 4 operations for each weight and token, or 6 with
// --recompute; then how long a checkpoint stops it (adapters and their optimizer's state are copied to the CPU; the rest is
// written while it goes on).
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "answers.h"
#include "clock.h"
#include "curve.h"
#include "microemo/base/device.h"
#include "microemo/base/device_kernels.h"
#include "microemo/base/error.h"
#include "microemo/model/decoder.h"
#include "microemo/nn/absent.h"
#include "microemo/nn/dropout.h"
#include "microemo/nn/frozen_weight.h"
#include "microemo/nn/fused.h"
#include "microemo/nn/linear.h"
#include "microemo/nn/loss.h"
#include "microemo/nn/rotary.h"
#include "microemo/train/checkpoints.h"
#include "microemo/train/device.h"
#include "microemo/train/fit.h"
#include "microemo/train/optimizer.h"
#include "whole_model.h"
#include "words.h"

namespace microemo {
namespace {

/// Seconds of one call, the lowest of five times.
double time_of(const at::Device& device, const std::function<void()>& work) {
  double lowest = 1e9;
  for (int round = 0; round < 5; ++round) {
    wait(device);
    const double began = now_s();
    constexpr int calls = 50;
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
  bool ours_alone = false;  ///< LibTorch has no operation to time it against
};

std::vector<at::Tensor> on(const std::vector<at::Tensor>& inputs, const at::Device& device, at::ScalarType type, bool gradients) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.clone().to(device, type).set_requires_grad(gradients));
  return leaves;
}

/// What it gives, and the gradients of a weighted sum of that.
std::vector<at::Tensor> results(const Kernel& kernel, const std::vector<at::Tensor>& leaves) {
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

/// In fp32, and in bf16 against the CPU with the same rounded numbers in fp32.
double difference_of(const Kernel& kernel, const at::Device& device, at::ScalarType type) {
  std::vector<at::Tensor> inputs;
  for (const at::Tensor& input : kernel.inputs) inputs.push_back(input.to(type).to(at::kFloat));
  return difference(results(kernel, on(inputs, at::kCPU, at::kFloat, kernel.gradients)),
                    results(kernel, on(inputs, device, type, kernel.gradients)));
}

/// One call, forward and backward, on what lies on the device already.
std::function<void()> alone(const Kernel& kernel, const at::Device& device) {
  const auto leaves = on(kernel.inputs, device, at::kBFloat16, kernel.gradients);
  const at::Tensor dy = at::ones_like(kernel.work(leaves).detach());
  return [work = kernel.work, gradients = kernel.gradients, leaves, dy] {
    for (at::Tensor leaf : leaves) leaf.mutable_grad() = at::Tensor();
    const at::Tensor y = work(leaves);
    if (gradients) y.backward(dy);
  };
}

std::vector<Kernel> all_kernels(const at::Device& device) {
  const int64_t rows = device.is_cpu() ? 8 : 512, width = device.is_cpu() ? 64 : 4096;
  const nn::RotaryTable here = nn::rotary_table(rows, 128, 10000, {}), there{here.cos_PE.to(device), here.sin_PE.to(device)};
  std::vector<uint64_t> keys;
  for (int64_t r = 0; r < rows; ++r) keys.push_back(uint64_t(r) * 77);
  const at::Tensor labels = at::randint(0, 1000, {rows}, at::kLong), weight = at::randn({1000, 64});
  const nn::FrozenWeight nf4 = nn::frozen_weight(at::randn({256, width}), nn::FrozenDtype::nf4),
                         nf4_there{nf4.kind, nf4.values.to(device), nf4.scales.to(device), nf4.out, nf4.in};
  const auto rotary = [=](const auto& x) { return nn::apply_rotary(x[0].transpose(1, 2), x[0].is_cpu() ? here : there, 0); };
  const auto thaw = [=](const auto& x) { return nn::thawed(x[0].is_cpu() ? nf4 : nf4_there, x[0].scalar_type()); };
  return {{.name = "dropout",
           .inputs = {at::rand({rows, width}) + 0.1},
           .tolerance = 0,
           .work = [=](const auto& x) { return nn::dropout(x[0], 0.5, nn::DropoutKeys(keys)); },
           .ours_alone = true},
          {.name = "rotary", .inputs = {at::randn({1, rows, 8, 128})}, .tolerance = 2e-6, .work = rotary},
          {.name = "swiglu",
           .inputs = {at::randn({rows, width}), at::randn({rows, width})},
           .tolerance = 2e-6,
           .work = [](const auto& x) { return nn::swiglu(x[0], x[1]); }},
          {.name = "cross-entropy",
           .inputs = {at::randn({rows, 64}), weight},
           .tolerance = 1e-5,
           .work = [=](const auto& x) { return nn::linear_cross_entropy_sum(x[0], x[1], labels); }},
          {.name = "thaw nf4", .inputs = {at::rand({1})}, .tolerance = 0, .work = thaw, .gradients = false, .ours_alone = true}};
}

/// Of what bf16 can tell: numbers have eight bits, sums of them a few more wrong.
constexpr double bf16_tolerance = 1.0 / 64;

int check_kernels(const at::Device& device) {
  const MicroEmoKernels* own = device_kernels();
  bool right = true;
  std::printf("%-16s%12s%12s%14s%14s\n", "kernel", "in fp32", "in bf16", "us in bf16", "LibTorch us");
  for (const Kernel& kernel : all_kernels(device)) {
    const double found = difference_of(kernel, device, at::kFloat), rounded = difference_of(kernel, device, at::kBFloat16);
    const bool fits = found <= kernel.tolerance && rounded <= bf16_tolerance;
    const double with = time_of(device, alone(kernel, device));
    std::printf("%-16s%12.2g%12.2g%14.1f", kernel.name, found, rounded, 1e6 * with);
    set_device_kernels(nullptr);
    if (kernel.ours_alone)
      std::printf("%14s", "-");
    else
      std::printf("%14.1f", 1e6 * time_of(device, alone(kernel, device)));
    set_device_kernels(own);
    std::printf("%s\n", fits ? "" : "  DIFFERS");
    right &= fits;
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
  const nn::LinearsWithoutWeights without_weights;
  auto decoder = std::make_shared<model::Decoder>(shape, number(words, "vocabulary", 32000));
  decoder->attach_lora({.rank = 16, .alpha = 32, .targets = {"query", "value"}});
  train::select_trainable(*decoder, options);
  train::freeze_weights(*decoder, options.frozen_dtype, device.is_cuda());
  for (const at::Tensor& parameter : decoder->parameters()) nn::give_memory(parameter);
  for (const at::Tensor& buffer : decoder->buffers()) nn::give_memory(buffer);
  decoder->to(device);
  const at::NoGradGuard no_grad;
  for (auto& item : decoder->named_parameters())
    if (item.value().is_floating_point() && item.key().find("norm") == std::string::npos) item.value().normal_(0, 0.02);
  for (auto& item : decoder->named_parameters()) {
    if (item.key().find("norm") != std::string::npos) item.value().fill_(1);
    if (item.value().scalar_type() == at::kByte) item.value().random_(0, 256);
    if (item.value().scalar_type() == at::kChar) item.value().random_(-127, 128);
  }
  for (auto& item : decoder->named_buffers())
    if (item.key().ends_with("weight_scales")) item.value().fill_(0.05);
  decoder->compute_in(at::kBFloat16);
  return decoder;
}

/// How long training stands still for a checkpoint, in seconds, the median of five.
double stall_of(model::Decoder& decoder, train::AdamW& optimizer, const train::TrainOptions& options, const at::Device& device) {
  train::WeightAverage average(decoder, 0);
  train::Checkpoints checkpoints(".", options);
  std::vector<double> seconds;
  for (int round = 0; round < 6; ++round) {
    wait(device);
    const double began = now_s();
    checkpoints.prepare({decoder, optimizer, average});
    if (round > 0) seconds.push_back(now_s() - began);  // the first makes the buffers
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
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
  const double stall = stall_of(*decoder, optimizer, options, device);
  std::printf("\na checkpoint stops it for %.2f ms, %.2f %% of a step\n", 1e3 * stall, 100 * stall / seconds);
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  const Words words = read_words(arguments);
  const Device chosen = choose_device(words.contains("device") ? words.at("device") : "cuda");
  const at::Device device = train::torch_device(chosen);
  std::printf("device: %s\n", chosen.cuda ? chosen.reason.c_str() : "the CPU");
  if (arguments[0] == "kernels") return check_kernels(device);
  if (arguments[0] == "curve") return same_curve(device) ? 0 : 1;
  if (arguments[0] == "answers") return same_answers(device) ? 0 : 1;
  if (arguments[0] == "model") return same_models(device) ? 0 : 1;
  if (arguments[0] == "encoders") {
    time_encoders(device, words.contains("part") ? std::stod(words.at("part")) : 1);
    return 0;
  }
  return train_decoder(words, device);
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
