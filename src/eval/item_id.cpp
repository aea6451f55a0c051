#include "item_id.h"

#include "microemo/eval/predictions.h"

namespace microemo::eval {

std::string item_id(const Json& object, const std::filesystem::path& path, int64_t line) {
  const bool has_id = !object.is_object() || object.contains("id");
  if (!has_id && object.contains("name")) return json_get<std::string>(object, "name", path, line);
  if (!has_id && object.contains("clip") && object.contains("utterance"))
    return utterance_id(json_get<std::string>(object, "clip", path, line), json_get<int64_t>(object, "utterance", path, line));
  return json_get<std::string>(object, "id", path, line);
}

}  // namespace microemo::eval
