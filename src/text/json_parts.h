#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decoders.h"
#include "microemo/base/json.h"
#include "split.h"
#include "wordpiece.h"

namespace microemo::text {

// The parts of a tokenizer.json (github.com/huggingface/tokenizers) around its model: what is done before, how a text is cut,
// what stands around the ids and how they become text again. A type that is not known here is Error(data) naming those that are.

struct NormalizerStep {
  enum Kind { nfc, nfd, lower, prepend, replace, bert } kind;
  std::string from{}, to{};  ///< replace; prepend uses `to`
  BertCleaning cleaning{};
};

struct Cutting {
  enum Kind { whole, byte_level, metaspace, bert } kind = whole;
  std::optional<SplitPattern> pattern{};                  ///< byte_level: words; without one the text is one word
  bool prefix_blank = false;                              ///< byte_level: a text that does not begin with a blank gets one
  std::string blank{};                                    ///< metaspace: what stands for a blank
  enum Prepend { always, first, never } prepend = never;  ///< metaspace: whether one goes before the text
  bool split_at_blanks = false;                           ///< metaspace
};

struct Decoding {
  enum Kind { bytes, pieces, wordpiece } kind = pieces;
  PieceDecoding of_pieces{};
  std::string continuation{};
  bool tidy = false;
};

/// The member itself, where json_get would copy it. Error(data) when it is missing.
const Json& json_member(const Json& object, std::string_view key, const std::filesystem::path& file);
/// The same for a list; Error(data) also when it is none.
const Json& json_list(const Json& object, std::string_view key, const std::filesystem::path& file);

std::vector<NormalizerStep> read_normalizer(const Json& value, const std::filesystem::path& file);
Cutting read_pre_tokenizer(const Json& value, const std::filesystem::path& file);
Decoding read_decoder(const Json& value, const std::filesystem::path& file);
/// Ids before and after a single text.
std::pair<std::vector<int64_t>, std::vector<int64_t>> read_post_processor(const Json& value, const std::filesystem::path& file);

std::string normalized(std::string_view text, const std::vector<NormalizerStep>& steps);

/// Printable stand-ins for bytes that byte-level vocabularies are written with (GPT-2, Radford et al. 2019). The second gives the
/// bytes of such a text, or nothing where a character stands for none.
std::string printable_byte(uint8_t byte);
std::optional<std::string> bytes_of_printable(std::string_view text);

}  // namespace microemo::text
