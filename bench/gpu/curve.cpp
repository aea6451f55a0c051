#include "curve.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include <ATen/ops/arange.h>

#include "microemo/model/decoder.h"
#include "microemo/nn/dropout.h"
#include "microemo/nn/init.h"
#include "microemo/nn/loss.h"
#include "microemo/train/optimizer.h"

namespace microemo {
namespace {

constexpr int64_t vocabulary = 97, rows = 3, tokens = 40;

/// Rows of tokens that a small decoder can learn: each follows from the one before.
at::Tensor lesson() { return (at::arange(rows * tokens, at::kLong) * 7 + 3) % vocabulary; }

std::vector<double> losses(const at::Device& device) {
  model::DecoderOptions shape;
  shape.layers = 2;
  shape.width = 64;
  shape.hidden = 128;
  shape.heads = shape.key_value_heads = 4;
  shape.max_tokens = tokens;
  shape.utterance_embedding = false;
  model::Decoder decoder(shape, vocabulary);
  decoder.attach_lora({.rank = 4, .alpha = 8, .dropout = 0.2, .targets = {"query", "value", "down"}});
  nn::initialise(decoder, 5);
  train::TrainOptions options;
  options.trainable = {"*"};
  train::select_trainable(decoder, options);
  decoder.to(device);
  train::AdamW optimizer(decoder, options);
  const at::Tensor ids_N = lesson().to(device), labels_N = (lesson() + 7) % vocabulary,
                   kept_n = at::arange(rows * tokens, at::kLong);
  const model::PackedRows packed{std::vector<int64_t>(size_t(rows), tokens)};
  std::vector<double> found;
  for (uint64_t step = 0; step < 20; ++step) {
    std::vector<uint64_t> keys;
    for (uint64_t row = 0; row < uint64_t(rows); ++row) keys.push_back(nn::dropout_key(9, {step, row}));
    optimizer.clear_gradients();
    const at::Tensor hidden_nC =
        decoder.forward_packed(decoder.embed(ids_N), packed, kept_n.to(device), nn::DropoutKeys(std::move(keys)));
    const at::Tensor loss = nn::linear_cross_entropy_sum(hidden_nC, decoder.output_weight(), labels_N) / double(labels_N.size(0));
    loss.backward();
    train::clip_gradients(optimizer.gradients(), 1.0);
    optimizer.step(3e-3);
    found.push_back(loss.item<double>());
  }
  return found;
}

}  // namespace

bool same_curve(const at::Device& device) {
  const std::vector<double> here = losses(at::kCPU), there = losses(device);
  double worst = 0;
  for (size_t i = 0; i < here.size(); ++i) worst = std::max(worst, std::abs(here[i] - there[i]) / std::abs(here[i]));
  std::printf("loss %.5f -> %.5f on the CPU, %.5f -> %.5f on the device; largest relative difference %.1e\n", here.front(),
              here.back(), there.front(), there.back(), worst);
  return worst <= 1e-4;
}

}  // namespace microemo
