#include "microemo/text/tokenizer.h"

#include "kind.h"
#include "microemo/base/error.h"
#include "utf8.h"

namespace microemo::text {

Tokenizer::Tokenizer(const std::filesystem::path& file_or_folder, const TokenizerOptions& options)
    : kind_(open_kind(file_or_folder, options)) {}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<int64_t> Tokenizer::encode(const std::string& text, const EncodeOptions& options) const {
  std::vector<int64_t> ids;
  if (options.add_special) ids = kind_->before;
  if (kind_->takes_any_bytes() || is_utf8(text))
    kind_->encode(text, options.find_special, ids);
  else
    kind_->encode(with_replacements(text), options.find_special, ids);
  if (options.add_special) ids.insert(ids.end(), kind_->after.begin(), kind_->after.end());
  return ids;
}

void Tokenizer::check(int64_t id) const {
  if (id < 0 || id >= size() || kind_->piece(id).empty())
    throw DataError("token {} is not in the vocabulary of {}", id, size())
        .where(kind_->file)
        .hint("use the tokenizer that the model was trained with");
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids, bool keep_special) const {
  const auto decoder = kind_->decoder(keep_special);
  std::string text;
  for (const int64_t id : ids) {
    check(id);
    decoder->add(id, text);
  }
  decoder->finish(text);
  return text;
}

std::string Tokenizer::piece(int64_t id) const {
  check(id);
  return kind_->piece(id);
}

int64_t Tokenizer::id_of(const std::string& piece) const {
  const auto id = kind_->id_of(piece);
  if (!id)
    throw DataError("the vocabulary has no piece \"{}\"", piece)
        .where(kind_->file)
        .hint("train the tokenizer with it among the whole pieces");
  return *id;
}

int64_t Tokenizer::known(const std::optional<int64_t>& id, const char* what) const {
  if (!id)
    throw DataError("the tokenizer has no {} token", what)
        .where(kind_->file)
        .hint("name one in tokenizer_config.json beside it, or use another tokenizer");
  return *id;
}

int64_t Tokenizer::size() const { return kind_->size(); }
int64_t Tokenizer::begin_id() const { return known(kind_->begin, "begin"); }
int64_t Tokenizer::end_id() const { return known(kind_->end, "end"); }
int64_t Tokenizer::unknown_id() const { return known(kind_->unknown, "unknown"); }
const std::string& Tokenizer::hash() const { return kind_->hash; }

TextStream::TextStream(const Tokenizer& tokenizer, bool keep_special)
    : tokenizer_(&tokenizer), decoder_(tokenizer.kind_->decoder(keep_special)) {}
TextStream::~TextStream() = default;
TextStream::TextStream(TextStream&&) noexcept = default;

std::string TextStream::add(int64_t id) {
  tokenizer_->check(id);
  std::string text;
  decoder_->add(id, text);
  return text;
}

std::string TextStream::finish() {
  std::string text;
  decoder_->finish(text);
  return text;
}

}  // namespace microemo::text
