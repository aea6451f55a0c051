#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace microemo::text {

/// A SentencePiece model. Immutable after loading; thread-safe.
class Tokenizer {
 public:
  /// Throws Error(data) when the file is missing or is no SentencePiece model, or has no begin, end or unknown token.
  explicit Tokenizer(const std::filesystem::path& model_file);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  /// Pieces of the text as it stands; no begin or end token is added.
  std::vector<int64_t> encode(const std::string& text) const;
  /// The text of the pieces; begin and end tokens add nothing to it. Error(data) for an id outside the vocabulary.
  std::string decode(const std::vector<int64_t>& ids) const;
  std::string piece(int64_t id) const;  ///< Error(data) for an id outside the vocabulary
  /// The id of a piece that is in the vocabulary; Error(data) otherwise.
  int64_t id_of(const std::string& piece) const;
  int64_t size() const;
  int64_t begin_id() const;    ///< <s>
  int64_t end_id() const;      ///< </s>
  int64_t unknown_id() const;  ///< <unk>
  /// SHA-256 of the model file.
  const std::string& hash() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
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
