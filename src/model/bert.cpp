#include "microemo/model/bert.h"

#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

#include "load_encoder.h"
#include "microemo/base/error.h"

namespace microemo::model {
namespace {

void check_ids(const at::Tensor& ids, int64_t rows, const char* what) {
  if (ids.numel() == 0) return;
  const auto least = ids.min().item<int64_t>(), most = ids.max().item<int64_t>();
  MICROEMO_CHECK(least >= 0 && most < rows, "{} of {} to {}, and their table has {} rows", what, least, most, rows);
}

}  // namespace

Bert::Bert(const BertOptions& o) : options_(o) {
  tokens_ = register_module("tokens", std::make_shared<nn::Embedding>(o.vocabulary, o.width, /*padding=*/0));
  position_ = register_parameter("position", at::empty({o.max_tokens, o.width}));
  token_type_ = register_parameter("token_type", at::empty({o.token_types, o.width}));
  input_norm_ = register_module("input_norm", std::make_shared<nn::LayerNorm>(o.width, o.norm_epsilon));
  const nn::BlockOptions block{.attention = {.width = o.width, .heads = o.heads},
                               .hidden = o.hidden,
                               .norms = nn::NormPlace::after,
                               .norm_epsilon = o.norm_epsilon};
  for (int64_t i = 0; i < o.layers; ++i)
    blocks_.push_back(register_module("block" + std::to_string(i), std::make_shared<nn::TransformerBlock>(block)));
}

void Bert::check(const at::Tensor& ids_BL, const at::Tensor& mask_BL, const at::Tensor& types_BL) const {
  MICROEMO_CHECK(ids_BL.dim() == 2 && ids_BL.size(1) <= options_.max_tokens, "BERT's ids are [{}]; wanted: [rows, up to {}]",
                 fmt::join(ids_BL.sizes(), ", "), options_.max_tokens);
  for (const at::Tensor& beside : {mask_BL, types_BL})
    MICROEMO_CHECK(!beside.defined() || beside.sizes() == ids_BL.sizes(), "BERT's ids are [{}], and its mask or types [{}]",
                   fmt::join(ids_BL.sizes(), ", "), fmt::join(beside.sizes(), ", "));
  check_ids(ids_BL, options_.vocabulary, "ids");
  if (types_BL.defined()) check_ids(types_BL, options_.token_types, "types");
}

std::vector<at::Tensor> Bert::forward(const at::Tensor& ids_BL, const at::Tensor& mask_BL, const at::Tensor& types_BL) const {
  check(ids_BL, mask_BL, types_BL);
  const at::Tensor types = types_BL.defined()
                               ? token_type_.index_select(0, types_BL.flatten()).view({ids_BL.size(0), -1, options_.width})
                               : token_type_.select(0, 0);
  at::Tensor x_BLC = input_norm_->forward(tokens_->forward(ids_BL) + types + position_.slice(0, 0, ids_BL.size(1)));
  const at::Tensor mask = mask_BL.defined() ? nn::additive_mask(mask_BL).unsqueeze(1).unsqueeze(2) : at::Tensor();
  std::vector<at::Tensor> states{x_BLC};
  for (const auto& block : blocks_) states.push_back(x_BLC = block->forward(x_BLC, mask));
  return states;
}

BertOptions bert_options(const checkpoint::HfBertConfig& config) {
  return {.width = config.hidden_size,
          .layers = config.num_hidden_layers,
          .heads = config.num_attention_heads,
          .hidden = config.intermediate_size,
          .vocabulary = config.vocab_size,
          .max_tokens = config.max_position_embeddings,
          .token_types = config.type_vocab_size,
          .norm_epsilon = config.layer_norm_eps};
}

std::shared_ptr<Bert> load_bert(const std::filesystem::path& folder) {
  const BertOptions options = bert_options(config_of<checkpoint::HfBertConfig>(folder, "bert"));
  const checkpoint::NamedTensors tensors = checkpoint::read_part(folder, "text_encoder", "bert");
  const double tables = double(options.width) * double(options.vocabulary + options.max_tokens + options.token_types);
  checkpoint::require_size(block_parameters(options.layers, options.width, options.hidden) + tables, tensors, folder);
  return frozen_with(std::make_shared<Bert>(options), tensors, folder);
}

}  // namespace microemo::model
