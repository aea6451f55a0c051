#include "piece_run.h"

#include "decoders.h"
#include "utf8.h"

namespace microemo::text {
void PieceRun::put_bytes(bool all, std::string& out) {
  size_t i = 0;
  while (i < bytes_.size()) {
    const std::string_view rest = std::string_view(bytes_).substr(i);
    const Utf8Part part = first_utf8_part(rest);
    if (part.kind == Utf8Part::unfinished && !all) break;
    const bool whole = part.kind == Utf8Part::character;
    out += whole ? rest.substr(0, part.length) : replacement_character;
    i += whole ? part.length : 1;
    any_text_ = true;
  }
  bytes_.erase(0, i);
}

void PieceRun::add(const PieceOfRun& piece, std::string& out) {
  if (piece.kind == PieceOfRun::byte) {
    bytes_ += char(byte_of_piece(piece.text));
    return put_bytes(false, out);
  }
  put_bytes(true, out);
  if ((dropped_ && first_blanks_ == FirstBlanks::one_goes) || any_text_) at_start_ = false;
  dropped_ = false;
  std::string text = piece.text;
  if (piece.kind == PieceOfRun::piece) {
    dropped_ = at_start_ && first_blanks_ != FirstBlanks::stay && text.starts_with(visible_blank);
    text = replaced(std::string_view(text).substr(dropped_ ? visible_blank.size() : 0), visible_blank, " ");
  }
  if (piece.kind == PieceOfRun::silent) text.clear();
  any_text_ = any_text_ || !text.empty();
  out += text;
}

void PieceRun::finish(std::string& out) {
  put_bytes(true, out);
  at_start_ = true;
  dropped_ = any_text_ = false;
}

}  // namespace microemo::text
