#include "positioned_json.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <unordered_set>
#include <vector>

#include "microemo/base/error.h"

namespace microemo {
namespace {

/// Walks the text for the parser and tells how far it has read, which the parser itself does not.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

/// Builds the value from the parser's events. Members go straight to the end of their object: looking each key up first, as the
/// library's own builder does for ordered objects, takes minutes for a vocabulary of 100,000 entries.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::filesystem::path& name,
          const std::function<void(const std::string&, TextPlace)>& on_key)
      : text_(text), name_(name), on_key_(on_key), furthest_(text.data()) {}

  Json take() { return std::move(root_); }
  const char** furthest() { return &furthest_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    Level& level = levels_.back();
    if (!level.keys.insert(value).second) {
      const TextPlace place = key_place();
      throw DataError("the key '{}' stands here a second time", value)
          .where(name_, place.line, place.column)
          .hint("remove one of the two");
    }
    level.key = std::move(value);
    if (on_key_) on_key_(pointer(), key_place());
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& mistake) override {
    const TextPlace place = place_in(text_, position > 0 ? position - 1 : 0);
    // The library's text begins with its own number and position; what follows the last "parsing" part is for people.
    std::string reason = mistake.what();
    if (const size_t start = reason.find(" - "); start != std::string::npos) reason.erase(0, start + 3);
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    throw DataError("broken JSON: {}", reason).where(name_, place.line, place.column).hint("mend the file");
  }

 private:
  struct Level {
    Json* value;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  Json* place_value(Json value) {
    if (levels_.empty()) return &(root_ = std::move(value));
    Json& parent = *levels_.back().value;
    if (parent.is_array()) return &parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
    Json::object_t::Container& members = parent.get_ref<Json::object_t&>();
    return &members.emplace_back(levels_.back().key, std::move(value)).second;
  }

  bool add(Json value) {
    place_value(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (levels_.size() == most_levels) {
      const TextPlace place = place_in(text_, static_cast<size_t>(furthest_ - text_.data()));
      throw DataError("the JSON is nested more than {} levels deep", most_levels)
          .where(name_, place.line, place.column)
          .hint("name a file that holds what is asked for");
    }
    levels_.push_back({place_value(std::move(value)), {}, {}});
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }

  std::string pointer() const {
    std::string path;
    for (const Level& level : levels_) path += "/" + level.key;
    return path;
  }

  /// Right after a key was read, the text just before `furthest_` is the key in its quotes.
  TextPlace key_place() const {
    size_t quote = static_cast<size_t>(furthest_ - text_.data()) - 1;
    do {
      quote = text_.rfind('"', quote - 1);
    } while (escaped(quote));
    return place_in(text_, quote);
  }
  bool escaped(size_t quote) const {
    size_t first = quote;
    while (first > 0 && text_[first - 1] == '\\') --first;
    return (quote - first) % 2 == 1;
  }

  /// What walks a value later does so level by level on the stack.
  static constexpr size_t most_levels = 512;

  std::string_view text_;
  const std::filesystem::path& name_;
  const std::function<void(const std::string&, TextPlace)>& on_key_;
  const char* furthest_;
  Json root_;
  std::vector<Level> levels_;
};

}  // namespace

TextPlace place_in(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0: the first line
  return {1 + std::count(before.begin(), before.end(), '\n'), static_cast<int64_t>(before.size() - line_start) + 1};
}

Json parse_json_with_places(std::string_view text, const std::filesystem::path& name_in_errors,
                            const std::function<void(const std::string& pointer, TextPlace place)>& on_key) {
  Builder builder(text, name_in_errors, on_key);
  const char* end = text.data() + text.size();
  Json::sax_parse(CountingIterator(text.data(), builder.furthest()), CountingIterator(end, builder.furthest()), &builder);
  return builder.take();
}

}  // namespace microemo
