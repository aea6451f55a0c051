#include "json_parts.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "microemo/base/error.h"
#include "unicode.h"
#include "utf8.h"

namespace microemo::text {
namespace {

namespace fs = std::filesystem;

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : std::string(between)) + word;
  return text;
}

Error unsupported(std::string_view part, const std::string& type, const fs::path& file, const std::vector<std::string>& known) {
  return DataError("the {} \"{}\" is not supported", part, type).where(file).hint("supported are: " + joined(known, ", "));
}

/// The elements of a Sequence, or the one that there is; none for null. A Sequence in a Sequence is the most that files have.
std::vector<Json> elements(const Json& value, std::string_view list, const fs::path& file, int depth = 0) {
  if (value.is_null()) return {};
  if (json_get<std::string>(value, "type", file) != "Sequence") return {value};
  if (depth > 2) throw DataError("there is a Sequence in a Sequence in a Sequence").where(file).hint("mend the file");
  std::vector<Json> all;
  for (const Json& one : json_list(value, list, file))
    for (Json& inner : elements(one, list, file, depth + 1)) all.push_back(std::move(inner));
  return all;
}

/// {"String": "…"} or {"Regex": "…"}
std::string pattern_text(const Json& value, std::string_view wanted, const fs::path& file) {
  const Json pattern = json_get<Json>(value, "pattern", file);
  if (pattern.is_object() && !pattern.contains(std::string(wanted)))
    throw DataError("the pattern {} is not supported here", pattern.dump()).where(file).hint(fmt::format("a {} is", wanted));
  return json_get<std::string>(pattern, wanted, file);
}

std::string plain_pattern(const Json& value, const fs::path& file) {
  std::string text = pattern_text(value, "String", file);
  if (text.empty()) throw DataError("a Replace of nothing cannot be done").where(file).hint("mend its 'pattern'");
  return text;
}

NormalizerStep bert_step(const Json& value, const fs::path& file) {
  NormalizerStep step{NormalizerStep::bert};
  step.cleaning.clean_text = json_get_or<bool>(value, "clean_text", true, file);
  step.cleaning.space_chinese = json_get_or<bool>(value, "handle_chinese_chars", true, file);
  step.cleaning.lower = json_get_or<bool>(value, "lowercase", true, file);
  const Json accents = json_get_or<Json>(value, "strip_accents", nullptr, file);
  step.cleaning.strip_accents = accents.is_null() ? step.cleaning.lower : json_get<bool>(value, "strip_accents", file);
  return step;
}

NormalizerStep normalizer_step(const Json& value, const fs::path& file) {
  const auto type = json_get<std::string>(value, "type", file);
  if (type == "NFC") return {NormalizerStep::nfc};
  if (type == "NFD") return {NormalizerStep::nfd};
  if (type == "Lowercase") return {NormalizerStep::lower};
  if (type == "BertNormalizer") return bert_step(value, file);
  if (type == "Prepend") return {NormalizerStep::prepend, {}, json_get<std::string>(value, "prepend", file)};
  if (type == "Replace")
    return {NormalizerStep::replace, plain_pattern(value, file), json_get<std::string>(value, "content", file)};
  throw unsupported("normalizer", type, file, {"NFC", "NFD", "Lowercase", "BertNormalizer", "Prepend", "Replace", "Sequence"});
}

void read_split(const Json& value, Cutting& cutting, const fs::path& file) {
  const auto behavior = json_get<std::string>(value, "behavior", file);
  if (behavior != "Isolated" || json_get_or<bool>(value, "invert", false, file))
    throw unsupported("behavior of Split", behavior, file, {"Isolated, not inverted"});
  const std::string text = pattern_text(value, "Regex", file);
  cutting.pattern = split_pattern(text);
  if (!cutting.pattern) throw unsupported("regular expression of Split", text, file, known_patterns());
}

