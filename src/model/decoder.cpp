#include "microemo/model/decoder.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/nn/fused.h"
#include "microemo/nn/recompute.h"
#include "microemo/nn/sent.h"

namespace microemo::model {

using nn::Linear;

namespace {

int64_t width_of_heads(const DecoderOptions& o) { return o.head_width > 0 ? o.head_width : o.width / o.heads; }

}  // namespace

/// Rows of different lengths as a block reads them.
struct PackedTokens {
  std::vector<int64_t> lengths;
  nn::RotaryTable rotary;  ///< of every token [N, E], not of every position
};

/// What each of L tokens behind others may see.
struct Visible {
  bool causal = true;
  std::optional<at::Tensor> mask_LS = std::nullopt;
};

/// One block: x + attention(norm(x)), then x + down(silu(gate(norm(x))) * up(norm(x))).
class DecoderBlock : public torch::nn::Module {
 public:
  explicit DecoderBlock(const DecoderOptions& o) : heads_(o.heads), groups_(o.key_value_heads) {
    const int64_t head_width = width_of_heads(o);
    attention_norm_ = register_module("attention_norm", std::make_shared<nn::RmsNorm>(o.width, o.norm_epsilon));
    add_projection("query", o.width, heads_ * head_width, o.query_key_value_bias);
    add_projection("key", o.width, groups_ * head_width, o.query_key_value_bias);
    add_projection("value", o.width, groups_ * head_width, o.query_key_value_bias);
    add_projection("output", heads_ * head_width, o.width, o.output_bias);
    mlp_norm_ = register_module("mlp_norm", std::make_shared<nn::RmsNorm>(o.width, o.norm_epsilon));
    add_projection("gate", o.width, o.hidden);
    add_projection("up", o.width, o.hidden);
    add_projection("down", o.hidden, o.width);
  }

  at::Tensor forward(const at::Tensor& x_RLC, const nn::RotaryTable& rotary, KeyValueCache* cache, size_t block,
                     const nn::DropoutKeys& keys) const {
    const PlaceKeys keys_at = [&keys](uint64_t place) { return keys.at(place); };
    const auto [query_RLC, key_RLC, value_RLC] = projected(x_RLC, keys_at);
    const int64_t first = cache ? cache->length() : 0;
    const at::Tensor query_RHLE = nn::apply_rotary(heads_of(query_RLC, heads_), rotary, first);
    at::Tensor key_RGSE = nn::apply_rotary(heads_of(key_RLC, groups_), rotary, first);
    at::Tensor value_RGSE = heads_of(value_RLC, groups_);
    if (cache) std::tie(key_RGSE, value_RGSE) = cache->extend(block, key_RGSE, value_RGSE);
    return completed(x_RLC, attention(query_RHLE, key_RGSE, value_RGSE, visible(first, x_RLC)).flatten(2), keys_at);
  }

  /// One more token of each text, whose rotary angles are those of its own position.
  at::Tensor next(const at::Tensor& x_RC, const nn::RotaryTable& rotary_of_rows, const std::vector<KeyValueCache*>& caches,
                  size_t block) const {
    const PlaceKeys none = [](uint64_t) { return nn::DropoutKeys(); };
    const auto [query_RC, key_RC, value_RC] = projected(x_RC, none);
    const auto turned = [&](const at::Tensor& t_RC, int64_t heads) {
      return nn::apply_rotary(heads_of(t_RC.unsqueeze(0), heads), rotary_of_rows, 0).squeeze(0).transpose(0, 1);
    };
    const at::Tensor key_RGE = turned(key_RC, groups_), value_RGE = value_RC.unflatten(1, {groups_, -1});
    std::vector<nn::CachedRow> rows;
    for (size_t row = 0; row < caches.size(); ++row) {
      caches[row]->append(block, key_RGE, value_RGE, int64_t(row));
      rows.push_back(caches[row]->row(block));
    }
    return completed(x_RC, nn::cached_attention(turned(query_RC, heads_), rows).flatten(1), none);
  }

  at::Tensor packed(const at::Tensor& x_NC, const PackedTokens& tokens, const at::Tensor& kept_n,
                    const nn::DropoutKeys& keys) const {
    const PlaceKeys of_all = [&](uint64_t place) { return keys.at(place).parts(tokens.lengths); };
    const auto [query_NC, key_NC, value_NC] = projected(x_NC, of_all);
    const at::Tensor query_1HNE = nn::apply_rotary(heads_of(query_NC.unsqueeze(0), heads_), tokens.rotary, 0);
    const at::Tensor key_1GNE = nn::apply_rotary(heads_of(key_NC.unsqueeze(0), groups_), tokens.rotary, 0);
    const at::Tensor mixed_NC = attention_of_rows(query_1HNE, key_1GNE, heads_of(value_NC.unsqueeze(0), groups_), tokens.lengths);
    if (!kept_n.defined()) return completed(x_NC, mixed_NC, of_all);
    const PlaceKeys of_kept = [&](uint64_t place) { return of_all(place).rows_at(kept_n); };
    return completed(x_NC.index_select(0, kept_n), mixed_NC.index_select(0, kept_n), of_kept);
  }

