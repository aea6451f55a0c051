#include "microemo/base/config.h"

#include <map>
#include <set>

#include "config_document.h"
#include "config_values.h"
#include "microemo/base/error.h"
#include "microemo/base/nearest.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

/// Where a value came from. Without a place it is a default.
struct Origin {
  std::string text = "default";  ///< "base.yaml:12"
  std::string place;             ///< the same at full length, for errors
  bool had_effect = true;        ///< when its source had been read
};

/// The source that is being read: how its places are named.
struct Source {
  fs::path file;
  std::string override_text;  ///< "key=value" when it is an override

  Origin origin(TextPlace place) const {
    if (!override_text.empty()) return {"command line", fmt::format("command line, '{}'", override_text)};
    const std::string line = place.line > 0 ? fmt::format(":{}", place.line) : "";
    return {file.filename().string() + line, Error(ErrorKind::config, "").where(file, place.line, place.column).place()};
  }
};

std::string unmet_condition(const Option& option) {
  for (const OptionCondition& condition : option.conditions)
    if (!condition.holds) return condition.when;
  return {};
}

class Loader {
 public:
  explicit Loader(Schema schema) : schema_(std::move(schema)) {
    for (size_t i = 0; i < schema_.options.size(); ++i) {
      MICROEMO_CHECK(index_.emplace(schema_.options[i].key, i).second, "the option '{}' is described twice",
                     schema_.options[i].key);
      defaults_.push_back(json_of(schema_.options[i].access));
    }
    for (const Section& section : schema_.sections) sections_.emplace(section.key, true);
  }

  void apply_document(const ConfigNode& document, const Source& source) {
    if (document.kind == ConfigNode::Kind::nothing) return;
    if (document.kind != ConfigNode::Kind::mapping)
      throw ConfigError("a configuration is keys with values, not {}", seen_text(document))
          .at(source.origin(document.place).place)
          .hint("write key: value, one a line");
    given_.clear();
    apply_members(document, "", source);
  }

  void apply_override(const std::string& text) {
    const Source source{{}, text};
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw ConfigError("'{}' is not of the form key=value", text).at("command line").hint("write key=value without blanks");
    const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
    given_.clear();
    if (value == "~")
      reset(key, source);
    else
      apply(key, {}, override_node(key, value), source);
  }

  /// A source is read to its end: which of its keys have an effect, by a schema of the values so far.
  void end_source(const Schema& so_far) {
    for (const Option& option : so_far.options)
      if (fresh_.contains(option.key)) origins_.at(option.key).had_effect = unmet_condition(option).empty();
    fresh_.clear();
  }

  std::map<std::string, Origin> take_origins() { return std::move(origins_); }

 private:
  void apply_members(const ConfigNode& mapping, const std::string& prefix, const Source& source) {
    for (const auto& [key, node] : mapping.members) apply(prefix + key.name, key.place, node, source);
  }

  void apply(const std::string& key, TextPlace place, const ConfigNode& node, const Source& source) {
    if (sections_.contains(key)) return apply_section(key, place, node, source);
    const Option& option = find(key, source.origin(place));
    // "a.b: 1" and "a: {b: 2}" in one file name the same key.
    if (!given_.emplace(key, true).second)
      throw ConfigError("the key '{}' is given a second time", key).at(source.origin(place).place).hint("remove one of the two");
    if (!assign(option.access, node)) throw wrong_type(option, node, source.origin(place));
    origins_[key] = source.origin(place);
    fresh_.insert(key);
  }

  void apply_section(const std::string& key, TextPlace place, const ConfigNode& node, const Source& source) {
    if (node.kind == ConfigNode::Kind::nothing && source.override_text.empty()) return;
    if (node.kind != ConfigNode::Kind::mapping)
      throw ConfigError("'{}' is {}; wanted: a section with keys of its own", key, seen_text(node))
          .at(source.origin(place).place)
          .hint(fmt::format("name a key in it, such as {}", first_key_of(key)));
    apply_members(node, key + ".", source);
  }

  void reset(const std::string& key, const Source& source) {
    if (!sections_.contains(key)) find(key, source.origin({}));
    for (size_t i = 0; i < schema_.options.size(); ++i) {
      const Option& option = schema_.options[i];
      if (option.key != key && !option.key.starts_with(key + ".")) continue;
      MICROEMO_CHECK(assign(option.access, node_of_json(defaults_[i])), "the default of '{}' cannot be set", option.key);
      origins_.erase(option.key);
      fresh_.erase(option.key);
    }
  }

