#include "microemo/base/json.h"

#include <type_traits>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "positioned_json.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

constexpr Json::error_handler_t strict = Json::error_handler_t::strict;

std::string dump(const Json& value, int indent, const fs::path& path) {
  try {
    return value.dump(indent, ' ', false, strict);
  } catch (const Json::type_error&) {
    throw InternalError("text that is not UTF-8 was to be written as JSON").where(path);
  }
}

template <class T>
struct Reader;

template <>
struct Reader<Json> {
  static constexpr const char* wanted = "any value";
  static bool fits(const Json&) { return true; }
};
template <>
struct Reader<bool> {
  static constexpr const char* wanted = "true or false";
  static bool fits(const Json& value) { return value.is_boolean(); }
};
template <>
struct Reader<int64_t> {
  static constexpr const char* wanted = "a whole number";
  static bool fits(const Json& value) {
    return value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX});
  }
};
template <>
struct Reader<double> {
  static constexpr const char* wanted = "a number";
  static bool fits(const Json& value) { return value.is_number(); }
};
template <>
struct Reader<std::string> {
  static constexpr const char* wanted = "text";
  static bool fits(const Json& value) { return value.is_string(); }
};
template <class T>
struct Reader<std::vector<T>> {
  static inline const std::string wanted_text() { return std::string("a list, each element ") + Reader<T>::wanted; }
  static bool fits(const Json& value) {
    if (!value.is_array()) return false;
    for (const Json& element : value)
      if (!Reader<T>::fits(element)) return false;
    return true;
  }
};

template <class T>
std::string wanted() {
  if constexpr (requires { Reader<T>::wanted; })
    return Reader<T>::wanted;
  else
    return Reader<T>::wanted_text();
}

std::string seen(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

const Json* find_member(const Json& object, std::string_view key, const fs::path& file, int64_t line) {
  if (!object.is_object())
    throw DataError("an object with the key '{}' is needed here, not {}", key, seen(object))
        .where(file, line)
        .hint("mend the file");
  const auto member = object.find(std::string(key));
  return member == object.end() ? nullptr : &*member;
}

template <class T>
T convert(const Json& value, std::string_view key, const fs::path& file, int64_t line) {
  if (!Reader<T>::fits(value))
    throw DataError("'{}' is {}; wanted: {}", key, seen(value), wanted<T>()).where(file, line).hint("mend the value");
  return value.get<T>();
}

}  // namespace

Json parse_json(std::string_view text, const fs::path& name_in_errors) {
  return parse_json_with_places(text, name_in_errors, {});
}

Json read_json(const fs::path& path) { return parse_json(read_file(path), path); }

void write_json(const fs::path& path, const Json& value) { write_file_atomic(path, dump(value, 2, path) + "\n"); }

void read_jsonl(const fs::path& path, const std::function<void(const Json& value, int64_t number)>& line) {
  const std::string text = read_file(path);
  int64_t number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view content = std::string_view(text).substr(start, end - start);
    start = end + 1;
    ++number;
    if (content.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Json value;
    try {
      value = parse_json(content, path);
    } catch (Error& mistake) {
      throw mistake.where(path, number);
    }
    line(value, number);
  }
}

void write_jsonl(const fs::path& path, const std::vector<Json>& lines) {
  std::string text;
  for (const Json& value : lines) text += dump(value, -1, path) + "\n";
  write_file_atomic(path, text);
}

template <class T>
T json_get(const Json& object, std::string_view key, const fs::path& file, int64_t line) {
  const Json* member = find_member(object, key, file, line);
  if (member == nullptr)
    throw DataError("the key '{}' is missing", key).where(file, line).hint(fmt::format("add '{}': {}", key, wanted<T>()));
  return convert<T>(*member, key, file, line);
}

template <class T>
T json_get_or(const Json& object, std::string_view key, T fallback, const fs::path& file, int64_t line) {
  const Json* member = find_member(object, key, file, line);
  return member == nullptr ? fallback : convert<T>(*member, key, file, line);
}

#define MICROEMO_JSON_TYPE(T)                                                                                \
  template T json_get<T>(const Json&, std::string_view, const fs::path&, int64_t);                           \
  template T json_get_or<T>(const Json&, std::string_view, T, const fs::path&, int64_t);                     \
  template std::vector<T> json_get<std::vector<T>>(const Json&, std::string_view, const fs::path&, int64_t); \
  template std::vector<T> json_get_or<std::vector<T>>(const Json&, std::string_view, std::vector<T>, const fs::path&, int64_t);

MICROEMO_JSON_TYPE(bool)
MICROEMO_JSON_TYPE(int64_t)
MICROEMO_JSON_TYPE(double)
MICROEMO_JSON_TYPE(std::string)
MICROEMO_JSON_TYPE(Json)
#undef MICROEMO_JSON_TYPE

}  // namespace microemo
