#include "flat_json.h"

#include <algorithm>

#include "microemo/formats/utf8.h"

namespace microemo::eval {
namespace {

class Scanner {
 public:
  Scanner(std::string_view line, FlatObject& object) : rest_(line), object_(object) {}

  bool object() {
    if (!take('{')) return false;
    if (take('}')) return at_end();
    do {
      FlatMember member;
      if (!text(member.key) || object_.find(member.key) != nullptr || !take(':') || !value(member)) return false;
      object_.members.push_back(member);
    } while (take(','));
    return take('}') && at_end();
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' || rest_.front() == '\r')) rest_.remove_prefix(1);
  }
  bool at_end() {
    skip_blanks();
    return rest_.empty();
  }
  bool take(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  bool text(std::string_view& out) {
    if (!take('"')) return false;
    size_t end = 0;
    for (; end < rest_.size() && rest_[end] != '"'; ++end)
      if (rest_[end] == '\\' || static_cast<unsigned char>(rest_[end]) < 0x20) return false;
    if (end == rest_.size()) return false;
    out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
  }

  bool value(FlatMember& member) {
    skip_blanks();
    if (rest_.empty()) return false;
    if (rest_.front() == '"') {
      member.kind = FlatMember::text;
      return text(member.value);
    }
    if (rest_.front() == '[') return list(member);
    return take_word("null") || take_word("true") || take_word("false") || number();
  }

  bool list(FlatMember& member) {
    member.kind = FlatMember::list;
    member.first = object_.elements.size();
    take('[');
    if (!take(']')) {
      do {
        std::string_view element;
        if (!text(element)) return false;
        object_.elements.push_back(element);
      } while (take(','));
      if (!take(']')) return false;
    }
    member.last = object_.elements.size();
    return true;
  }

  size_t digits() {
    const size_t count = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    rest_.remove_prefix(count);
    return count;
  }
  /// JSON's grammar: no leading zeros, no bare point.
  bool number() {
    take_word("-");
    const bool zero = rest_.starts_with('0');
    const size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) return false;
    if (take_word(".") && digits() == 0) return false;
    if (!take_word("e") && !take_word("E")) return true;
    if (!take_word("+")) take_word("-");
    return digits() > 0;
  }

  std::string_view rest_;
  FlatObject& object_;
};

}  // namespace

const FlatMember* FlatObject::find(std::string_view key) const {
  const auto found = std::ranges::find(members, key, &FlatMember::key);
  return found == members.end() ? nullptr : &*found;
}

bool scan_flat_object(std::string_view line, FlatObject& object) {
  object.members.clear();
  object.elements.clear();
  return formats::is_utf8(line) && Scanner(line, object).object();
}

}  // namespace microemo::eval
