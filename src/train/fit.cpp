#include "microemo/train/fit.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>

#include "microemo/base/error.h"
#include "microemo/nn/absent.h"
#include "microemo/nn/linear.h"

namespace microemo::train {
namespace {

constexpr const char* blocks_of_decoder = "decoder.block";
constexpr const char* pictures_word = "pictures";

nn::FrozenDtype dtype_of(FrozenChoice choice, const std::string& name, bool gpu) {
  const bool small = choice == FrozenChoice::int8 || choice == FrozenChoice::nf4;
  if (small && name.starts_with(blocks_of_decoder))
    return choice == FrozenChoice::int8 ? nn::FrozenDtype::int8 : nn::FrozenDtype::nf4;
  if (choice == FrozenChoice::bf16) return nn::FrozenDtype::bf16;
  if (choice == FrozenChoice::fp32) return nn::FrozenDtype::fp32;
  return gpu ? nn::FrozenDtype::bf16 : nn::FrozenDtype::fp32;
}

at::Tensor weight_of(const nn::Linear& linear) { return linear.named_parameters(false)["weight"]; }

/// Those whose matrix is not trained, by name.
std::vector<std::pair<std::string, nn::Linear*>> frozen_matrices(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, nn::Linear*>> found;
  for (const auto& item : module.named_modules({}, /*include_self=*/false)) {
    auto* linear = dynamic_cast<nn::Linear*>(item.value().get());
    if (linear && !weight_of(*linear).requires_grad()) found.emplace_back(item.key(), linear);
  }
  return found;
}

void require_finite(const at::Tensor& weight, nn::FrozenDtype kind, const std::string& name) {
  if ((kind != nn::FrozenDtype::int8 && kind != nn::FrozenDtype::nf4) || at::isfinite(weight).all().item<bool>()) return;
  throw CheckpointError("'{}' holds NaN or infinite values, which int8 and nf4 cannot keep", name)
      .hint("look for them with microemo inspect --check-finite in the files of train.init_from");
}

/// A matrix of a file in the bytes of int8 or nf4; nothing when these are not its bytes.
std::optional<nn::FrozenWeight> frozen_of(const at::Tensor& values, const at::Tensor& scales, const at::Tensor& like_oi) {
  const bool is_int8 = values.scalar_type() == at::kChar;
  nn::FrozenWeight wanted =
      nn::frozen_weight(at::empty(like_oi.sizes(), at::kMeta), is_int8 ? nn::FrozenDtype::int8 : nn::FrozenDtype::nf4);
  if (values.sizes() != wanted.values.sizes() || values.scalar_type() != wanted.values.scalar_type() ||
      scales.sizes() != wanted.scales.sizes() || scales.scalar_type() != at::kFloat)
    return {};
  wanted.values = values;
  wanted.scales = scales;
  return wanted;
}

[[noreturn]] void refuse(const std::string& recompute, const std::string& why, const std::map<std::string, int64_t>& others) {
  std::string parts = "pictures (the ViT)";
  for (const auto& [name, layers] : others) parts += ", " + name;
  throw ConfigError("'{}' {}", recompute, why)
      .at("train.recompute")
      .hint(
          fmt::format("auto, none, all, or numbers of the decoder's blocks from 0 on, such as 0,2,5-9, with {}; a part may have "
                      "numbers of its layers behind a dot",
                      parts));
}

/// A list of blocks and parts, as it is read.
class RecomputeList {
 public:
  RecomputeList(const std::string& text, int64_t blocks, const std::map<std::string, int64_t>& others)
      : text_(text), others_(others), chosen_{std::vector<bool>(size_t(blocks), false)} {}

  Recomputed read() {
    if (text_.empty() || text_.back() == ',') refuse(text_, "is no list of blocks", others_);
    std::istringstream words(text_);
    for (std::string word; std::getline(words, word, ',');)
      if (word == pictures_word)
        chosen_.pictures = true;
      else if (const auto part = others_.find(word.substr(0, word.find('.'))); part != others_.end())
        choose_layers(part->first, part->second, word);
      else
        choose(chosen_.blocks, word, "the decoder");
    return std::move(chosen_);
  }

