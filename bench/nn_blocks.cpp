// The blocks of bench/nn: builds one block, loads the weights and inputs that the script made, and runs it as often as it is
// told.
//
//   nn_bench KIND FILE [key=value …]     KIND: block, qformer or decoder; FILE: safetensors with the block's parameters, "in.x",
//   "in.gradient" and
//                                        what else the kind takes; keys: the options of the kind
//
// Then it reads lines: "check OUT" writes what the block computes and the gradients to OUT; "forward N" and "both N" run N times,
// without and with the backward pass, and print the seconds of the clock and of the processor.

#include <chrono>
#include <ctime>
#include <functional>
#include <iostream>
#include <map>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "microemo/base/error.h"
#include "microemo/base/freed_memory.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/model/decoder.h"
#include "microemo/nn/attention.h"

namespace microemo {
namespace {

using checkpoint::NamedTensors;

/// key=value words.
class Options {
 public:
  explicit Options(const std::vector<std::string>& words) {
    for (const std::string& word : words) values_[word.substr(0, word.find('='))] = std::stod(word.substr(word.find('=') + 1));
  }
  double operator()(const std::string& key, double otherwise) const {
    const auto found = values_.find(key);
    return found == values_.end() ? otherwise : found->second;
  }
  int64_t whole(const std::string& key, int64_t otherwise = 0) const { return int64_t((*this)(key, double(otherwise))); }

 private:
  std::map<std::string, double> values_;
};

struct Block {
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor(const at::Tensor& x)> forward;
};

nn::AttentionOptions attention_options(const Options& o) {
  return {.width = o.whole("width"),
          .heads = o.whole("heads"),
          .key_bias = o("key_bias", 1) != 0,
          .extra_key_value = o("extra_key_value", 0) != 0};
}

nn::NormPlace norm_place(const Options& o) { return o("norms_after", 0) != 0 ? nn::NormPlace::after : nn::NormPlace::before; }

Block transformer_block(const Options& o) {
  const auto module = std::make_shared<nn::TransformerBlock>(nn::BlockOptions{.attention = attention_options(o),
                                                                              .hidden = o.whole("hidden"),
                                                                              .activation = nn::Activation(o.whole("activation")),
                                                                              .norms = norm_place(o),
                                                                              .norm_epsilon = o("epsilon", 1e-5)});
  return {module, [module](const at::Tensor& x_BLC) { return module->forward(x_BLC); }};
}

Block qformer_layer(const Options& o, const NamedTensors& given) {
  const auto module = std::make_shared<nn::QFormerLayer>(nn::QFormerLayerOptions{.width = o.whole("width"),
                                                                                 .heads = o.whole("heads"),
                                                                                 .memory_width = o.whole("memory_width"),
                                                                                 .text_mlp = o("text_mlp", 0) != 0,
                                                                                 .hidden = o.whole("hidden"),
                                                                                 .norms = norm_place(o),
                                                                                 .norm_epsilon = o("epsilon", 1e-12)});
  const at::Tensor memory_BSC = given.at("in.memory").clone();
  const at::Tensor mask = given.contains("in.mask") ? given.at("in.mask").clone() : at::Tensor();
  return {module, [=, queries = o.whole("queries")](const at::Tensor& x_BLC) {
            return module->forward(x_BLC, queries, memory_BSC, mask, {});
          }};
}

/// A decoder of one block, with its last norm.
Block decoder_block(const Options& o, const NamedTensors& given) {
  model::DecoderOptions options{.width = o.whole("width"),
                                .layers = 1,
                                .heads = o.whole("heads"),
                                .key_value_heads = o.whole("key_value_heads"),
                                .hidden = o.whole("hidden"),
                                .utterance_embedding = false,
                                .lora = {}};
  options.lora.rank = o.whole("rank");
  const auto module = std::make_shared<model::Decoder>(options, given.at("tokens.weight").size(0));
  return {module, [module](const at::Tensor& x_RLC) { return module->forward(x_RLC); }};
}

Block make_block(const std::string& kind, const Options& o, const NamedTensors& given) {
  if (kind == "block") return transformer_block(o);
  return kind == "qformer" ? qformer_layer(o, given) : decoder_block(o, given);
}

class Bench {
 public:
  Bench(const std::string& kind, const std::string& file, const Options& options) {
    NamedTensors given = checkpoint::read_tensors(file);
    block_ = make_block(kind, options, given);
    x_ = given.at("in.x").clone().requires_grad_(true);
    gradient_ = given.at("in.gradient").clone();
    std::erase_if(given, [](const auto& item) { return item.first.starts_with("in."); });
    checkpoint::load_into(*block_.module, given, {.source = file});
    const bool adapts = options.whole("rank") > 0;
    for (auto& item : block_.module->named_parameters())
      item.value().requires_grad_(!adapts || item.key().find("lora_") != std::string::npos);
  }

  void forward() const {
    const at::NoGradGuard no_grad;
    block_.forward(x_);
  }

  at::Tensor both() {
    x_.mutable_grad() = at::Tensor();
    for (at::Tensor& parameter : block_.module->parameters()) parameter.mutable_grad() = at::Tensor();
    const at::Tensor out = block_.forward(x_);
    out.backward(gradient_);
    return out;
  }

  void check(const std::string& file) {
    NamedTensors result{{"out", both().detach()}, {"in.x", x_.grad()}};
    for (const auto& item : block_.module->named_parameters())
      if (item.value().grad().defined()) result[item.key()] = item.value().grad();
    checkpoint::write_tensors(file, result);
  }

 private:
  Block block_;
  at::Tensor x_, gradient_;
};

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

template <class Run>
void timed(int64_t times, Run run) {
  const auto start = std::chrono::steady_clock::now();
  const double processor_start = processor_seconds();
  for (int64_t i = 0; i < times; ++i) run();
  const double processor_s = processor_seconds() - processor_start;
  std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << ' ' << processor_s << std::endl;
}

void serve(Bench& bench) {
  for (std::string command, word; std::cin >> command >> word;) {
    if (command == "check") {
      bench.check(word);
      std::cout << "checked" << std::endl;
    } else if (command == "forward") {
      timed(std::stol(word), [&] { bench.forward(); });
    } else {
      timed(std::stol(word), [&] { bench.both(); });
    }
  }
}

}  // namespace
}  // namespace microemo

int main(int count, char** words) {
  try {
    if (count < 3) throw microemo::ConfigError("two words are wanted: the kind of the block and the file of its weights");
    const microemo::Options options({words + 3, words + count});
    if (options("keep_memory", 1) != 0) microemo::keep_freed_memory();
    at::set_num_threads(1);
    microemo::Bench bench(words[1], words[2], options);
    microemo::serve(bench);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
