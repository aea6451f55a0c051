#include "config_document.h"

#include <yaml-cpp/yaml.h>

#include <map>
#include <unordered_set>

#include "microemo/base/error.h"
#include "microemo/base/files.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

using Places = std::map<std::string, TextPlace>;

TextPlace place_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

Error error_at(const std::string& message, const fs::path& file, TextPlace place) {
  return ConfigError("{}", message).where(file, place.line, place.column);
}

class YamlReader {
 public:
  explicit YamlReader(const fs::path& file) : file_(file) {}

  ConfigNode read(const YAML::Node& yaml) const {
    ConfigNode node;
    node.place = place_of(yaml.Mark());
    refuse_tags(yaml, node.place);
    if (yaml.IsScalar()) read_scalar(yaml, node);
    if (yaml.IsSequence()) read_list(yaml, node);
    if (yaml.IsMap()) read_mapping(yaml, node);
    return node;
  }

 private:
  // "?" and "!" are what the library calls plain and quoted text without a tag.
  void refuse_tags(const YAML::Node& yaml, TextPlace place) const {
    const std::string& tag = yaml.Tag();
    if (!tag.empty() && tag != "?" && tag != "!")
      throw error_at(fmt::format("the tag '{}' has no meaning here", tag), file_, place).hint("remove the tag");
  }

  static void read_scalar(const YAML::Node& yaml, ConfigNode& node) {
    node.kind = ConfigNode::Kind::scalar;
    node.text = yaml.Scalar();
    node.quoted = yaml.Tag() == "!";
  }

  // Options know lists of scalars only, so that an alias which holds itself cannot lead in circles.
  void read_list(const YAML::Node& yaml, ConfigNode& node) const {
    node.kind = ConfigNode::Kind::list;
    for (const YAML::Node& element : yaml) {
      ConfigNode inner;
      inner.place = place_of(element.Mark());
      if (!element.IsScalar()) throw error_at("a list may hold plain values only", file_, inner.place).hint("write [a, b, c]");
      refuse_tags(element, inner.place);
      read_scalar(element, inner);
      node.elements.push_back(std::move(inner));
    }
  }

  void read_mapping(const YAML::Node& yaml, ConfigNode& node) const {
    node.kind = ConfigNode::Kind::mapping;
    std::unordered_set<std::string> names;
    for (const auto& member : yaml) {
      const ConfigKey key{member.first.IsScalar() ? member.first.Scalar() : "", place_of(member.first.Mark())};
      if (!member.first.IsScalar()) throw error_at("a key must be a plain name", file_, key.place).hint("write name: value");
      if (!names.insert(key.name).second)
        throw error_at(fmt::format("the key '{}' stands here a second time", key.name), file_, key.place)
            .hint("remove one of the two");
      if (depth_ == most_levels) throw error_at("sections are nested too deeply", file_, key.place).hint("mend the file");
      ++depth_;
      node.members.push_back({key, read(member.second)});
      --depth_;
    }
  }

  static constexpr int most_levels = 32;
  const fs::path& file_;
  mutable int depth_ = 0;
};

ConfigNode node_with_places(const Json& value, const std::string& pointer, TextPlace place, const Places& places) {
  ConfigNode node;
  node.place = place;
  if (value.is_null()) return node;
  if (value.is_object()) {
    node.kind = ConfigNode::Kind::mapping;
    for (const auto& [name, member] : value.items()) {
      const std::string inner = pointer + "/" + name;
      const auto found = places.find(inner);
      const ConfigKey key{name, found == places.end() ? TextPlace{} : found->second};
      node.members.push_back({key, node_with_places(member, inner, key.place, places)});
    }
  } else if (value.is_array()) {
    node.kind = ConfigNode::Kind::list;
    for (const Json& element : value) node.elements.push_back(node_with_places(element, pointer, place, places));
  } else {
    node.kind = ConfigNode::Kind::scalar;
    node.quoted = value.is_string();
    node.text = node.quoted ? value.get<std::string>() : value.dump();
  }
  return node;
}

ConfigNode parse_json_document(std::string_view text, const fs::path& name) {
  Places places;
  const Json value =
      parse_json_with_places(text, name, [&](const std::string& pointer, TextPlace place) { places[pointer] = place; });
  return node_with_places(value, {}, {1, 1}, places);
}

}  // namespace

ConfigNode node_of_json(const Json& value) { return node_with_places(value, {}, {}, {}); }

ConfigNode parse_yaml_document(std::string_view text, const fs::path& name) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() > 1)
      throw error_at("the file holds more than one document", name, place_of(documents[1].Mark())).hint("split it at '---'");
    return documents.empty() ? ConfigNode{} : YamlReader(name).read(documents[0]);
  } catch (const YAML::Exception& mistake) {
    throw error_at("broken YAML: " + mistake.msg, name, place_of(mistake.mark)).hint("mend the file at this place");
  }
}

ConfigNode read_config_document(const fs::path& path) {
  const std::string extension = path.extension().string();
  if (extension != ".json" && extension != ".yaml" && extension != ".yml")
    throw ConfigError("a configuration file ends in .yaml, .yml or .json, not '{}'", extension)
        .where(path)
        .hint("rename the file");
  try {
    const std::string text = read_file(path);
    return extension == ".json" ? parse_json_document(text, path) : parse_yaml_document(text, path);
  } catch (const Error& mistake) {
    throw Error(ErrorKind::config, mistake.message()).at(mistake.place()).hint(mistake.next_step());
  }
}

}  // namespace microemo