  /// Names of all projections, and of those with an adapter, in the order in which a token meets them.
  static const std::vector<std::string>& projections() {
    static const std::vector<std::string> names{"query", "key", "value", "output", "gate", "up", "down"};
    return names;
  }
  std::vector<std::string> adapted() const {
    std::vector<std::string> names;
    std::ranges::copy_if(projections(), std::back_inserter(names),
                         [&](const std::string& name) { return projections_.at(name).linear->has_lora(); });
    return names;
  }
  void attach_lora(const std::string& name, const LoraOptions& options) {
    Projection& projection = projections_.at(name);
    projection.linear->attach_lora(options.rank, options.alpha, options.dropout);
    projection.drops = options.dropout > 0;
  }

 private:
  /// Keys for the dropout of a projection, by its place.
  using PlaceKeys = std::function<nn::DropoutKeys(uint64_t)>;

  struct Projection {
    std::shared_ptr<Linear> linear;
    uint64_t place = 0;
    bool drops = false;  ///< its adapter has dropout: only then are keys made, one for each token

    nn::DropoutKeys keys(const PlaceKeys& keys_at) const { return drops ? keys_at(place) : nn::DropoutKeys(); }
  };

  void add_projection(const std::string& name, int64_t in, int64_t out, bool bias = false) {
    projections_[name] = {register_module(name, std::make_shared<Linear>(in, out, bias)), projections_.size()};
  }
  at::Tensor project(const char* name, const at::Tensor& x, const PlaceKeys& keys_at) const {
    const Projection& projection = projections_.at(name);
    return projection.linear->forward(x, projection.keys(keys_at));
  }
  at::Tensor add_projected(const char* name, const at::Tensor& sum, const at::Tensor& x, const PlaceKeys& keys_at) const {
    const Projection& projection = projections_.at(name);
    return projection.linear->add_to(sum, x, projection.keys(keys_at));
  }

  /// Queries, keys and values, not yet turned.
  std::array<at::Tensor, 3> projected(const at::Tensor& x, const PlaceKeys& keys_at) const {
    const at::Tensor normed = attention_norm_->forward(x);
    return {project("query", normed, keys_at), project("key", normed, keys_at), project("value", normed, keys_at)};
  }

  /// What follows the attention, token by token.
  at::Tensor completed(const at::Tensor& x, const at::Tensor& mixed, const PlaceKeys& keys_at) const {
    const at::Tensor attended = add_projected("output", x, mixed, keys_at), normed = mlp_norm_->forward(attended);
    const at::Tensor hidden = nn::swiglu(project("gate", normed, keys_at), project("up", normed, keys_at));
    return add_projected("down", attended, hidden, keys_at);
  }

  static at::Tensor heads_of(const at::Tensor& x_RLC, int64_t heads) { return x_RLC.unflatten(-1, {heads, -1}).transpose(1, 2); }

  /// Of tokens behind `first` others.
  static Visible visible(int64_t first, const at::Tensor& x_RLC) {
    const int64_t length = x_RLC.size(1);
    if (first == 0) return {};
    if (length == 1) return {.causal = false};
    return {.causal = false, .mask_LS = at::ones({length, first + length}, x_RLC.options().dtype(at::kBool)).tril(first)};
  }

  /// [R, L, H, E]
  at::Tensor attention(const at::Tensor& query_RHLE, const at::Tensor& key_RGSE, const at::Tensor& value_RGSE,
                       const Visible& visible = {}) const {
    return at::scaled_dot_product_attention(query_RHLE, key_RGSE, value_RGSE, visible.mask_LS, 0.0, visible.causal, std::nullopt,
                                            /*enable_gqa=*/heads_ != groups_)
        .transpose(1, 2);
  }