void read_byte_level(const Json& value, Cutting& cutting, const fs::path& file) {
  const bool after_split = cutting.pattern.has_value();
  cutting.kind = Cutting::byte_level;
  cutting.prefix_blank = json_get_or<bool>(value, "add_prefix_space", true, file);
  const bool by_gpt2 = json_get_or<bool>(value, "use_regex", true, file);
  if (after_split && (by_gpt2 || cutting.prefix_blank))
    throw unsupported("pre-tokenizer", "Split, then ByteLevel with use_regex or add_prefix_space", file,
                      {"Split, then ByteLevel without both"});
  if (by_gpt2) cutting.pattern = SplitPattern::gpt2;
}

void read_metaspace(const Json& value, Cutting& cutting, const fs::path& file) {
  cutting.kind = Cutting::metaspace;
  cutting.blank = json_get<std::string>(value, "replacement", file);
  cutting.split_at_blanks = json_get_or<bool>(value, "split", true, file);
  const bool older = json_get_or<bool>(value, "add_prefix_space", true, file);
  const auto scheme = json_get_or<std::string>(value, "prepend_scheme", older ? "always" : "never", file);
  if (scheme == "always")
    cutting.prepend = Cutting::always;
  else if (scheme == "first")
    cutting.prepend = Cutting::first;
  else if (scheme != "never")
    throw unsupported("prepend_scheme of Metaspace", scheme, file, {"always", "first", "never"});
}

/// ["[CLS]", 101]
int64_t id_of_pair(const Json& value, std::string_view key, const fs::path& file) {
  const auto pair = json_get<std::vector<Json>>(value, key, file);
  if (pair.size() != 2 || !pair[1].is_number_integer())
    throw DataError("'{}' is no pair of a token and its id", key).where(file).hint("mend the value");
  return pair[1].get<int64_t>();
}

void add_ids(const Json& value, const Json& known, std::vector<int64_t>& ids, const fs::path& file) {
  const auto name = json_get<std::string>(value, "id", file);
  const auto token = json_get<Json>(known, name, file);
  for (const int64_t id : json_get<std::vector<int64_t>>(token, "ids", file)) ids.push_back(id);
}

/// Bytes that stand for themselves; the others take the characters from U+0100 on, in order.
bool prints_itself(int byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE; }

std::array<char32_t, 256> printable_characters() {
  std::array<char32_t, 256> characters;
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) characters[size_t(byte)] = prints_itself(byte) ? char32_t(byte) : next++;
  return characters;
}

}  // namespace

const Json& json_member(const Json& object, std::string_view key, const fs::path& file) {
  const auto found = object.is_object() ? object.find(std::string(key)) : object.end();
  if (found == object.end()) json_get<Json>(object, key, file);  // throws
  return *found;
}

const Json& json_list(const Json& object, std::string_view key, const fs::path& file) {
  const Json& list = json_member(object, key, file);
  if (!list.is_array()) json_get<std::vector<Json>>(object, key, file);  // throws
  return list;
}

std::vector<NormalizerStep> read_normalizer(const Json& value, const fs::path& file) {
  std::vector<NormalizerStep> steps;
  for (const Json& one : elements(value, "normalizers", file)) steps.push_back(normalizer_step(one, file));
  return steps;
}

Cutting read_pre_tokenizer(const Json& value, const fs::path& file) {
  Cutting cutting;
  for (const Json& one : elements(value, "pretokenizers", file)) {
    const auto type = json_get<std::string>(one, "type", file);
    if (cutting.kind != Cutting::whole)
      throw unsupported("pre-tokenizer", "Sequence with " + type + " at this place", file, {"Split, then ByteLevel"});
    if (type == "Split")
      read_split(one, cutting, file);
    else if (type == "ByteLevel")
      read_byte_level(one, cutting, file);
    else if (type == "Metaspace")
      read_metaspace(one, cutting, file);
    else if (type == "BertPreTokenizer")
      cutting.kind = Cutting::bert;
    else
      throw unsupported("pre-tokenizer", type, file, {"Split", "ByteLevel", "Metaspace", "BertPreTokenizer", "Sequence"});
  }
  if (cutting.kind == Cutting::whole && cutting.pattern)
    throw unsupported("pre-tokenizer", "Split alone", file, {"Split, then ByteLevel"});
  return cutting;
}

