#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/text/tokenizer.h"

namespace microemo::text {

/// Tables go up to the highest id, so a mistyped one must not be large; public vocabularies have up to 300,000.
inline constexpr int64_t largest_id = 1 << 20;

/// Text of ids that come one by one; only whole characters leave it.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void add(int64_t id, std::string& out) = 0;  ///< appends what is certain; the id is one of the vocabulary
  virtual void finish(std::string& out) = 0;           ///< appends what was held back, and is as new
};

/// What one kind of tokenizer does behind text::Tokenizer. Immutable once loaded, thread-safe.
class TokenizerKind {
 public:
  virtual ~TokenizerKind() = default;

  /// Appends the ids of well-formed UTF-8; with `find_added`, added and special tokens written in the text become their ids.
  virtual void encode(std::string_view text, bool find_added, std::vector<int64_t>& ids) const = 0;
  /// Whether encode takes any bytes; otherwise broken parts are replaced before.
  virtual bool takes_any_bytes() const { return false; }
  virtual std::unique_ptr<Decoder> decoder(bool keep_special) const = 0;
  virtual std::string piece(int64_t id) const = 0;  ///< for an id below size()
  virtual std::optional<int64_t> id_of(const std::string& piece) const = 0;
  virtual int64_t size() const = 0;  ///< one more than the highest id

  std::vector<int64_t> before, after;  ///< what stands around a text when special tokens are added to it
  std::optional<int64_t> begin, end, unknown;
  std::filesystem::path file;  ///< the file that the vocabulary came from
  std::string hash;            ///< SHA-256 of it
};

/// Reads a file by what it holds, or a folder by what it has. Throws Error(data).
std::unique_ptr<TokenizerKind> open_kind(const std::filesystem::path& file_or_folder, const TokenizerOptions& options);

/// A vocabulary, and the Hugging Face folder that it was found in; empty for a file alone.
struct TokenizerFiles {
  std::filesystem::path vocabulary, folder;
  std::string bytes;  ///< of the vocabulary
};

/// A tokenizer.json, or a tekken.json where it has a tekken's "config" and "vocab".
std::unique_ptr<TokenizerKind> open_json(const TokenizerFiles& files);
std::unique_ptr<TokenizerKind> open_tekken(const Json& json, const TokenizerFiles& files);
std::unique_ptr<TokenizerKind> open_wordpiece(const TokenizerFiles& files);
std::unique_ptr<TokenizerKind> open_sentencepiece(const TokenizerFiles& files, const TokenizerOptions& options);

}  // namespace microemo::text
