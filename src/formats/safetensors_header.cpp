#include "safetensors_header.h"

#include <set>

#include <nlohmann/json.hpp>

#include "microemo/base/error.h"
#include "microemo/base/json.h"

namespace microemo::formats {
namespace {

constexpr const char* metadata_key = "__metadata__";

/// nlohmann/json keeps the last of equal keys in silence; this callback remembers the keys of every open object and refuses the
/// second.
class DuplicateKeys {
 public:
  bool operator()(int, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) open_.emplace_back();
    if (event == Event::object_end) open_.pop_back();
    if (event == Event::key && !open_.back().insert(parsed.get<std::string>()).second)
      throw CheckpointError("the key '{}' stands twice in the header", parsed.get<std::string>());
    return true;
  }

 private:
  std::vector<std::set<std::string>> open_;
};

nlohmann::json parse(std::string_view text) {
  if (text.empty() || text.front() != '{') throw CheckpointError("the header does not begin with '{{'");
  try {
    return nlohmann::json::parse(text.begin(), text.end(), DuplicateKeys());
  } catch (const nlohmann::json::exception& mistake) {
    throw CheckpointError("the header is not JSON: {}", mistake.what());
  }
}

uint64_t whole_number(const nlohmann::json& value, const char* what) {
  if (!value.is_number_unsigned()) throw CheckpointError("{} must be whole numbers from 0", what);
  return value.get<uint64_t>();
}

std::vector<int64_t> read_shape(const nlohmann::json& list) {
  std::vector<int64_t> shape;
  for (const auto& length : list) {
    const uint64_t number = whole_number(length, "lengths of a shape");
    if (number > INT64_MAX) throw CheckpointError("the shape is too large for any file");
    shape.push_back(static_cast<int64_t>(number));
  }
  return shape;
}

SafetensorsEntry read_entry(const std::string& name, const nlohmann::json& facts) {
  const bool complete = facts.is_object() && facts.size() == 3 && facts.contains("dtype") && facts["dtype"].is_string() &&
                        facts.contains("shape") && facts["shape"].is_array() && facts.contains("data_offsets") &&
                        facts["data_offsets"].is_array() && facts["data_offsets"].size() == 2;
  if (!complete) throw CheckpointError("expected exactly dtype (text), shape (list) and data_offsets (two numbers)");
  SafetensorsEntry entry{name, facts["dtype"], read_shape(facts["shape"]), whole_number(facts["data_offsets"][0], "data_offsets"),
                         whole_number(facts["data_offsets"][1], "data_offsets")};
  const uint64_t size = safetensors_size(entry.dtype, entry.shape);
  if (entry.end < entry.begin || entry.end - entry.begin != size)
    throw CheckpointError("data_offsets [{}, {}] do not hold the {} bytes of its dtype and shape", entry.begin, entry.end, size);
  return entry;
}

std::map<std::string, std::string> read_metadata(const nlohmann::json& object) {
  std::map<std::string, std::string> metadata;
  if (!object.is_object()) throw CheckpointError("__metadata__ must be an object of texts");
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) throw CheckpointError("the value of '{}' in __metadata__ must be text", key);
    metadata[key] = value;
  }
  return metadata;
}

SafetensorsEntry read_named_entry(const std::string& name, const nlohmann::json& facts, const std::filesystem::path& path) {
  try {
    return read_entry(name, facts);
  } catch (const Error& mistake) {
    throw CheckpointError("tensor '{}': {}", name, mistake.message()).where(path);
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, const std::filesystem::path& path) {
  SafetensorsHeader header;
  nlohmann::json object;
  try {
    object = parse(json);
    if (object.contains(metadata_key)) header.metadata = read_metadata(object[metadata_key]);
  } catch (Error& mistake) {
    throw mistake.where(path).hint("this is no safetensors file, or it is damaged");
  }
  for (const auto& [name, facts] : object.items())
    if (name != metadata_key) header.entries.push_back(read_named_entry(name, facts, path));
  return header;
}

std::string format_safetensors_header(const SafetensorsHeader& header) {
  std::string text = "{";
  const auto add = [&](const std::string& key, const Json& value) {
    if (text.size() > 1) text += ',';
    text += Json(key).dump() + ':' + value.dump();
  };
  if (!header.metadata.empty()) add(metadata_key, header.metadata);
  for (const SafetensorsEntry& entry : header.entries) {
    Json facts;
    facts["dtype"] = entry.dtype;
    facts["shape"] = entry.shape;
    facts["data_offsets"] = {entry.begin, entry.end};
    add(entry.name, facts);
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace microemo::formats
