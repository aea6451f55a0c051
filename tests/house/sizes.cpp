#include <algorithm>
#include <cctype>
#include <regex>

#include "rules.h"

namespace microemo::house {
namespace {

void blank(std::string& code, size_t from, size_t to) {
  for (size_t i = from; i < std::min(to, code.size()); ++i)
    if (code[i] != '\n') code[i] = ' ';
}

/// End of the literal that begins at `start`, which is a quote.
size_t end_of_literal(std::string_view text, size_t start) {
  for (size_t i = start + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == text[start] || text[i] == '\n')
      return i + 1;
  }
  return text.size();
}

size_t end_of_raw_literal(std::string_view text, size_t quote) {
  const size_t parenthesis = text.find('(', quote);
  if (parenthesis == std::string_view::npos) return text.size();
  const std::string closing = ")" + std::string(text.substr(quote + 1, parenthesis - quote - 1)) + "\"";
  const size_t end = text.find(closing, parenthesis);
  return end == std::string_view::npos ? text.size() : end + closing.size();
}

/// A preprocessor line with its continuations.
size_t end_of_directive(std::string_view text, size_t start) {
  size_t end = text.find('\n', start);
  while (end != std::string_view::npos && end > 0 && text[end - 1] == '\\') end = text.find('\n', end + 1);
  return std::min(end, text.size());
}

bool first_on_its_line(std::string_view text, size_t at) {
  while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t')) --at;
  return at == 0 || text[at - 1] == '\n';
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// End of what is not code at `i`, or `i` itself when there is code.
size_t end_of_blank(std::string_view text, size_t i) {
  if (text.substr(i, 2) == "//") return std::min(text.find('\n', i), text.size());
  if (text.substr(i, 2) == "/*") return std::min(text.find("*/", i), text.size() - 2) + 2;
  if (text[i] == '#' && first_on_its_line(text, i)) return end_of_directive(text, i);
  if (text[i] == '"') return i > 0 && text[i - 1] == 'R' ? end_of_raw_literal(text, i) : end_of_literal(text, i);
  // 1'000 is a number, 'a' a character.
  if (text[i] == '\'' && (i == 0 || !is_word(text[i - 1]))) return end_of_literal(text, i);
  return i;
}

/// A lone "(", ")", "[" … of a name such as operator() would upset what follows.
std::string plain_operators(const std::string& head) {
  return std::regex_replace(head, std::regex(R"(operator\s*(\(\)|\[\]|[^\w\s(]+))"), "operator_");
}

std::string without_template_heads(std::string head) {
  for (size_t start = head.find("template"); start != std::string::npos; start = head.find("template")) {
    size_t i = head.find('<', start);
    int depth = 0;
    for (; i < head.size(); ++i) {
      if (head[i] == '<') ++depth;
      if (head[i] == '>' && --depth == 0) break;
    }
    head.erase(start, std::min(i + 1, head.size()) - start);
  }
  return head;
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\n"), last = text.find_last_not_of(" \t\n");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

enum class Brace { scope, function, member_initialiser, initialiser };

/// f(int a = {}) {
bool inside_arguments(const std::string& head) {
  return std::count(head.begin(), head.end(), '(') > std::count(head.begin(), head.end(), ')');
}

Brace meaning_of(const std::string& raw_head) {
  const std::string head = trimmed(without_template_heads(plain_operators(raw_head)));
  if (inside_arguments(head)) return Brace::initialiser;
  static const std::regex scope(R"(^(inline\s+)?(namespace|class|struct|union|enum|extern)\b)");
  const size_t parenthesis = head.find('(');
  const size_t equals = head.find('=');
  const bool assigned = equals != std::string::npos && (parenthesis == std::string::npos || equals < parenthesis);
  if (assigned)
    return head.find('[', equals) != std::string::npos && parenthesis != std::string::npos ? Brace::function : Brace::initialiser;
  if (parenthesis == std::string::npos) return std::regex_search(head, scope) ? Brace::scope : Brace::initialiser;
  static const std::regex in_member_list(R"(\)[^()]*[^:]:[^:](.|\n)*[\w>]$)");
  static const std::regex ends_signature(R"(\b(const|noexcept|override|final|mutable|try)$)");
  if (std::regex_search(head, in_member_list) && !std::regex_search(head, ends_signature)) return Brace::member_initialiser;
  return Brace::function;
}

size_t matching_brace(const std::string& code, size_t open) {
  int depth = 0;
  for (size_t i = open; i < code.size(); ++i) {
    if (code[i] == '{') ++depth;
    if (code[i] == '}' && --depth == 0) return i;
  }
  return code.size() - 1;
}

int line_of(const std::string& code, size_t at) {
  return 1 + static_cast<int>(std::count(code.begin(), code.begin() + static_cast<long>(at), '\n'));
}

bool ends_access_label(const std::string& code, size_t colon, size_t head_start) {
  const std::string word = trimmed(code.substr(head_start, colon - head_start));
  return word == "public" || word == "private" || word == "protected";
}

}  // namespace

std::string code_only(std::string_view text) {
  std::string code(text);
  for (size_t i = 0; i < text.size();) {
    const size_t end = end_of_blank(text, i);
    blank(code, i, end);
    i = std::max(end, i + 1);
  }
  return code;
}

std::vector<FunctionSize> functions_of(const SourceFile& file) {
  std::vector<FunctionSize> functions;
  const std::string code = code_only(file.text);
  size_t head_start = 0;
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] == ';' || code[i] == '}' || (code[i] == ':' && ends_access_label(code, i, head_start))) head_start = i + 1;
    if (code[i] != '{') continue;
    const Brace meaning = meaning_of(code.substr(head_start, i - head_start));
    if (meaning == Brace::scope) {
      head_start = i + 1;
      continue;
    }
    const size_t end = matching_brace(code, i);
    if (meaning == Brace::function) {
      const size_t first = code.find_first_not_of(" \t\n", head_start);
      const int line = line_of(code, first);
      functions.push_back({file.path, trimmed(file.text.substr(first, std::min(i, code.find('\n', first)) - first)), line,
                           line_of(code, end) - line + 1});
      head_start = end + 1;
    }
    i = end;
  }
  return functions;
}

int line_count(std::string_view text) {
  const int breaks = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  return text.empty() || text.back() == '\n' ? breaks : breaks + 1;
}

int percentile_90(std::vector<int> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[(values.size() * 9 + 9) / 10 - 1];
}

}  // namespace microemo::house