  const Option& find(const std::string& key, const Origin& origin) const {
    if (const auto found = index_.find(key); found != index_.end()) return schema_.options[found->second];
    std::vector<std::string> names;
    for (const Option& option : schema_.options) names.push_back(option.key);
    for (const Section& section : schema_.sections) names.push_back(section.key);
    const std::string nearest = nearest_name(key, names);
    if (nearest.empty()) throw ConfigError("there is no key '{}'", key).at(origin.place).hint("remove it; --help lists all keys");
    throw ConfigError("there is no key '{}'; did you mean '{}'?", key, nearest)
        .at(origin.place)
        .hint(fmt::format("write '{}', or remove the key", nearest));
  }

  static Error wrong_type(const Option& option, const ConfigNode& node, const Origin& origin) {
    Error error = ConfigError("'{}' is {}; wanted: {}", option.key, seen_text(node), wanted_text(option.access)).at(origin.place);
    const EnumAccess* choice = std::get_if<EnumAccess>(&option.access);
    const std::string nearest = choice != nullptr ? nearest_name(node.text, choice->names) : "";
    if (!nearest.empty()) return error.hint(fmt::format("did you mean '{}'?", nearest));
    return error.hint(fmt::format("give it {}, such as {}", wanted_text(option.access), json_of(option.access).dump()));
  }

  /// Text is taken as it stands, so that a path or a question needs no second pair of quotes; everything else is YAML.
  ConfigNode override_node(const std::string& key, const std::string& value) const {
    const auto found = index_.find(key);
    const bool in_quotes = value.size() > 1 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front();
    if (found != index_.end() && !in_quotes) {
      const OptionAccess& access = schema_.options[found->second].access;
      if (std::holds_alternative<std::string*>(access) || std::holds_alternative<EnumAccess>(access)) {
        ConfigNode node;
        node.kind = ConfigNode::Kind::scalar;
        node.text = value;
        node.quoted = std::holds_alternative<std::string*>(access);
        return node;
      }
    }
    return parse_yaml_document(value, fmt::format("command line, '{}={}'", key, value));
  }

  std::string first_key_of(const std::string& section) const {
    for (const Option& option : schema_.options)
      if (option.key.starts_with(section + ".")) return option.key;
    return section;
  }

  Schema schema_;
  std::map<std::string, size_t> index_;
  std::map<std::string, bool> sections_, given_;
  std::vector<Json> defaults_;
  std::map<std::string, Origin> origins_;
  std::set<std::string> fresh_;  ///< keys of the source that is being read
};

void check(const Option& option, const Origin& origin, bool was_set) {
  const std::string unmet = unmet_condition(option);
  if (was_set && !unmet.empty() && !origin.had_effect)
    throw ConfigError("'{}' has no effect unless {}", option.key, unmet)
        .at(origin.place)
        .hint(fmt::format("remove it, or see that {}; on the command line '{}=~' takes a file's value out", unmet, option.key));
  if (!unmet.empty()) return;
  if (const std::optional<double> number = number_outside_limits(option))
    throw ConfigError("'{}' is {}; it must be {}", option.key, *number, limits_text(option))
        .at(was_set ? origin.place : "its default")
        .hint("change the value");
}

/// Described anew, because conditions and limits depend on the values.
ResolvedConfig resolve(const Schema& schema, const std::map<std::string, Origin>& origins) {
  ResolvedConfig config;
  for (const Option& option : schema.options) {
    const auto found = origins.find(option.key);
    const bool was_set = found != origins.end();
    const Origin origin = was_set ? found->second : Origin{};
    check(option, origin, was_set);
    config.entries.push_back({option.key, json_of(option.access), origin.text, unmet_condition(option)});
  }
  config.values = schema_values(schema);
  return config;
}

}  // namespace

ResolvedConfig load_config(const SchemaSource& describe_again, const std::vector<fs::path>& files,
                           const std::vector<std::string>& overrides) {
  Loader loader(describe_again());
  for (const fs::path& file : files) {
    loader.apply_document(read_config_document(file), {file, {}});
    loader.end_source(describe_again());
  }
  for (const std::string& text : overrides) loader.apply_override(text);
  loader.end_source(describe_again());
  return resolve(describe_again(), loader.take_origins());
}

ResolvedConfig load_config(const SchemaSource& describe_again, const Json& values, const fs::path& name_in_errors) {
  Loader loader(describe_again());
  loader.apply_document(node_of_json(values), {name_in_errors, {}});
  return resolve(describe_again(), loader.take_origins());
}

Json schema_values(const Schema& schema) {
  Json values = Json::object();
  for (const Option& option : schema.options)
    if (unmet_condition(option).empty()) set_nested(values, option.key, json_of(option.access));
  return values;
}

}  // namespace microemo
