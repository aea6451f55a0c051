#include "token_lines.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "microemo/base/error.h"

namespace microemo::cli {
namespace {

[[noreturn]] void refuse(std::string_view what, int64_t number, std::string_view wanted) {
  throw DataError("{}", what).where("standard input", number).hint(fmt::format("write one {} a line", wanted));
}

std::string_view trimmed(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t\r"), last = line.find_last_not_of(" \t\r");
  return first == std::string_view::npos ? std::string_view() : line.substr(first, last - first + 1);
}

/// Reads the inside of a JSON string.
class StringReader {
 public:
  StringReader(std::string_view text, int64_t number) : text_(text), number_(number) {}

  std::string read() {
    std::string out;
    while (at_ < text_.size()) {
      const size_t plain = text_.find_first_of("\\\"", at_);
      const std::string_view run = text_.substr(at_, plain == std::string_view::npos ? plain : plain - at_);
      for (const char c : run)
        if (uint8_t(c) < 0x20)
          refuse("a control character stands in the string as it is", number_, "JSON string, with \\n for a line end,");
      out += run;
      at_ += run.size();
      if (at_ == text_.size()) break;
      if (text_[at_] == '"') refuse("the line goes on after the string's end", number_, "JSON string");
      ++at_;
      escape(out);
    }
    return out;
  }

 private:
  void escape(std::string& out) {
    static constexpr std::string_view letters = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    if (c == 'u') return append(character(), out);
    const size_t index = letters.find(c);
    if (c == '\0' || index == std::string_view::npos)
      refuse("a backslash stands before no letter of JSON", number_, "JSON string");
    out += values[index];
  }

  /// Four hexadecimal digits.
  uint32_t unit() {
    uint32_t value = 0;
    const char* begin = text_.data() + at_;
    const char* end = begin + std::min<size_t>(4, text_.size() - at_);
    if (end - begin != 4 || std::from_chars(begin, end, value, 16).ptr != end)
      refuse("\\u stands before no four hexadecimal digits", number_, "JSON string");
    at_ += 4;
    return value;
  }

  uint32_t character() {
    const uint32_t first = unit();
    if (first < 0xD800 || first > 0xDFFF) return first;
    if (first < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      const size_t before = at_;
      at_ += 2;
      const uint32_t second = unit();
      if (second >= 0xDC00 && second <= 0xDFFF) return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
      at_ = before;
    }
    return 0xFFFD;
  }

  static void append(uint32_t c, std::string& out) {
    if (c < 0x80) {
      out += char(c);
    } else if (c < 0x800) {
      out += {char(0xC0 | c >> 6), char(0x80 | (c & 0x3F))};
    } else if (c < 0x10000) {
      out += {char(0xE0 | c >> 12), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
    } else {
      out += {char(0xF0 | c >> 18), char(0x80 | (c >> 12 & 0x3F)), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
    }
  }

  std::string_view text_;
  int64_t number_;
  size_t at_ = 0;
};

void write_all(std::string& output) {
  if (std::fwrite(output.data(), 1, output.size(), stdout) != output.size() || std::fflush(stdout) != 0)
    throw EnvironmentError("cannot write: {}", std::strerror(errno)).at("standard output").hint("check that its reader is there");
  output.clear();
}

}  // namespace

void answer_lines(const std::function<std::string(std::string_view, int64_t)>& answer) {
  std::string input, output;
  std::array<char, 1 << 16> piece;
  int64_t number = 0;
  for (bool more = true; more;) {
    const ssize_t got = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw EnvironmentError("cannot read: {}", std::strerror(errno)).at("standard input").hint("check its source");
    more = got > 0;
    const size_t searched = input.size();
    input.append(piece.data(), size_t(got));
    if (!more && !input.empty()) input += '\n';
    size_t start = 0;
    for (size_t end = input.find('\n', searched); end != std::string::npos; end = input.find('\n', start)) {
      try {
        output += answer(std::string_view(input).substr(start, end - start), ++number) + "\n";
      } catch (const Error&) {
        write_all(output);
        throw;
      }
      start = end + 1;
    }
    input.erase(0, start);
    write_all(output);
  }
}

std::string read_text_line(std::string_view line, int64_t number) {
  const std::string_view text = trimmed(line);
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') refuse("the line is no JSON string", number, "JSON string");
  return StringReader(text.substr(1, text.size() - 2), number).read();
}

std::vector<int64_t> read_ids_line(std::string_view line, int64_t number) {
  constexpr std::string_view wanted = "JSON array of whole numbers";
  std::string_view text = trimmed(line);
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') refuse("the line is no JSON array", number, wanted);
  text = trimmed(text.substr(1, text.size() - 2));
  std::vector<int64_t> ids;
  while (!text.empty()) {
    int64_t id = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (failure != std::errc()) refuse("the array holds something that is no id", number, wanted);
    ids.push_back(id);
    text = trimmed(text.substr(size_t(end - text.data())));
    if (text.empty()) break;
    if (text.front() != ',' || trimmed(text.substr(1)).empty()) refuse("the array holds something that is no id", number, wanted);
    text = trimmed(text.substr(1));
  }
  return ids;
}

std::string write_text_line(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (uint8_t(c) < 0x20 || c == 0x7F)
      out += fmt::format("\\u{:04x}", int(c));
    else
      out += c;
  }
  return out + "\"";
}

std::string write_ids_line(const std::vector<int64_t>& ids) {
  std::string out = "[";
  std::array<char, 24> digits;
  for (const int64_t id : ids) {
    if (out.size() > 1) out += ", ";
    out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), id).ptr);
  }
  return out + "]";
}

}  // namespace microemo::cli
