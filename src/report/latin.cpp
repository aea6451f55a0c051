#include "latin.h"

#include <array>
#include <sstream>
#include <utility>
#include <vector>

namespace microemo::report {
namespace {

/// U+00C0 to U+017F in order (Unicode's blocks Latin-1 Supplement and Latin Extended-A).
constexpr const char* latin_letters =
    "A A A A A A AE C E E E E I I I I D N O O O O O x O U U U U Y Th ss "
    "a a a a a a ae c e e e e i i i i d n o o o o o / o u u u u y th y "
    "A a A a A a C c C c C c C c D d D d E e E e E e E e E e G g G g G g G g H h H h "
    "I i I i I i I i I i IJ ij J j K k q L l L l L l L l L l N n N n N n n N n "
    "O o O o O o OE oe R r R r R r S s S s S s S s T t T t T t "
    "U u U u U u U u U u U u W w Y y Y Z z Z z Z z s";
constexpr char32_t first_latin = 0xC0, last_latin = 0x17F;

constexpr std::array<std::pair<char32_t, const char*>, 17> signs{{{0xA0, " "},
                                                                  {0xA1, "!"},
                                                                  {0xAB, "\""},
                                                                  {0xB0, " degrees"},
                                                                  {0xB7, "-"},
                                                                  {0xBB, "\""},
                                                                  {0xBF, "?"},
                                                                  {0x2010, "-"},
                                                                  {0x2011, "-"},
                                                                  {0x2013, "-"},
                                                                  {0x2014, "-"},
                                                                  {0x2018, "'"},
                                                                  {0x2019, "'"},
                                                                  {0x201C, "\""},
                                                                  {0x201D, "\""},
                                                                  {0x201E, "\""},
                                                                  {0x2026, "..."}}};

const std::vector<std::string>& letters() {
  static const std::vector<std::string> list = [] {
    std::istringstream words(latin_letters);
    std::vector<std::string> found;
    for (std::string word; words >> word;) found.push_back(word);
    return found;
  }();
  return list;
}

}  // namespace

char32_t next_character(const std::string& text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at++);
  if (first < 0x80) return first;
  const size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  char32_t value = first & (0x3F >> more);
  if (first < 0xC2 || first > 0xF4 || at + more > text.size()) return 0xFFFD;
  for (size_t i = 0; i < more; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0xFFFD;
    value = value << 6 | (byte(at + i) & 0x3F);
  }
  at += more;
  return value;
}

std::optional<std::string> ascii_form(char32_t character) {
  if (character >= ' ' && character < 0x7F) return std::string(1, char(character));
  if (character < 0xA0) return " ";
  if (character >= first_latin && character <= last_latin) return letters().at(character - first_latin);
  if (character >= 0x300 && character < 0x370) return "";
  for (const auto& [sign, ascii] : signs)
    if (character == sign) return ascii;
  return std::nullopt;
}

}  // namespace microemo::report
