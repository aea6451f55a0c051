#include "npy_header.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "microemo/base/error.h"

namespace microemo::formats {
namespace {

/// A cursor over the few Python literals that occur: strings, True and False, tuples of whole numbers.
class Literal {
 public:
  explicit Literal(std::string_view text) : rest_(text) {}

  bool take(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) throw DataError("the header is damaged: '{}' is missing before \"{}\"", c, rest_.substr(0, 20));
  }
  std::string quoted() {
    skip_blanks();
    if (!rest_.empty() && rest_.front() == '[') throw DataError("arrays of records are not read");
    const char quote = rest_.empty() ? '\0' : rest_.front();
    const size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos)
      throw DataError("the header is damaged: a text is missing before \"{}\"", rest_.substr(0, 20));
    const std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool truth() {
    skip_blanks();
    const bool value = rest_.starts_with("True");
    if (!value && !rest_.starts_with("False")) throw DataError("the header is damaged: True or False is missing");
    rest_.remove_prefix(value ? 4 : 5);
    return value;
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> numbers;
    expect('(');
    while (!take(')')) {
      numbers.push_back(length());
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return numbers;
  }
  bool at_end() {
    skip_blanks();
    return rest_.empty();
  }

 private:
  void skip_blanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }

  int64_t length() {
    skip_blanks();
    int64_t value = -1;
    const auto [end, problem] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (problem != std::errc() || value < 0) throw DataError("the header is damaged: a length of the shape is missing");
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }

  std::string_view rest_;
};

std::string format_shape(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (const int64_t length : shape) text += fmt::format("{}, ", length);
  if (shape.size() == 1) return text.substr(0, text.size() - 1) + ")";
  return (shape.empty() ? text : text.substr(0, text.size() - 2)) + ")";
}

}  // namespace

std::string_view npy_header_text(std::string_view bytes, size_t& data_start) {
  if (bytes.size() < 10 || bytes.substr(0, 6) != "\x93NUMPY")
    throw DataError("this is no .npy array").hint("write it with numpy.save");
  const int major = bytes[6];
  if (major < 1 || major > 3) throw DataError("version {} of the .npy format is not known; 1 to 3 are", major);
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (bytes.size() < 8 + length_bytes) throw DataError("the file ends within the header");
  size_t length = 0;
  for (size_t i = length_bytes; i-- > 0;) length = length << 8 | static_cast<unsigned char>(bytes[8 + i]);
  data_start = 8 + length_bytes;
  if (length > bytes.size() - data_start) throw DataError("the file ends within the header");
  data_start += length;
  return bytes.substr(data_start - length, length);
}

NpyHeader parse_npy_header(std::string_view text) {
  NpyHeader header;
  Literal literal(text);
  std::set<std::string> seen;
  literal.expect('{');
  while (!literal.take('}')) {
    const std::string key = literal.quoted();
    literal.expect(':');
    if (!seen.insert(key).second) throw DataError("the header is damaged: '{}' stands twice", key);
    if (key == "descr")
      header.descr = literal.quoted();
    else if (key == "fortran_order")
      header.fortran_order = literal.truth();
    else if (key == "shape")
      header.shape = literal.tuple();
    else
      throw DataError("the header is damaged: unknown key '{}'", key);
    if (!literal.take(',')) {
      literal.expect('}');
      break;
    }
  }
  if (seen.size() != 3 || !literal.at_end())
    throw DataError("the header is damaged: it must hold descr, fortran_order and shape only");
  return header;
}

std::string format_npy_header(const NpyHeader& header) {
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}", header.descr,
                                 header.fortran_order ? "True" : "False", format_shape(header.shape));
  // NumPy leaves room for the first length to grow to 20 digits, so that arrays can be appended to in place.
  const size_t first_digits = header.shape.empty() ? 0 : std::to_string(header.shape.front()).size();
  if (!header.shape.empty()) text.append(21 - first_digits, ' ');
  constexpr size_t prefix = 10;
  text.append(64 - (prefix + text.size() + 1) % 64, ' ');
  text += '\n';
  MICROEMO_CHECK(text.size() <= 0xffff, "an array of {} dimensions", header.shape.size());
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(text.size() & 0xff) + static_cast<char>(text.size() >> 8) + text;
}

}  // namespace microemo::formats
