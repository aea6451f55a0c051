#include "sentencepiece_bpe.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "utf8.h"

namespace microemo::text {
namespace {

/// Walks over the fields of a protocol buffer message; what it cannot read ends it.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  bool next() {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    number = key >> 3;
    bytes = {};
    value = 0;
    switch (key & 7) {
      case 0:
        value = varint();
        return good_;
      case 1:
        return skip(8);
      case 2: {
        const uint64_t length = varint();
        if (!good_ || length > rest_.size()) return false;
        bytes = rest_.substr(0, length);
        return skip(length);
      }
      case 5: {
        if (rest_.size() < 4) return false;
        std::memcpy(&real, rest_.data(), 4);
        return skip(4);
      }
      default:
        return false;
    }
  }

  uint64_t number = 0, value = 0;
  float real = 0;
  std::string_view bytes;

 private:
  uint64_t varint() {
    uint64_t result = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = uint8_t(rest_.front());
      rest_.remove_prefix(1);
      result |= uint64_t(byte & 0x7F) << shift;
      if (byte < 0x80) return result;
    }
    good_ = false;
    return 0;
  }
  bool skip(uint64_t length) {
    if (length > rest_.size()) return false;
    rest_.remove_prefix(length);
    return good_;
  }

  std::string_view rest_;
  bool good_ = true;
};

/// What a model says, as far as it matters here (sentencepiece_model.proto).
struct Model {
  enum Type { normal = 1, unknown, control, user_defined, unused, byte };
  struct Piece {
    std::string text;
    uint32_t id = 0;
    float score = 0;
    uint64_t type = normal;
  };
  std::vector<Piece> pieces;
  bool bpe = false, suffix_blanks = false, charsmap = false;
  bool dummy_prefix = true, removes_blanks = true, escapes_blanks = true;
};
using Piece = Model::Piece;

void read_piece(std::string_view message, Model& model) {
  Piece piece;
  piece.id = uint32_t(model.pieces.size());
  for (Fields field(message); field.next();) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2) piece.score = field.real;
    if (field.number == 3) piece.type = field.value;
  }
  model.pieces.push_back(std::move(piece));
}

void read_trainer(std::string_view message, Model& model) {
  for (Fields field(message); field.next();) {
    if (field.number == 3) model.bpe = field.value == 2;             // model_type
    if (field.number == 24) model.suffix_blanks = field.value != 0;  // treat_whitespace_as_suffix
  }
}

void read_normalizer(std::string_view message, Model& model) {
  for (Fields field(message); field.next();) {
    if (field.number == 2) model.charsmap = !field.bytes.empty();    // precompiled_charsmap
    if (field.number == 3) model.dummy_prefix = field.value != 0;    // add_dummy_prefix
    if (field.number == 4) model.removes_blanks = field.value != 0;  // remove_extra_whitespaces
    if (field.number == 5) model.escapes_blanks = field.value != 0;  // escape_whitespaces
  }
}

Model read_model(std::string_view bytes) {
  Model model;
  for (Fields field(bytes); field.next();) {
    if (field.number == 1) read_piece(field.bytes, model);
    if (field.number == 2) read_trainer(field.bytes, model);
    if (field.number == 3) read_normalizer(field.bytes, model);
  }
  return model;
}

/// Every way to put a piece together of two others; those of a higher score come first, equal scores are equal.
void add_merges(std::vector<Piece> pieces, const TokenMap& ids, MergeTable& merges) {
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.score > b.score; });
  uint32_t rank = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0 && pieces[i].score != pieces[i - 1].score) ++rank;
    const std::string_view text = pieces[i].text;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const int64_t left = ids.id(text.substr(0, cut)), right = ids.id(text.substr(cut));
      if (left >= 0 && right >= 0) merges.insert(uint32_t(left), uint32_t(right), {rank, pieces[i].id});
    }
  }
}

bool has_all_characters(const std::vector<Piece>& pieces, const TokenMap& ids) {
  for (const Piece& piece : pieces)
    for (size_t i = 0; i < piece.text.size();) {
      const size_t length = first_utf8_part(std::string_view(piece.text).substr(i)).length;
      if (ids.id(std::string_view(piece.text).substr(i, length)) < 0) return false;
      i += length;
    }
  return true;
}

}  // namespace

std::unique_ptr<SentencePieceBpe> SentencePieceBpe::of(std::string_view bytes) {
  const Model model = read_model(bytes);
  if (!model.bpe || model.suffix_blanks || model.charsmap || model.removes_blanks || !model.escapes_blanks) return nullptr;
  std::vector<AddedToken> whole;
  std::vector<Piece> normal;
  TokenMap ids;
  for (const Piece& piece : model.pieces) {
    if (piece.type == Model::unused || !is_utf8(piece.text)) return nullptr;
    if (piece.type == Model::user_defined) whole.push_back({.id = piece.id, .content = piece.text});
    if (piece.type != Model::normal) continue;
    normal.push_back(piece);
    ids.emplace(piece.text, piece.id);
  }
  if (!has_all_characters(normal, ids)) return nullptr;
  std::unique_ptr<SentencePieceBpe> own(new SentencePieceBpe(std::move(whole)));
  own->dummy_prefix_ = model.dummy_prefix;
  BytePairs& pairs = own->pairs_;
  pairs.symbols = BytePairs::Symbols::characters;
  add_merges(std::move(normal), ids, pairs.merges);
  pairs.ids = std::move(ids);
  pairs.fuse_unknown = true;
  for (const Piece& piece : model.pieces) {
    if (piece.type == Model::unknown) pairs.unknown = piece.id;
    if (piece.type == Model::byte) pairs.byte_fallback = pairs.ids.emplace(piece.text, piece.id).second || pairs.byte_fallback;
  }
  pairs.prepare();
  return own;
}

void SentencePieceBpe::encode(std::string_view text, bool prefix, std::vector<int64_t>& ids) const {
  if (text.empty()) return;
  const std::string blanks_seen =
      (prefix && dummy_prefix_ ? std::string(visible_blank) : "") + replaced(text, " ", visible_blank);
  for (const TextPart& part : whole_.split(blanks_seen))
    if (part.token != nullptr)
      ids.push_back(part.token->id);
    else
      pairs_.encode(part.text, ids);
}

}  // namespace microemo::text
