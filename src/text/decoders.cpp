#include "decoders.h"

#include <array>

#include "utf8.h"

namespace microemo::text {
namespace {

class ByteDecoder : public Decoder {
 public:
  explicit ByteDecoder(TokenTextOf text_of) : text_of_(std::move(text_of)) {}

  void add(int64_t id, std::string& out) override {
    const TokenText token = text_of_(id);
    if (token.alone) finish(out);
    if (token.left_out) return;
    pending_ += token.text;
    size_t i = 0;
    while (i < pending_.size()) {
      const Utf8Part part = first_utf8_part(std::string_view(pending_).substr(i));
      if (part.kind == Utf8Part::unfinished) break;
      out += part.kind == Utf8Part::character ? std::string_view(pending_).substr(i, part.length) : replacement_character;
      i += part.length;
    }
    pending_.erase(0, i);
    if (token.alone) finish(out);
  }

  void finish(std::string& out) override {
    if (!pending_.empty()) out += replacement_character;
    pending_.clear();
  }

 private:
  TokenTextOf text_of_;
  std::string pending_;  ///< the beginning of a character
};

class PieceDecoder : public Decoder {
 public:
  PieceDecoder(TokenTextOf text_of, PieceDecoding decoding) : text_of_(std::move(text_of)), decoding_(std::move(decoding)) {}

  void add(int64_t id, std::string& out) override {
    TokenText token = text_of_(id);
    if (token.left_out) return;
    if (const int byte = decoding_.byte_fallback ? byte_of_piece(token.text) : -1; byte >= 0) {
      bytes_ += char(byte);
      return;
    }
    end_bytes(out);
    for (const auto& [from, to] : decoding_.replacements) token.text = replaced(token.text, from, to);
    if (!decoding_.blank.empty()) token.text = replaced(token.text, decoding_.blank, first_ && decoding_.drops_first ? "" : " ");
    if (decoding_.blanks_between && !first_) out += ' ';
    put(std::move(token.text), out);
  }

  void finish(std::string& out) override {
    end_bytes(out);
    first_ = true;
    stripped_ = 0;
    stripping_ = true;
  }

 private:
  void end_bytes(std::string& out) {
    if (bytes_.empty()) return;
    std::string text = bytes_;
    if (!is_utf8(bytes_)) {
      text.clear();
      for (size_t i = 0; i < bytes_.size(); ++i) text += replacement_character;
    }
    bytes_.clear();
    put(std::move(text), out);
  }

  void put(std::string text, std::string& out) {
    first_ = false;
    while (stripping_ && stripped_ < decoding_.strip_most && !decoding_.strip.empty() && text.starts_with(decoding_.strip)) {
      text.erase(0, decoding_.strip.size());
      ++stripped_;
    }
    if (!text.empty()) stripping_ = false;
    out += text;
  }

  TokenTextOf text_of_;
  PieceDecoding decoding_;
  std::string bytes_;
  bool first_ = true, stripping_ = true;
  size_t stripped_ = 0;
};

class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(TokenTextOf text_of, std::string continuation, bool tidy)
      : text_of_(std::move(text_of)), continuation_(std::move(continuation)), tidy_(tidy) {}

  void add(int64_t id, std::string& out) override {
    TokenText token = text_of_(id);
    if (token.left_out) return;
    std::string text = std::move(token.text);
    if (!first_) text = text.starts_with(continuation_) ? text.substr(continuation_.size()) : " " + text;
    first_ = false;
    out += tidy_ ? tidied(std::move(text), Tidying::tokenizers) : text;
  }
  void finish(std::string&) override { first_ = true; }

 private:
  TokenTextOf text_of_;
  std::string continuation_;
  bool tidy_, first_ = true;
};

}  // namespace

std::string tidied(std::string text, Tidying by) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> changes = {{{" .", "."},
                                                                                             {" ?", "?"},
                                                                                             {" !", "!"},
                                                                                             {" ,", ","},
                                                                                             {" ' ", "'"},
                                                                                             {" n't", "n't"},
                                                                                             {" 'm", "'m"},
                                                                                             {" do not", " don't"},
                                                                                             {" 's", "'s"},
                                                                                             {" 've", "'ve"},
                                                                                             {" 're", "'re"}}};
  for (const auto& [from, to] : changes)
    if (by == Tidying::tokenizers || from != " do not") text = replaced(text, from, to);
  return text;
}

int byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = 16 * value + digit;
  }
  return value;
}

std::unique_ptr<Decoder> byte_decoder(TokenTextOf text_of) { return std::make_unique<ByteDecoder>(std::move(text_of)); }
std::unique_ptr<Decoder> piece_decoder(TokenTextOf text_of, PieceDecoding decoding) {
  return std::make_unique<PieceDecoder>(std::move(text_of), std::move(decoding));
}
std::unique_ptr<Decoder> wordpiece_decoder(TokenTextOf text_of, std::string continuation, bool tidy) {
  return std::make_unique<WordPieceDecoder>(std::move(text_of), std::move(continuation), tidy);
}

}  // namespace microemo::text
