#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace microemo::text {

class Decoder;
class TokenizerKind;

struct TokenizerOptions {
  /// How SentencePiece models treat text around special tokens: as transformers' LlamaTokenizer with legacy=True (every part of
  /// the text begins with a blank) or legacy=False (only the text itself). Left out, tokenizer_config.json decides; true where it
  /// does not say, false for a file alone.
  std::optional<bool> legacy{};
};

struct EncodeOptions {
  /// Added and special tokens that are written in the text ("</s>", "<|im_end|>") become their ids, as in the public libraries.
  /// Off, they are text like any other, so that nobody's words can end a turn or stand for a picture. tekken files know only
  /// that.
  bool find_special = false;
  /// Begin and end tokens go around the ids, as the file says: [CLS] and [SEP] for BERT, <s> for LLaMA, nothing for Qwen2.
  bool add_special = false;
};

/// Text to token ids and back, as the public library of the file's kind has it. Kinds: SentencePiece (tokenizer.model),
/// byte-level and SentencePiece-like BPE and WordPiece (tokenizer.json), tekken.json, WordPiece with BERT's rules (vocab.txt).
/// Immutable after loading; thread-safe.
class Tokenizer {
 public:
  /// A file of one of these kinds, or a Hugging Face folder, of which the first is taken that is there: tokenizer.model,
  /// tokenizer.json, tekken.json, vocab.txt. tokenizer_config.json, special_tokens_map.json and added_tokens.json of a folder
  /// count. Throws Error(data) when a file is missing, of no known kind, over 256 MB, malformed, or asks for what is not
  /// supported, which is named beside what is; when a SentencePiece model has no begin, end or unknown token.
  explicit Tokenizer(const std::filesystem::path& file_or_folder, const TokenizerOptions& options = {});
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  /// Ids of the text. Bytes that are no UTF-8 go to SentencePiece as they are; for the other kinds each broken part is U+FFFD, as
  /// when Python reads the text with errors="replace".
  std::vector<int64_t> encode(const std::string& text, const EncodeOptions& options = {}) const;
  /// The text of the ids. Special tokens add nothing to it unless they are kept. Error(data) for an id outside the vocabulary.
  std::string decode(const std::vector<int64_t>& ids, bool keep_special = false) const;
  std::string piece(int64_t id) const;  ///< Error(data) for an id outside the vocabulary
  /// The id of a piece that is in the vocabulary; Error(data) otherwise.
  int64_t id_of(const std::string& piece) const;
  int64_t size() const;  ///< one more than the highest id
  /// Error(data) where the tokenizer has no such token (Qwen2 has no begin token).
  int64_t begin_id() const;    ///< <s>
  int64_t end_id() const;      ///< </s>
  int64_t unknown_id() const;  ///< <unk>
  /// SHA-256 of the file that the vocabulary is in.
  const std::string& hash() const;

 private:
  friend class TextStream;
  void check(int64_t id) const;
  int64_t known(const std::optional<int64_t>& id, const char* what) const;
  std::unique_ptr<const TokenizerKind> kind_;
};

/// The files that make this tokenizer: the one with the vocabulary first, then those of a folder that count beside it. Throws as
/// Tokenizer does for a folder without one.
std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& file_or_folder);

/// Decodes ids one by one, for text that is shown while it is generated: what add and finish return, put together, is
/// Tokenizer::decode of all ids, and never a part of a character. The tokenizer must outlive it. Not thread-safe.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, bool keep_special = false);
  ~TextStream();
  TextStream(TextStream&&) noexcept;
  /// The text that is certain with this id; often empty within a character. Error(data) for an id outside the vocabulary.
  std::string add(int64_t id);
  /// What was held back; the stream can begin a new text.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::unique_ptr<Decoder> decoder_;
};

struct TokenizerTraining {
  int64_t vocabulary = 512;
  std::vector<std::string> whole_pieces = {};  ///< never split (user-defined symbols)
  bool byte_fallback = true;                   ///< 256 pieces stand for bytes, so that no text has an unknown character
  bool fewer_allowed = false;                  ///< a text that does not give so many pieces gives what it has
};

/// Trains a SentencePiece BPE model on sentences and writes it atomically; deterministic: the same sentences in the same order
/// give the same bytes, nothing is drawn. Text is left as it is: no normalisation, no blanks taken away. Error(config): a
/// vocabulary too small for the text's characters, or (unless fewer_allowed) too large for the text, which says the largest
/// possible; a whole piece that cannot be one. Error(data): no sentence, or one that is not UTF-8. Silent: it turns the library's
/// own messages off for the process. Not to be called from two threads at once.
void train_tokenizer(const std::vector<std::string>& sentences, const TokenizerTraining& options,
                     const std::filesystem::path& model_file);

}  // namespace microemo::text
