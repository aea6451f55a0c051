#include "hf_reader.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/base/files.h"

namespace microemo::checkpoint {
namespace {

/// The same error of the kind that a user of checkpoints expects.
Error of_checkpoint(const Error& error) {
  return CheckpointError("{}", error.message()).at(error.place()).hint(error.next_step());
}

/// The key that a message of the configuration's checks begins with: "'hidden_size' is …".
std::string quoted_key(const std::string& message) {
  const size_t open = message.find('\''), close = message.find('\'', open + 1);
  return close == std::string::npos ? "" : message.substr(open + 1, close - open - 1);
}

}  // namespace

HfFile::HfFile(std::filesystem::path path) : path_(std::move(path)) {
  try {
    text_ = read_file(path_);
    root_ = parse_json(text_, path_);
  } catch (const Error& error) {
    throw of_checkpoint(error);
  }
  if (!root_.is_object())
    throw CheckpointError("the file holds no object with keys").where(path_, 1).hint("name a config.json of a model");
}

int64_t HfFile::line_of(const std::string& section, const std::string& key) const {
  size_t start = 0;
  if (!section.empty()) start = std::min(text_.find('"' + section + '"'), text_.size());
  const size_t at = text_.find('"' + key + '"', start);
  if (at == std::string::npos) return 0;
  return 1 + std::count(text_.begin(), text_.begin() + std::ptrdiff_t(at), '\n');
}

Error HfFile::refuse(const std::string& section, const std::string& key, const std::string& message,
                     const std::string& hint) const {
  return CheckpointError("{}", message).where(path_, line_of(section, key)).hint(hint);
}

Json HfFile::section(const std::string& name) const {
  const auto found = root_.find(name);
  if (found == root_.end() || found->is_null()) return Json::object();
  if (!found->is_object()) throw refuse("", name, fmt::format("'{}' is no object with keys", name), "mend the value");
  return *found;
}

std::string HfFile::text(const Json& object, const std::string& section, const std::string& key) const {
  try {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? "" : json_get<std::string>(object, key, path_);
  } catch (const Error& error) {
    throw refuse(section, key, error.message(), error.next_step());
  }
}

void HfFile::fill(const SchemaSource& options, const Json& object, const std::string& section,
                  const std::vector<std::string>& required) const {
  Json known = Json::object();
  for (const Option& option : options().options)
    if (const auto value = object.find(option.key); value != object.end() && !value->is_null()) known[option.key] = *value;
  for (const std::string& key : required)
    if (!known.contains(key))
      throw refuse(section, "", fmt::format("the key '{}' is missing", key), "complete the file, or name another folder");
  try {
    load_config(options, known, path_);
  } catch (const Error& error) {
    const std::string key = quoted_key(error.message());
    throw refuse(section, key, error.message(), error.next_step());
  }
}

}  // namespace microemo::checkpoint
