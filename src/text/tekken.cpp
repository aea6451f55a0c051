#include <algorithm>
#include <array>
#include <set>

#include "bpe.h"
#include "decoders.h"
#include "json_parts.h"
#include "kind.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "split.h"
#include "utf8.h"

namespace microemo::text {
namespace {

namespace fs = std::filesystem;

/// The first special tokens of files that name none (mistral-common, up to version 7); the rest are <SPECIAL_n>.
constexpr std::array<const char*, 20> unnamed_special = {"<unk>",
                                                         "<s>",
                                                         "</s>",
                                                         "[INST]",
                                                         "[/INST]",
                                                         "[AVAILABLE_TOOLS]",
                                                         "[/AVAILABLE_TOOLS]",
                                                         "[TOOL_RESULTS]",
                                                         "[/TOOL_RESULTS]",
                                                         "[TOOL_CALLS]",
                                                         "[IMG]",
                                                         "<pad>",
                                                         "[IMG_BREAK]",
                                                         "[IMG_END]",
                                                         "[PREFIX]",
                                                         "[MIDDLE]",
                                                         "[SUFFIX]",
                                                         "[SYSTEM_PROMPT]",
                                                         "[/SYSTEM_PROMPT]",
                                                         "[TOOL_CONTENT]"};

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/// Empty when the text is no base64.
std::string from_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = base64_value(c);
    if (value < 0) return {};
    bits = bits << 6 | uint32_t(value);
    if ((count += 6) >= 8) bytes += char(bits >> (count -= 8) & 0xFF);
  }
  return bytes;
}

/// A tekken.json (github.com/mistralai/mistral-common): tokens by rank, with their bytes, as tiktoken has them. Special tokens
/// take the first ids. Merges are not written out: two tokens merge when both together are a token, the lowest rank first.
class Tekken : public TokenizerKind {
 public:
  Tekken(const Json& json, const TokenizerFiles& files) {
    file = files.vocabulary;
    const Json& config = json_member(json, "config", file);
    const auto pattern = json_get<std::string>(config, "pattern", file);
    if (split_pattern(pattern) != SplitPattern::tekken)
      throw DataError("the pattern of this file is not supported").where(file).hint("supported is: " + known_patterns().back());
    read_special(json, json_get<int64_t>(config, "default_num_special_tokens", file));
    read_tokens(json_list(json, "vocab", file), json_get<int64_t>(config, "default_vocab_size", file));
    find_merges();
    pairs_.whole_words = true;
    pairs_.prepare();
    before = {id_of("<s>").value_or(0)};
    begin = id_of("<s>");
    end = id_of("</s>");
    unknown = id_of("<unk>");
  }

  void encode(std::string_view text, bool, std::vector<int64_t>& ids) const override {
    const size_t first = ids.size();
    for (size_t start = 0; start < text.size();) {
      const size_t stop = word_end(SplitPattern::tekken, text, start);
      pairs_.encode(text.substr(start, stop - start), ids);
      start = stop;
    }
    for (size_t i = first; i < ids.size(); ++i) ids[i] += int64_t(special_.size());
  }

  std::unique_ptr<Decoder> decoder(bool keep_special) const override {
    return byte_decoder([this, keep_special](int64_t id) {
      const bool special = id < int64_t(special_.size());
      return special ? TokenText{special_[size_t(id)], !keep_special, true} : TokenText{tokens_[size_t(id) - special_.size()]};
    });
  }

  std::string piece(int64_t id) const override {
    return id < int64_t(special_.size()) ? special_[size_t(id)] : with_replacements(tokens_[size_t(id) - special_.size()]);
  }
  std::optional<int64_t> id_of(const std::string& piece) const override {
    const auto special = std::find(special_.begin(), special_.end(), piece);
    if (special != special_.end()) return special - special_.begin();
    const int64_t id = pairs_.ids.id(piece);
    return id < 0 ? std::nullopt : std::optional(id + int64_t(special_.size()));
  }
  int64_t size() const override { return int64_t(special_.size() + tokens_.size()); }

 private:
  void read_special(const Json& json, int64_t count) {
    if (count < 3 || count > largest_id)
      throw DataError("'default_num_special_tokens' is {}", count).where(file).hint("there are at least 3");
    const auto named = json_get_or<Json>(json, "special_tokens", nullptr, file);
    if (named.is_null()) special_.assign(unnamed_special.begin(), unnamed_special.end());
    if (!named.is_null())
      for (const Json& one : json_get<std::vector<Json>>(json, "special_tokens", file)) {
        if (json_get<int64_t>(one, "rank", file) != int64_t(special_.size()))
          throw DataError("the special token {} has the rank {}", special_.size(), one["rank"].dump())
              .where(file)
              .hint("ranks go from 0, each once");
        special_.push_back(json_get<std::string>(one, "token_str", file));
      }
    for (size_t i = special_.size(); i < size_t(count); ++i) special_.push_back(fmt::format("<SPECIAL_{}>", i));
    special_.resize(size_t(count));
  }

  void read_tokens(const Json& vocabulary, int64_t all) {
    const int64_t count = all - int64_t(special_.size());
    if (count < 256 || count > int64_t(vocabulary.size()))
      throw DataError("'default_vocab_size' is {}, with {} special tokens and {} others", all, special_.size(), vocabulary.size())
          .where(file)
          .hint("mend the sizes in 'config'");
    pairs_.ids.reserve(size_t(count));
    for (int64_t rank = 0; rank < count; ++rank) {
      const Json& token = vocabulary[size_t(rank)];
      if (json_get<int64_t>(token, "rank", file) != rank)
        throw DataError("the token at place {} has the rank {}", rank, token["rank"].dump())
            .where(file)
            .hint("tokens stand in order of their ranks");
      const std::string bytes = from_base64(json_get<std::string>(token, "token_bytes", file));
      if (bytes.empty() || (rank < 256 && bytes != std::string(1, char(rank))))
        throw DataError("the bytes of token {} are {}", rank, token["token_bytes"].dump())
            .where(file)
            .hint("they are base64; the first 256 tokens are the bytes in order");
      if (!pairs_.ids.emplace(bytes, uint32_t(rank)).second)
        throw DataError("the token {} stands here a second time", rank).where(file).hint("mend the file");
      tokens_.push_back(bytes);
    }
  }

  /// Parts are looked up only where both have the length of some token: a token of a million bytes has a million cuts.
  void find_merges() {
    std::set<size_t> lengths;
    for (const std::string& token : tokens_) lengths.insert(token.size());
    for (const auto& [token, rank] : pairs_.ids)
      for (const size_t cut : lengths) {
        if (cut >= token.size()) break;
        if (!lengths.contains(token.size() - cut)) continue;
        const std::string_view bytes = token;
        const int64_t left = pairs_.ids.id(bytes.substr(0, cut)), right = pairs_.ids.id(bytes.substr(cut));
        if (left >= 0 && right >= 0) pairs_.merges.insert(uint32_t(left), uint32_t(right), {rank, rank});
      }
  }

  std::vector<std::string> special_, tokens_;
  BytePairs pairs_;
};

}  // namespace

std::unique_ptr<TokenizerKind> open_tekken(const Json& json, const TokenizerFiles& files) {
  return std::make_unique<Tekken>(json, files);
}

}  // namespace microemo::text
