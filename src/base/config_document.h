#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/base/json.h"
#include "positioned_json.h"

namespace microemo {

struct ConfigKey {
  std::string name;
  TextPlace place;
};

struct ConfigMember;

/// A configuration file as it was written, YAML or JSON alike: what a scalar means is decided by the option it is for.
struct ConfigNode {
  enum class Kind { nothing, scalar, list, mapping };
  Kind kind = Kind::nothing;
  std::string text;     ///< of a scalar
  bool quoted = false;  ///< the text was in quotes (or a block), so it is no number and no truth value
  TextPlace place;
  std::vector<ConfigNode> elements;
  std::vector<ConfigMember> members;
};

struct ConfigMember {
  ConfigKey key;
  ConfigNode node;
};

/// Reads by extension. Throws Error(config): missing file, unknown extension, broken text, a key given twice, more than one
/// document.
ConfigNode read_config_document(const std::filesystem::path& path);

/// YAML text; `name` is what errors say instead of a file.
ConfigNode parse_yaml_document(std::string_view text, const std::filesystem::path& name);

ConfigNode node_of_json(const Json& value);

}  // namespace microemo
