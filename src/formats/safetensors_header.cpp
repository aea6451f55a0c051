#include "safetensors_header.h"

#include <algorithm>
#include <utility>

#include "json_reader.h"
#include "microemo/formats/memory_budget.h"
#include "microemo/base/json.h"
#include "safetensors_dtypes.h"

namespace microemo::formats {
namespace {

constexpr const char* metadata_key = "__metadata__";

/// What an entry takes here and in the checkpoint room, besides its name and shape; rather too much than too little.
constexpr uint64_t entry_cost = 512, length_cost = 64, text_cost = 128;

class HeaderReader {
 public:
  HeaderReader(std::string_view json, uint64_t file_bytes) : json_(json), budget_(file_bytes) {}

  SafetensorsHeader read() {
    std::string key;
    for (json_.begin_object(); json_.next_key(key);) {
      budget_.take(entry_cost + 3 * key.size());
      if (key == metadata_key)
        read_metadata();
      else
        read_entry(std::move(key));
    }
    json_.end();
    refuse_twins();
    return std::move(header_);
  }

 private:
  void read_metadata() {
    if (std::exchange(has_metadata_, true)) stands_twice(metadata_key);
    if (!json_.at_object()) throw CheckpointError("__metadata__ must be an object of texts");
    std::string key;
    for (json_.begin_object(); json_.next_key(key);) {
      if (!json_.at_text()) throw CheckpointError("the value of '{}' in __metadata__ must be text", key);
      std::string value = json_.text();
      budget_.take(text_cost + key.size() + value.size());
      if (!header_.metadata.emplace(key, std::move(value)).second) stands_twice(key);
    }
  }

  void read_entry(std::string name) {
    SafetensorsEntry& entry = header_.entries.emplace_back();
    entry.name = std::move(name);
    try {
      read_facts(entry);
    } catch (const Error& mistake) {
      throw CheckpointError("tensor '{}': {}", entry.name, mistake.message()).hint(mistake.next_step());
    }
  }

  void read_facts(SafetensorsEntry& entry) {
    bool has_dtype = false, has_shape = false, has_offsets = false;
    if (!json_.at_object()) incomplete();
    std::string key;
    for (json_.begin_object(); json_.next_key(key);) {
      bool& seen = key == "dtype" ? has_dtype : key == "shape" ? has_shape : has_offsets;
      if (key != "dtype" && key != "shape" && key != "data_offsets") incomplete();
      if (std::exchange(seen, true)) stands_twice(key);
      if (&seen == &has_dtype)
        read_dtype(entry);
      else if (&seen == &has_shape)
        read_shape(entry);
      else
        read_offsets(entry);
    }
    if (!has_dtype || !has_shape || !has_offsets) incomplete();
    const uint64_t size = safetensors_size(entry.dtype, entry.shape);
    if (entry.end < entry.begin || entry.end - entry.begin != size)
      throw CheckpointError("data_offsets [{}, {}] do not hold the {} bytes of its dtype and shape", entry.begin, entry.end,
                            size);
  }

  void read_dtype(SafetensorsEntry& entry) {
    if (!json_.at_text()) incomplete();
    entry.dtype = json_.text();
    if (find_safetensors_dtype(entry.dtype) == nullptr) throw CheckpointError("unknown dtype '{}'", entry.dtype.substr(0, 100));
  }

  void read_shape(SafetensorsEntry& entry) {
    if (!json_.at_array()) incomplete();
    for (json_.begin_array(); json_.next_element();) {
      budget_.take(length_cost);
      const uint64_t length = json_.whole_number();
      if (length > INT64_MAX) throw CheckpointError("the shape is too large for any file");
      entry.shape.push_back(static_cast<int64_t>(length));
    }
  }

  void read_offsets(SafetensorsEntry& entry) {
    if (!json_.at_array()) incomplete();
    json_.begin_array();
    for (uint64_t* number : {&entry.begin, &entry.end}) {
      if (!json_.next_element()) incomplete();
      *number = json_.whole_number();
    }
    if (json_.next_element()) incomplete();
  }

  void refuse_twins() const {
    std::vector<std::string_view> names;
    for (const SafetensorsEntry& entry : header_.entries) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    const auto twin = std::adjacent_find(names.begin(), names.end());
    if (twin != names.end()) stands_twice(*twin);
  }

  [[noreturn]] static void incomplete() {
    throw CheckpointError("expected exactly dtype (text), shape (list) and data_offsets (two numbers)");
  }
  [[noreturn]] static void stands_twice(std::string_view key) {
    throw CheckpointError("the key '{}' stands twice in the header", key);
  }

  JsonReader json_;
  MemoryBudget budget_;
  SafetensorsHeader header_;
  bool has_metadata_ = false;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t file_bytes, const std::filesystem::path& path) {
  try {
    if (json.empty() || json.front() != '{') throw CheckpointError("the header does not begin with '{{'");
    return HeaderReader(json, file_bytes).read();
  } catch (Error& mistake) {
    if (mistake.next_step().empty()) mistake.hint("this is no safetensors file, or it is damaged");
    throw mistake.where(path);
  }
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
