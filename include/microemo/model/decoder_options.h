#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/nn/rotary_scaling.h"

namespace microemo::model {

struct LoraOptions {
  int64_t rank = 0;
  double alpha = 16;
  double dropout = 0;
  std::vector<std::string> targets = {"query", "value"};
};
template <class Visitor>
void describe(Visitor& option, LoraOptions& o) {
  const std::string when = "model.decoder.lora.rank is above 0";
  option("rank", o.rank, "Rank of the adapters; 0 attaches none.").min(0).max(8192);
  option("alpha", o.alpha, "The adapters' output is scaled by alpha / rank.").above(0).only_if(o.rank > 0, when);
  option("dropout", o.dropout, "Part of an adapter's input that is dropped at random while training.")
      .min(0)
      .below(1)
      .only_if(o.rank > 0, when);
  option(
      "targets", o.targets,
      "Which projections of the decoder: query, key, value, output, gate, up, down of every block, or patterns (*, ? and []) of "
      "names such as block3.query, block[0-7].* or block1?.gate.")
      .only_if(o.rank > 0, when);
}

struct DecoderOptions {
  int64_t vocabulary = 0;
  int64_t width = 128, layers = 4, heads = 4, key_value_heads = 2, hidden = 320, max_tokens = 512, utterances = 16;
  int64_t head_width = 0;
  double rope_theta = 10000;
  double norm_epsilon = 1e-5;
  bool utterance_embedding = true;
  bool tied_output = true, query_key_value_bias = false, output_bias = false;
  nn::RotaryScaling rope_scaling = {};
  LoraOptions lora;
};
template <class Visitor>
void describe(Visitor& option, DecoderOptions& o) {
  option("vocabulary", o.vocabulary, "Rows of the token table; 0 takes the tokenizer's size, and less than that is refused.")
      .min(0)
      .max(1 << 22);
  option("width", o.width, "Channels of a token.").min(16).max(1 << 16);
  option("layers", o.layers, "Decoder blocks.").min(1).max(1024);
  option("heads", o.heads, "Query heads.").min(1).max(1024);
  option("key_value_heads", o.key_value_heads, "Key and value heads (grouped-query attention); divides heads.").min(1).max(1024);
  option("head_width", o.head_width, "Width of a head; 0 takes width / heads.").min(0).max(8192);
  option("hidden", o.hidden, "Hidden channels of the SwiGLU.").min(16).max(1 << 18);
  option("max_tokens", o.max_tokens, "Longest row; a longer one is an error, never cut.").min(32).max(1 << 20);
  option("utterances", o.utterances, "Most utterances of one clip.").min(1).max(1 << 16);
  option("rope_theta", o.rope_theta, "Base of the rotary angles.").above(1);
  option("rope_scaling", o.rope_scaling, "Positions stretched beyond the rows of training.");
  option("norm_epsilon", o.norm_epsilon, "Epsilon of RMSNorm.").above(0);
  option("tied_output", o.tied_output, "Output rows are those of the token table; false gives them weights of their own.");
  option("query_key_value_bias", o.query_key_value_bias, "Queries, keys and values have biases (Qwen2).");
  option("output_bias", o.output_bias, "The output projection of attention has a bias.");
  option("utterance_embedding", o.utterance_embedding,
         "Add one learned vector per utterance number to its words, its media tokens and the question about it.");
  option("lora", o.lora, "Low-rank adapters of the decoder.");
}

}  // namespace microemo::model
