#pragma once
#include <string>

namespace microemo::text {

/// A piece of a SentencePiece vocabulary, as its Decode sees it.
struct PieceOfRun {
  enum Kind { piece, byte, silent, as_it_is } kind;
  std::string text;
};

/// Which blanks at the start of a text go when it is decoded: one when the model adds a prefix; when it takes extra blanks out of
/// texts, one of each piece, until something is said.
enum class FirstBlanks { stay, one_goes, all_go };

/// Decodes a run of pieces as SentencePiece does: U+2581 is a blank, byte pieces are put together and broken ones become one
/// U+FFFD for each byte.
class PieceRun {
 public:
  explicit PieceRun(FirstBlanks first_blanks) : first_blanks_(first_blanks) {}
  void add(const PieceOfRun& piece, std::string& out);
  void finish(std::string& out);  ///< what was held back; the next piece begins a run

 private:
  void put_bytes(bool all, std::string& out);

  FirstBlanks first_blanks_;
  bool at_start_ = true, dropped_ = false, any_text_ = false;
  std::string bytes_;
};

}  // namespace microemo::text
