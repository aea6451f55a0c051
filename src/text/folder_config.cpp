#include "folder_config.h"

#include <algorithm>
#include <charconv>

#include "microemo/base/error.h"

namespace microemo::text {
namespace {

namespace fs = std::filesystem;

Json read_if_there(const fs::path& file) { return fs::exists(file) ? read_json(file) : Json::object(); }

std::optional<bool> flag(const Json& config, std::string_view key, const fs::path& file) {
  if (json_get_or<Json>(config, key, nullptr, file).is_null()) return std::nullopt;
  return json_get<bool>(config, key, file);
}

/// A special token is written as its text or as an object.
AddedToken special_token(const Json& value, std::string_view key, const fs::path& file) {
  AddedToken token;
  if (value.is_object())
    token = read_added_token(value, file);
  else if (value.is_string())
    token.content = value.get<std::string>();
  else
    throw DataError("'{}' is {}; wanted: text or an object with 'content'", key, value.dump()).where(file).hint("mend the value");
  token.special = true;
  return token;
}

void read_special(const Json& config, const fs::path& file, FolderConfig& result) {
  const std::pair<const char*, std::optional<std::string>*> names[] = {
      {"bos_token", &result.begin},     {"eos_token", &result.end}, {"unk_token", &result.unknown},
      {"sep_token", &result.separator}, {"pad_token", &result.pad}, {"cls_token", &result.classifier},
      {"mask_token", &result.mask}};
  for (const auto& [key, name] : names) {
    const auto value = json_get_or<Json>(config, key, nullptr, file);
    if (value.is_null() || *name) continue;
    result.special.push_back(special_token(value, key, file));
    *name = result.special.back().content;
  }
  const auto more = json_get_or<Json>(config, "additional_special_tokens", nullptr, file);
  if (more.is_null()) return;
  for (const Json& value : json_get<std::vector<Json>>(config, "additional_special_tokens", file)) {
    const AddedToken token = special_token(value, "additional_special_tokens", file);
    if (std::find(result.more_special.begin(), result.more_special.end(), token.content) != result.more_special.end()) continue;
    result.more_special.push_back(token.content);
    result.special.push_back(token);
  }
}

int64_t id_of_key(const std::string& key, const fs::path& file) {
  int64_t id = -1;
  const auto end = key.data() + key.size();
  if (std::from_chars(key.data(), end, id).ptr != end || key.empty() || id < 0)
    throw DataError("'{}' in added_tokens_decoder is no id", key).where(file).hint("ids are whole numbers from 0");
  return id;
}

void read_added_decoder(const Json& tokens, const fs::path& file, FolderConfig& result) {
  if (!tokens.is_object())
    throw DataError("'added_tokens_decoder' is no object of ids and tokens").where(file).hint("mend the file");
  for (const auto& [key, value] : tokens.items()) {
    result.added.push_back(read_added_token(value, file));
    result.added.back().id = id_of_key(key, file);
  }
}

/// The older form, {"<token>": id}; flags are those of the special token of that name.
void read_added_file(const fs::path& file, FolderConfig& result) {
  const Json tokens = read_if_there(file);
  if (!tokens.is_object()) throw DataError("there is no object of tokens and ids here").where(file).hint("mend the file");
  for (const auto& member : tokens.items()) {
    AddedToken token;
    token.content = member.key();
    token.id = json_get<int64_t>(tokens, token.content, file);
    token.special = std::any_of(result.special.begin(), result.special.end(),
                                [&](const AddedToken& one) { return one.content == token.content; });
    token.normalized = !token.special;
    result.added.push_back(token);
  }
}

}  // namespace

FolderConfig read_folder_config(const fs::path& folder) {
  FolderConfig result;
  if (folder.empty()) return result;
  const fs::path file = folder / "tokenizer_config.json";
  const Json config = read_if_there(file);
  result.tokenizer_class = json_get_or<std::string>(config, "tokenizer_class", "", file);
  result.legacy = flag(config, "legacy", file);
  result.add_begin = flag(config, "add_bos_token", file);
  result.add_end = flag(config, "add_eos_token", file);
  result.add_prefix_blank = flag(config, "add_prefix_space", file);
  result.lower = flag(config, "do_lower_case", file);
  result.strip_accents = flag(config, "strip_accents", file);
  result.space_chinese = flag(config, "tokenize_chinese_chars", file);
  read_special(config, file, result);
  if (config.contains("added_tokens_decoder")) {
    read_added_decoder(config["added_tokens_decoder"], file, result);
  } else {
    read_special(read_if_there(folder / "special_tokens_map.json"), folder / "special_tokens_map.json", result);
    read_added_file(folder / "added_tokens.json", result);
  }
  return result;
}

}  // namespace microemo::text