  /// Of each row on its own, [N, C].
  at::Tensor attention_of_rows(const at::Tensor& query_1HNE, const at::Tensor& key_1GNE, const at::Tensor& value_1GNE,
                               const std::vector<int64_t>& lengths) const {
    if (std::all_of(lengths.begin(), lengths.end(), [&](int64_t length) { return length == lengths[0]; })) {
      const auto rows = [&](const at::Tensor& t_1HNE) {
        return t_1HNE.squeeze(0).unflatten(1, {-1, lengths[0]}).transpose(0, 1);
      };
      return attention(rows(query_1HNE), rows(key_1GNE), rows(value_1GNE)).flatten(0, 1).flatten(1);
    }
    // One split of each, as the gradient of a slice is as large as what it was cut from.
    const auto queries = query_1HNE.split_with_sizes(lengths, 2), keys = key_1GNE.split_with_sizes(lengths, 2),
               values = value_1GNE.split_with_sizes(lengths, 2);
    std::vector<at::Tensor> mixed;
    for (size_t row = 0; row < lengths.size(); ++row) mixed.push_back(attention(queries[row], keys[row], values[row]));
    return at::cat(mixed, 1).squeeze(0).flatten(1);
  }

  int64_t heads_, groups_;
  std::shared_ptr<nn::RmsNorm> attention_norm_, mlp_norm_;
  std::map<std::string, Projection> projections_;
};

namespace {

void check_options(const DecoderOptions& o) {
  if ((o.head_width == 0 && o.width % o.heads != 0) || width_of_heads(o) % 2 != 0)
    throw ConfigError("a decoder of {} channels cannot have {} heads", o.width, o.heads)
        .hint("the width of a head must be a whole, even number");
  if (o.heads % o.key_value_heads != 0)
    throw ConfigError("{} query heads cannot share {} key/value heads", o.heads, o.key_value_heads)
        .hint("choose key_value_heads that divides heads");
}

}  // namespace

Decoder::Decoder(const DecoderOptions& options, int64_t vocabulary) : options_(options) {
  check_options(options);
  rotary_ = nn::rotary_table(options.max_tokens, width_of_heads(options), options.rope_theta, options.rope_scaling);
  tokens_ = register_module("tokens", std::make_shared<nn::Embedding>(vocabulary, options.width));
  if (options.utterance_embedding)
    utterances_ = register_module("utterances", std::make_shared<nn::Embedding>(options.utterances, options.width));
  for (int64_t i = 0; i < options.layers; ++i)
    blocks_.push_back(register_module("block" + std::to_string(i), std::make_shared<DecoderBlock>(options)));
  norm_ = register_module("norm", std::make_shared<nn::RmsNorm>(options.width, options.norm_epsilon));
  if (!options.tied_output) output_ = register_module("output", std::make_shared<nn::Embedding>(vocabulary, options.width));
  if (options.lora.rank > 0) attach_lora(options.lora);
}

at::Tensor Decoder::embed(const at::Tensor& ids_RL) const { return tokens_->forward(ids_RL); }

at::Tensor Decoder::add_utterances(const at::Tensor& tokens_RLC, const at::Tensor& utterance_RL) const {
  if (!utterances_) return tokens_RLC;
  return tokens_RLC + utterances_->forward((utterance_RL - 1).clamp_min(0)) * utterance_RL.gt(0).unsqueeze(-1);
}

/// Which block follows. Backward begins with the last block, which is there then; the next token with the first one.
int64_t Decoder::after(size_t block, bool in_backward, bool trains) const {
  const auto number = int64_t(block);
  if (in_backward) return number - 1;
  if (number + 1 < layers()) return number + 1;
  return trains ? -1 : 0;
}

/// A block with its weights. What the graph keeps of them may have gone when backward comes, before whose first product they are
/// brought again.
template <class Compute>
at::Tensor Decoder::computed(size_t block, int64_t next, Compute&& compute) const {
  if (!need_) return compute();
  const auto number = int64_t(block);
  need_(number, next);
  at::Tensor y = compute();
  if (y.requires_grad()) y.register_hook([need = need_, number](const at::Tensor&) { need(number, number - 1); });
  return y;
}

at::Tensor Decoder::forward(const at::Tensor& tokens_RLC, KeyValueCache* cache, std::vector<at::Tensor>* states,
                            const nn::DropoutKeys& keys) const {
  at::Tensor x_RLC = in_compute_type(tokens_RLC);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (states) states->push_back(x_RLC);
    x_RLC = computed(i, after(i, false, at::GradMode::is_enabled()),
                     [&] { return blocks_[i]->forward(x_RLC, rotary_, cache, i, keys.at(i)); });
  }
  if (cache) cache->advance(tokens_RLC.size(1));
  return norm_->forward(x_RLC);
}

at::Tensor Decoder::forward_next(const at::Tensor& tokens_RC, const std::vector<KeyValueCache*>& caches) const {
  std::vector<int64_t> positions(size_t(tokens_RC.size(0)), 0);
  MICROEMO_CHECK(caches.size() <= positions.size(), "{} caches for {} tokens", caches.size(), positions.size());
  for (size_t row = 0; row < caches.size(); ++row) positions[row] = caches[row]->length();
  at::Tensor x_RC = in_compute_type(tokens_RC);
  const nn::RotaryTable rotary = rotary_at(at::tensor(positions, at::kLong), x_RC);
  for (size_t i = 0; i < blocks_.size(); ++i)
    x_RC = computed(i, after(i, false, false), [&] { return blocks_[i]->next(x_RC, rotary, caches, i); });
  for (KeyValueCache* cache : caches) cache->advance(1);
  return norm_->forward(x_RC);
}