 private:
  void choose_layers(const std::string& part, int64_t layers, const std::string& word) {
    std::vector<bool>& chosen = chosen_.layers.try_emplace(part, size_t(layers), false).first->second;
    if (word == part)
      std::fill(chosen.begin(), chosen.end(), true);
    else
      choose(chosen, word.substr(part.size() + 1), part);
  }
  void choose(std::vector<bool>& blocks, const std::string& range, const std::string& owner) const {
    const size_t dash = range.find('-');
    const auto count = int64_t(blocks.size()), first = number(range.substr(0, dash), count, owner);
    const int64_t last = dash == std::string::npos ? first : number(range.substr(dash + 1), count, owner);
    if (last < first) refuse(text_, "has a range that runs backwards", others_);
    std::fill(blocks.begin() + first, blocks.begin() + last + 1, true);
  }
  int64_t number(const std::string& digits, int64_t count, const std::string& owner) const {
    int64_t number = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number < 0)
      refuse(text_, "is no list of blocks", others_);
    if (number >= count) refuse(text_, fmt::format("names block {}, and {} has {}", number, owner, count), others_);
    return number;
  }

  const std::string& text_;
  const std::map<std::string, int64_t>& others_;
  Recomputed chosen_;
};

double number_in(const char* file) {
  double number = std::numeric_limits<double>::infinity();  // also for the word "max"
  std::ifstream(file) >> number;
  return number > 0 ? number : std::numeric_limits<double>::infinity();
}

}  // namespace

void freeze_weights(torch::nn::Module& module, FrozenChoice choice, bool gpu) {
  for (const auto& [name, linear] : frozen_matrices(module)) linear->freeze(dtype_of(choice, name, gpu));
}

void check_finite(const torch::nn::Module& module, FrozenChoice choice) {
  for (const auto& [name, linear] : frozen_matrices(module)) {
    const at::Tensor weight = weight_of(*linear);
    if (weight.is_floating_point()) require_finite(weight, dtype_of(choice, name, /*gpu=*/false), name + ".weight");
  }
}

void check_frozen(const torch::nn::Module& module, FrozenChoice choice) {
  if (choice == FrozenChoice::automatic || choice == FrozenChoice::fp32) return;
  const auto dtype = choice == FrozenChoice::bf16 ? at::kBFloat16 : (choice == FrozenChoice::int8 ? at::kChar : at::kByte);
  for (const at::Tensor& parameter : module.parameters())
    if (parameter.scalar_type() == dtype) return;
  throw ConfigError("it has no effect: {} is trained",
                    choice == FrozenChoice::bf16 ? "every matrix" : "every matrix of the decoder's blocks")
      .at("train.frozen_dtype")
      .hint("name what is not to be trained in train.frozen or train.trainable, or leave train.frozen_dtype at auto");
}

std::map<std::string, checkpoint::OtherTarget> frozen_targets(const torch::nn::Module& module,
                                                              std::function<void(const std::string&)> on_filled) {
  std::map<std::string, checkpoint::OtherTarget> targets;
  for (const auto& [name, linear] : frozen_matrices(module)) {
    if (linear->kind() == nn::FrozenDtype::fp32 && !nn::is_absent(weight_of(*linear))) continue;
    const std::string weight = name + ".weight";
    const auto take = [linear = linear, weight, on_filled](const at::Tensor& given_oi) {
      require_finite(given_oi, linear->kind(), weight);
      linear->fill(given_oi);
      if (on_filled) on_filled(weight);
    };
    targets[weight] = {at::empty({linear->out(), linear->in()}, at::kMeta), take};
    if (linear->named_buffers(false).contains("weight_scales")) targets[weight + "_scales"] = {};
  }
  return targets;
}

