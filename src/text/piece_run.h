#pragma once
#include <string>

namespace microemo::text {

/// A piece of a SentencePiece vocabulary, as its Decode sees it.
struct PieceOfRun {
  enum Kind { piece, byte, silent, as_it_is } kind;
  std::string text;
};

/// Decodes a run of pieces as SentencePiece does: U+2581 is a blank, one at the start goes when the model adds a prefix, byte
/// pieces are put together and broken ones become one U+FFFD for each byte.
class PieceRun {
 public:
  explicit PieceRun(bool drops_first_blank) : drops_first_blank_(drops_first_blank) {}
  void add(const PieceOfRun& piece, std::string& out);
  void finish(std::string& out);  ///< what was held back; the next piece begins a run

 private:
  void put_bytes(bool all, std::string& out);

  bool drops_first_blank_;
  bool at_start_ = true, dropped_ = false, any_text_ = false;
  std::string bytes_;
};

}  // namespace microemo::text
