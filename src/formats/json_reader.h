#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace microemo::formats {

/// Reads JSON front to back and keeps nothing of it: for tables whose size a file chooses, where a document in memory would be
/// many times the text. The caller asks for what it expects; anything else throws Error(checkpoint) with the byte.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  /// After '{': true with the next key, false behind the closing '}'. The same for arrays and their elements.
  void begin_object();
  bool next_key(std::string& key);
  void begin_array();
  bool next_element();

  std::string text();
  uint64_t whole_number();
  /// Whatever stands here, up to 64 levels deep.
  void skip_value();
  /// Only blanks may follow.
  void end();

  bool at_text() { return peek() == '"'; }
  bool at_object() { return peek() == '{'; }
  bool at_array() { return peek() == '['; }

 private:
  char peek();
  void expect(char wanted);
  bool next_item(char closing);
  void skip_plain();
  void append_escape(std::string& text);
  char32_t hex4();
  [[noreturn]] void mistake(const std::string& what) const;

  std::string_view text_;
  size_t at_ = 0;
  bool first_ = false;  ///< nothing of the object or array entered last was read yet
  int depth_ = 0;
};

}  // namespace microemo::formats