void thaw_when_taken(checkpoint::NamedTensors& tensors, std::map<std::string, checkpoint::OtherTarget>& targets,
                     const torch::nn::Module& module, const std::filesystem::path& source) {
  for (const auto& item : module.named_parameters()) {
    const auto scales = tensors.find(item.key() + "_scales"), values = tensors.find(item.key());
    const auto known = targets.find(item.key());
    const at::Tensor like_oi = known == targets.end() ? item.value() : known->second.like;
    if (scales == tensors.end() || values == tensors.end() || like_oi.dim() != 2) continue;
    const auto frozen = frozen_of(values->second, scales->second, like_oi);
    if (!frozen) throw CheckpointError("'{}' is no int8 or nf4 matrix of the model's shape", item.key()).where(source);
    const std::function<void(const at::Tensor&)> further =
        known != targets.end() ? known->second.take
                               : [own = item.value().detach()](const at::Tensor& given) { own.copy_(given); };
    targets[item.key()] = {at::empty(like_oi.sizes(), at::kMeta),
                           [further, frozen = *frozen](const at::Tensor&) { further(nn::thawed(frozen)); }};
    values->second = at::empty(like_oi.sizes(), at::kMeta);
    tensors.erase(scales);
  }
}

double kept_by_block(const model::DecoderOptions& o, int64_t tokens) {
  const int64_t head = o.head_width > 0 ? o.head_width : o.width / o.heads;
  // Inputs of both norms and what they give, the attended sum, queries, keys and values before and after they are turned, the
  // attention's output, and gate, up and their product.
  const double numbers = 5.0 * double(o.width) + 3.0 * double((o.heads + 2 * o.key_value_heads) * head) + 3.0 * double(o.hidden);
  return numbers * double(tokens) * sizeof(float);
}

double kept_by_pictures(const model::VitShape& shape, int64_t pictures) {
  const double hidden = shape.hidden > 0 ? double(shape.hidden) : 4.0 * double(shape.width);
  // Inputs of both norms and what they give, queries, keys and values, what is attended to, and the MLP before and after its
  // activation.
  const double numbers = 8.0 * double(shape.width) + 2.0 * hidden;
  const double tokens =
      double(shape.picture_height / shape.patch * (shape.picture_width / shape.patch) + int64_t(shape.class_token));
  return numbers * tokens * double(shape.layers) * double(pictures) * sizeof(float);
}

Recomputed recomputed_parts(const std::string& recompute, int64_t blocks, const KeptBytes& kept, double free_bytes,
                            const std::map<std::string, int64_t>& others) {
  const bool all = recompute == "all";
  if (all || recompute == "none") {
    Recomputed chosen{std::vector<bool>(size_t(blocks), all), all};
    for (const auto& [name, layers] : others) chosen.layers[name] = std::vector<bool>(size_t(layers), all);
    return chosen;
  }
  if (recompute != "auto") return RecomputeList(recompute, blocks, others).read();
  Recomputed chosen{std::vector<bool>(size_t(blocks), false)};
  double missing = kept.block * double(blocks) + kept.pictures - free_bytes;
  if (free_bytes <= 0 || missing <= 0) return chosen;
  chosen.pictures = kept.pictures > 0 && missing > kept.block * double(blocks);
  if (chosen.pictures) missing -= kept.pictures;
  const auto count = kept.block > 0 ? int64_t(std::ceil(std::max(0.0, missing) / kept.block)) : blocks;
  std::fill(chosen.blocks.end() - std::min(blocks, count), chosen.blocks.end(), true);
  return chosen;
}

double available_memory() {
  double available = std::numeric_limits<double>::infinity();
  std::ifstream memory("/proc/meminfo");
  for (std::string word; memory >> word;)
    if (double kb = 0; word == "MemAvailable:" && memory >> kb) available = kb * 1024;
  const double limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  if (std::isfinite(limit) && std::isfinite(used)) available = std::min(available, std::max(0.0, limit - used));
  return std::isfinite(available) ? available : 0;
}

std::optional<at::ScalarType> compute_type(ComputeType choice, const at::Device& device) {
  if (choice == ComputeType::bf16 || (choice == ComputeType::automatic && device.is_cuda())) return at::kBFloat16;
  return std::nullopt;
}

}  // namespace microemo::train