int64_t PackedRows::tokens() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }

at::Tensor Decoder::forward_packed(const at::Tensor& tokens_NC, const PackedRows& rows, const at::Tensor& kept_n,
                                   const nn::DropoutKeys& keys) const {
  MICROEMO_CHECK(!rows.lengths.empty() && tokens_NC.size(0) == rows.tokens(), "{} tokens for rows of {}", tokens_NC.size(0),
                 rows.tokens());
  MICROEMO_CHECK(*std::min_element(rows.lengths.begin(), rows.lengths.end()) > 0, "a row of no tokens");
  at::Tensor x_NC = in_compute_type(tokens_NC);
  const PackedTokens tokens{rows.lengths, rotary_of(rows, x_NC)};
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto block = [this, i, tokens, keys = keys.at(i), kept_n = i + 1 == blocks_.size() ? kept_n : at::Tensor(),
                        trains = at::GradMode::is_enabled(), again = std::make_shared<bool>(false)](const at::Tensor& x) {
      // A recomputed block is computed in forward, and a second time in backward.
      const int64_t next = after(i, std::exchange(*again, true), trains);
      return computed(i, next, [&] { return blocks_[i]->packed(x, tokens, kept_n, keys); });
    };
    x_NC = i < recomputed_.size() && recomputed_[i] ? nn::recomputed(block, x_NC, blocks_[i]->parameters()) : block(x_NC);
  }
  return norm_->forward(x_NC);
}

nn::RotaryTable Decoder::rotary_of(const PackedRows& rows, const at::Tensor& like) const {
  std::vector<at::Tensor> positions;
  for (const int64_t length : rows.lengths) positions.push_back(at::arange(length, at::kLong));
  return rotary_at(at::cat(positions), like);
}

nn::RotaryTable Decoder::rotary_at(const at::Tensor& position_N, const at::Tensor& like) const {
  const int64_t last = position_N.max().item<int64_t>();
  MICROEMO_CHECK(last < rotary_.cos_PE.size(0), "position {} lies beyond the rotary table of {}", last, rotary_.cos_PE.size(0));
  const auto rows = [&](const at::Tensor& table_PE) {
    return nn::sent(table_PE.index_select(0, position_N).to(like.scalar_type()), like.device());
  };
  return {rows(rotary_.cos_PE), rows(rotary_.sin_PE)};
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  return at::linear(hidden, output_weight().to(hidden.scalar_type()));
}

void Decoder::attach_lora(const LoraOptions& options) {
  std::set<std::string> used;
  for (size_t i = 0; i < blocks_.size(); ++i)
    for (const std::string& name : blocks_[i]->projections()) {
      const std::string full = fmt::format("block{}.{}", i, name);
      const auto meant = [&](const std::string& target) {
        return target == name || ::fnmatch(target.c_str(), full.c_str(), 0) == 0;
      };
      if (std::ranges::none_of(options.targets, meant)) continue;
      std::ranges::copy_if(options.targets, std::inserter(used, used.end()), meant);
      blocks_[i]->attach_lora(name, options);
    }
  for (const std::string& target : options.targets)
    if (!used.contains(target))
      throw ConfigError("the decoder has no projection '{}' for LoRA", target)
          .at("model.decoder.lora.targets")
          .hint("targets: query, key, value, output, gate, up, down, or patterns such as block[0-7].query");
}

std::string Decoder::adapters_text() const {
  std::vector<std::pair<std::string, std::vector<size_t>>> blocks_of;
  for (size_t i = 0; i < blocks_.size(); ++i)
    for (const std::string& name : blocks_[i]->adapted()) {
      auto found = std::ranges::find(blocks_of, name, [](const auto& entry) { return entry.first; });
      if (found == blocks_of.end()) found = blocks_of.insert(blocks_of.end(), {name, {}});
      found->second.push_back(i);
    }
  std::string text;
  for (const auto& [name, blocks] : blocks_of)
    text += fmt::format("{}{} of {}", text.empty() ? "" : ", ", name,
                        blocks.size() == blocks_.size() ? "every block" : fmt::format("blocks {}", fmt::join(blocks, " ")));
  return text.empty() ? text : fmt::format("adapters of rank {} on {}", options_.lora.rank, text);
}

}  // namespace microemo::model