Decoding read_decoder(const Json& value, const fs::path& file) {
  Decoding decoding;
  decoding.of_pieces.blanks_between = value.is_null();
  for (const Json& one : elements(value, "decoders", file)) {
    const auto type = json_get<std::string>(one, "type", file);
    if (type == "ByteLevel") {
      decoding.kind = Decoding::bytes;
    } else if (type == "WordPiece") {
      decoding.kind = Decoding::wordpiece;
      decoding.continuation = json_get<std::string>(one, "prefix", file);
      decoding.tidy = json_get_or<bool>(one, "cleanup", true, file);
    } else if (type == "Replace") {
      decoding.of_pieces.replacements.emplace_back(pattern_text(one, "String", file),
                                                   json_get<std::string>(one, "content", file));
    } else if (type == "ByteFallback") {
      decoding.of_pieces.byte_fallback = true;
    } else if (type == "Strip") {
      decoding.of_pieces.strip = json_get<std::string>(one, "content", file);
      decoding.of_pieces.strip_most = size_t(std::max<int64_t>(0, json_get<int64_t>(one, "start", file)));
    } else if (type == "Metaspace") {
      const bool older = json_get_or<bool>(one, "add_prefix_space", true, file);
      decoding.of_pieces.blank = json_get<std::string>(one, "replacement", file);
      decoding.of_pieces.drops_first =
          json_get_or<std::string>(one, "prepend_scheme", older ? "always" : "never", file) != "never";
    } else if (type != "Fuse") {
      throw unsupported("decoder", type, file,
                        {"ByteLevel", "WordPiece", "Replace", "ByteFallback", "Strip", "Fuse", "Metaspace", "Sequence"});
    }
  }
  return decoding;
}

std::pair<std::vector<int64_t>, std::vector<int64_t>> read_post_processor(const Json& value, const fs::path& file) {
  std::vector<int64_t> before, after;
  for (const Json& one : elements(value, "processors", file)) {
    const auto type = json_get<std::string>(one, "type", file);
    if (type == "ByteLevel") continue;
    if (type == "BertProcessing") {
      before.push_back(id_of_pair(one, "cls", file));
      after.push_back(id_of_pair(one, "sep", file));
      continue;
    }
    if (type != "TemplateProcessing")
      throw unsupported("post-processor", type, file, {"ByteLevel", "BertProcessing", "TemplateProcessing", "Sequence"});
    const auto known = json_get<Json>(one, "special_tokens", file);
    bool seen = false;
    for (const Json& part : json_get<std::vector<Json>>(one, "single", file))
      if (part.is_object() && part.contains("Sequence"))
        seen = true;
      else
        add_ids(json_get<Json>(part, "SpecialToken", file), known, seen ? after : before, file);
  }
  return {before, after};
}

std::string normalized(std::string_view text, const std::vector<NormalizerStep>& steps) {
  std::string result(text);
  for (const NormalizerStep& step : steps) {
    if (step.kind == NormalizerStep::nfc) result = to_nfc(result);
    if (step.kind == NormalizerStep::nfd) result = to_nfd(result);
    if (step.kind == NormalizerStep::lower) result = lower_case(result);
    if (step.kind == NormalizerStep::prepend && !result.empty()) result = step.to + result;
    if (step.kind == NormalizerStep::replace) result = replaced(result, step.from, step.to);
    if (step.kind == NormalizerStep::bert) result = bert_cleaned(result, step.cleaning, BertLibrary::tokenizers);
  }
  return result;
}

std::string printable_byte(uint8_t byte) {
  static const std::array<char32_t, 256> characters = printable_characters();
  std::string text;
  append_character(text, characters[byte]);
  return text;
}

std::optional<std::string> bytes_of_printable(std::string_view text) {
  static const std::unordered_map<char32_t, char> bytes = [] {
    std::unordered_map<char32_t, char> map;
    const auto characters = printable_characters();
    for (size_t byte = 0; byte < 256; ++byte) map[characters[byte]] = char(byte);
    return map;
  }();
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const auto found = bytes.find(next_character(text, i));
    if (found == bytes.end()) return std::nullopt;
    result += found->second;
  }
  return result;
}

}  // namespace microemo::text
