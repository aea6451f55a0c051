#include "item_id.h"

#include <map>

#include <fmt/format.h>

#include "microemo/eval/labels.h"
#include "microemo/eval/predictions.h"

namespace microemo::eval {

std::string item_id(const Json& object, const std::filesystem::path& path, int64_t line) {
  const bool has_id = !object.is_object() || object.contains("id");
  if (!has_id && object.contains("name")) return json_get<std::string>(object, "name", path, line);
  if (!has_id && object.contains("clip") && object.contains("utterance"))
    return utterance_id(json_get<std::string>(object, "clip", path, line), json_get<int64_t>(object, "utterance", path, line));
  return json_get<std::string>(object, "id", path, line);
}

std::string hint_for_missing(const std::vector<std::string>& missing, const std::vector<std::string>& extra) {
  std::map<std::string, std::string> predicted;
  for (const std::string& id : extra) predicted.emplace(normalise_label(id), id);
  for (const std::string& id : missing)
    if (const auto near = predicted.find(normalise_label(id)); near != predicted.end())
      return fmt::format("write ids alike: '{}' and '{}' differ in the case of letters or in blanks alone", id, near->second);
  return "score files of the same ids; a model that gave no answer has an empty list of labels";
}

}  // namespace microemo::eval
