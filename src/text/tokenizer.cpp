#include "microemo/text/tokenizer.h"

#include <sentencepiece_processor.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"

namespace microemo::text {

struct Tokenizer::State {
  std::filesystem::path file;
  std::string hash;
  sentencepiece::SentencePieceProcessor processor;
};

namespace {

void load(sentencepiece::SentencePieceProcessor& processor, const std::string& model, const std::filesystem::path& file) {
  const auto status = model.empty()
                          ? sentencepiece::util::Status(sentencepiece::util::StatusCode::kInvalidArgument, "the file is empty")
                          : processor.LoadFromSerializedProto(model);
  if (!status.ok())
    throw DataError("not a SentencePiece model: {}", status.message())
        .where(file)
        .hint("name a tokenizer.model file, or train one with microemo tokenize --train");
  if (processor.bos_id() < 0 || processor.eos_id() < 0)
    throw DataError("the SentencePiece model has no {} token", processor.bos_id() < 0 ? "begin" : "end")
        .where(file)
        .hint("train it with both, as LLaMA's is");
}

}  // namespace

Tokenizer::Tokenizer(const std::filesystem::path& model_file) : state_(std::make_unique<State>()) {
  const std::string model = read_file(model_file);
  load(state_->processor, model, model_file);
  state_->file = model_file;
  state_->hash = sha256(model);
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<int64_t> Tokenizer::encode(const std::string& text) const {
  std::vector<int> ids;
  const auto status = state_->processor.Encode(text, &ids);
  if (!status.ok()) throw DataError("cannot tokenize the text: {}", status.message()).where(state_->file);
  return {ids.begin(), ids.end()};
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids) const {
  for (const int64_t id : ids)
    if (id < 0 || id >= size())
      throw DataError("token {} is not in the vocabulary of {}", id, size())
          .where(state_->file)
          .hint("use the tokenizer that the model was trained with");
  std::string text;
  const auto status = state_->processor.Decode(std::vector<int>(ids.begin(), ids.end()), &text);
  if (!status.ok()) throw DataError("cannot decode the tokens: {}", status.message()).where(state_->file);
  return text;
}

std::string Tokenizer::piece(int64_t id) const {
  if (id < 0 || id >= size()) throw DataError("token {} is not in the vocabulary of {}", id, size()).where(state_->file);
  return state_->processor.IdToPiece(int(id));
}

int64_t Tokenizer::id_of(const std::string& piece) const {
  const int id = state_->processor.PieceToId(piece);
  // The library answers "unknown" both for an unknown piece and for the unknown piece itself.
  if (id == state_->processor.unk_id() && piece != state_->processor.IdToPiece(id))
    throw DataError("the vocabulary has no piece \"{}\"", piece)
        .where(state_->file)
        .hint("train the tokenizer with it among the whole pieces");
  return id;
}

int64_t Tokenizer::size() const { return state_->processor.GetPieceSize(); }
int64_t Tokenizer::begin_id() const { return state_->processor.bos_id(); }
int64_t Tokenizer::end_id() const { return state_->processor.eos_id(); }
int64_t Tokenizer::unknown_id() const { return state_->processor.unk_id(); }
const std::string& Tokenizer::hash() const { return state_->hash; }

}  // namespace microemo::text
