#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "microemo/eval/extract_endpoint.h"

namespace microemo::infer {

/// A decoder's folder as label extractor.
struct DecoderExtractorOptions {
  std::filesystem::path folder;  ///< config.json, weights, tokenizer, as model::load_hf_decoder and text::Tokenizer read them
  std::string chat = "qwen2.5";  ///< how the question is put: "qwen2.5" or "chatml" (see chat_style), or "plain" (as it is)
};

/// "NAME@HASH": the folder's name, and twelve digits of a SHA-256 over the names and contents of all its files and the chat form:
/// what the replies depend on. Throws Error(config) for another chat form; Error(data) when the folder holds no files.
std::string decoder_extractor_name(const DecoderExtractorOptions& options);

/// Answers the requests of an eval::Endpoint out of the decoder, up to "max_tokens": the most probable token again and again at
/// temperature 0, else tokens that are drawn as SamplingOptions says, a function of the question and the request's seed alone,
/// whatever was asked before. Special tokens that are written in the question are
/// text. The model is loaded at the first request, so that a run whose replies were all kept needs no memory for it. `go_on` is
/// asked behind every token; when it returns false, the reply is given up with Error(environment). Throws as load_hf_decoder,
/// Tokenizer and check_sampling do, and Error(data) for a question longer than the decoder reads or, but for "plain", a tokenizer
/// without <|im_end|>. One thread.
eval::HttpPost decoder_post(const DecoderExtractorOptions& options, std::function<bool()> go_on);

}  // namespace microemo::infer
