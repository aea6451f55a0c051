#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace microemo {

/// Keys keep their order, so what is written reads as it was meant.
using Json = nlohmann::ordered_json;

/// Throws Error(data) with file, line and column of the first mistake; duplicate keys are a mistake.
Json parse_json(std::string_view text, const std::filesystem::path& name_in_errors);
Json read_json(const std::filesystem::path& path);
/// Atomic, indented by 2, ends with a newline.
void write_json(const std::filesystem::path& path, const Json& value);

/// Calls `line(value, number)` for every non-empty line (1-based). Throws Error(data) with file and line.
void read_jsonl(const std::filesystem::path& path, const std::function<void(const Json& value, int64_t number)>& line);
/// Atomic, one compact object a line.
void write_jsonl(const std::filesystem::path& path, const std::vector<Json>& lines);

/// Reads members with good errors: Error(data) naming file, line and key when it is missing or of another type.
/// T: bool, int64_t, double (integers are accepted), std::string, std::vector of these, Json.
template <class T>
T json_get(const Json& object, std::string_view key, const std::filesystem::path& file, int64_t line = 0);
/// The same, or `fallback` when the key is absent.
template <class T>
T json_get_or(const Json& object, std::string_view key, T fallback, const std::filesystem::path& file, int64_t line = 0);

}  // namespace microemo
