#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kind.h"

namespace microemo::text {

/// How a token's text becomes bytes of the decoded text.
struct TokenText {
  std::string text;
  bool left_out = false;  ///< a special token that is not to be seen
  bool alone = false;     ///< a character that was begun before it ends broken, and none begins in it
};
using TokenTextOf = std::function<TokenText(int64_t id)>;

/// Joins the tokens' bytes and lets whole characters out; broken ones become U+FFFD.
std::unique_ptr<Decoder> byte_decoder(TokenTextOf text_of);

/// What the tokenizers library's decoders for SentencePiece-like models are made of.
struct PieceDecoding {
  std::vector<std::pair<std::string, std::string>> replacements;  ///< in every token
  bool byte_fallback = false;  ///< a run of <0xAB> tokens is bytes; one that is no UTF-8 becomes U+FFFD, one for each byte
  std::string blank;           ///< Metaspace: a blank in every token
  bool drops_first = false;    ///< it is nothing in the first token, however often it stands there
  std::string strip;           ///< taken from the start of the text, at most `strip_most` times
  size_t strip_most = 0;
  bool blanks_between = false;  ///< no decoder at all: tokens with blanks between
};
std::unique_ptr<Decoder> piece_decoder(TokenTextOf text_of, PieceDecoding decoding);

/// WordPiece: tokens with blanks between, pieces that go on without; with `tidy`, no blank before a full stop and so on, token by
/// token.
std::unique_ptr<Decoder> wordpiece_decoder(TokenTextOf text_of, std::string continuation, bool tidy);

/// The public libraries' clean-up of English: no blank before . ? ! , and in contractions; tokenizers also shortens "do not".
enum class Tidying { tokenizers, transformers };
std::string tidied(std::string text, Tidying by);

/// The value of a <0xAB> token, or -1.
int byte_of_piece(std::string_view piece);

}  // namespace microemo::text
