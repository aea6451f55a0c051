#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "microemo/base/error.h"
#include "microemo/base/json.h"

// One typed schema for configuration. An options struct is declared beside its owner, with a free function that describes it
// once:
//
//   struct FaceOptions { double window_s = 0.32; FaceInput input = FaceInput::rgb; };
//   template <class Visitor>
//   void describe(Visitor& option, FaceOptions& o) {
//     option("window_s", o.window_s, "Length of one face window, in seconds.").above(0);
//     option("input", o.input, "What the face encoder reads.");
//   }
//   constexpr auto names_of(FaceInput) { return std::array{std::pair{FaceInput::rgb, "rgb"}, std::pair{FaceInput::flow, "flow"}};
//   }
//
// Member types: bool, int64_t, double, std::string, std::vector of int64_t/double/std::string, an enum with names_of (found by
// ADL), or another described struct (a section). Limits: min, max (inclusive), above, below (exclusive); `only_if(condition,
// "when")` says when a key has an effect. A key is refused ("no effect unless when") that has none in the end and had none either
// when its own source was read, where each file is a source and all overrides together are the last. So a file's key may be
// switched off by a later file or an override (`train.yaml model.local.enabled=false`): it is then left aside.
//
// A command nests the sections it needs and loads them in one call:
//
//   struct PrepareOptions { std::string output = "cache"; int64_t workers = 0; bool faces = true; FaceOptions face; };
//   template <class Visitor>
//   void describe(Visitor& option, PrepareOptions& o) {
//     option("output", o.output, "Folder of the cache.");
//     option("workers", o.workers, "Threads; 0 takes what the machine grants.").min(0).max(1024);
//     option("faces", o.faces, "Track faces.");
//     option("face", o.face, "The face branch.").only_if(o.faces, "faces is true");     // a section: its keys are face.window_s,
//     face.input
//   }
//
//   PrepareOptions options;                                                             // the defaults
//   const ResolvedConfig config = load_config(options, {"base.yaml", "mine.yaml"}, {"face.window_s=0.2", "output=/data/cache"});
//   log_info(config.yaml());                                                            // every value with its origin; loads
//   again to the same write_json(run / "config.json", config.values);
//
// Later files win over earlier ones, overrides over files, later overrides over earlier ones. `key=~` puts a key or a whole
// section back to its default, so that a section of a file that lost its effect can be taken out. Text is never reinterpreted:
// `name=2024` is "2024".

namespace microemo {

/// An enum member behind its names.
struct EnumAccess {
  std::vector<std::string> names;
  std::function<size_t()> get;  ///< index into names
  std::function<void(size_t)> set;
};

using OptionAccess = std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*, std::vector<double>*,
                                  std::vector<std::string>*, EnumAccess>;

struct OptionCondition {
  bool holds = true;
  std::string when;
};

/// One key, with access to the member it stands for.
struct Option {
  std::string key;  ///< dotted: "model.local.window_s"
  std::string doc;
  OptionAccess access;
  std::optional<double> min, max, above, below;  ///< of numbers, and of each number in a list
  std::vector<OptionCondition> conditions;
};

struct Section {
  std::string key;
  std::string doc;
};

/// All keys in the order of description. It points into the options it was made of and must not outlive them.
struct Schema {
  std::vector<Option> options;
  std::vector<Section> sections;
};

/// What `option(…)` returns in describe(): the option just named.
class OptionHandle {
 public:
  explicit OptionHandle(Option& option) : option_(option) {}
  OptionHandle& min(double limit) { return option_.min = limit, *this; }
  OptionHandle& max(double limit) { return option_.max = limit, *this; }
  OptionHandle& above(double limit) { return option_.above = limit, *this; }
  OptionHandle& below(double limit) { return option_.below = limit, *this; }
  OptionHandle& only_if(bool condition, std::string when) {
    option_.conditions.push_back({condition, std::move(when)});
    return *this;
  }

 private:
  Option& option_;
};

/// The same for a section: a condition holds for all its keys.
class SectionHandle {
 public:
  SectionHandle(Schema& schema, size_t first, std::string key) : schema_(schema), first_(first), key_(std::move(key)) {}
  SectionHandle& only_if(bool condition, const std::string& when) { return only_if("", condition, when); }
  /// For one key or section of it: `inner` is named from here, "augment.flip" or "augment".
  SectionHandle& only_if(const std::string& inner, bool condition, const std::string& when) {
    const std::string key = inner.empty() ? key_ : key_ + "." + inner;
    for (size_t i = first_; i < schema_.options.size(); ++i)
      if (Option& option = schema_.options[i]; option.key == key || option.key.starts_with(key + "."))
        option.conditions.push_back({condition, when});
    return *this;
  }

 private:
  Schema& schema_;
  size_t first_;
  std::string key_;
};

/// The visitor that describe() meets: writes the schema down.
class SchemaVisitor {
 public:
  explicit SchemaVisitor(Schema& schema, std::string prefix = {}) : schema_(schema), prefix_(std::move(prefix)) {}

  template <class T>
  auto operator()(std::string_view name, T& value, std::string_view doc) {
    const std::string key = prefix_ + std::string(name);
    if constexpr (std::is_constructible_v<OptionAccess, T*>) {
      return OptionHandle(add(key, &value, doc));
    } else if constexpr (std::is_enum_v<T>) {
      return OptionHandle(add(key, enum_access(value), doc));
    } else {
      static_assert(std::is_class_v<T>,
                    "an option is a bool, int64_t, double, text, a list of these, a named enum or a described struct");
      const size_t first = schema_.options.size();
      schema_.sections.push_back({key, std::string(doc)});
      SchemaVisitor inner(schema_, key + ".");
      describe(inner, value);
      return SectionHandle(schema_, first, key);
    }
  }

 private:
  Option& add(const std::string& key, OptionAccess access, std::string_view doc) {
    Option& option = schema_.options.emplace_back();
    option.key = key;
    option.doc = doc;
    option.access = std::move(access);
    return option;
  }

  template <class E>
  static EnumAccess enum_access(E& value) {
    static constexpr auto named = names_of(E{});
    EnumAccess access;
    for (const auto& entry : named) access.names.emplace_back(entry.second);
    access.get = [&value] {
      for (size_t i = 0; i < named.size(); ++i)
        if (named[i].first == value) return i;
      throw InternalError("an option holds a value that names_of does not name");
    };
    access.set = [&value](size_t index) { value = named[index].first; };
    return access;
  }

  Schema& schema_;
  std::string prefix_;
};

template <class T>
Schema schema_of(T& options) {
  Schema schema;
  SchemaVisitor visitor(schema);
  describe(visitor, options);
  return schema;
}

struct ConfigEntry {
  std::string key;
  Json value;
  std::string origin;     ///< "default", "base.yaml:12" or "command line"
  std::string no_effect;  ///< "faces is true" when the key would need that to have an effect; empty otherwise
};

/// The outcome of load_config, for logs, run folders and comparisons.
struct ResolvedConfig {
  std::vector<ConfigEntry> entries;  ///< every key, in the order of description
  Json values;                       ///< nested objects; keys without effect are left out, so that it can be loaded again

  /// Nested YAML, "key: value  # origin" a line; keys without effect are comments. Loading it gives the same configuration.
  std::string yaml() const;
};

/// A schema that can be written down anew: conditions and limits may depend on values that were just loaded.
using SchemaSource = std::function<Schema()>;
ResolvedConfig load_config(const SchemaSource& describe_again, const std::vector<std::filesystem::path>& files,
                           const std::vector<std::string>& overrides);
ResolvedConfig load_config(const SchemaSource& describe_again, const Json& values, const std::filesystem::path& name_in_errors);

/// Fills `options` from its present values (the defaults), then files (.yaml, .yml or .json) from left to right, then "key=value"
/// overrides. Throws Error(config) with file, line and column for a broken file, an unknown key (with the nearest valid one), a
/// key given twice in one file, a value of the wrong type or outside its limits, and a key without effect (see above).
/// `options` is then half filled.
template <class T>
ResolvedConfig load_config(T& options, const std::vector<std::filesystem::path>& files,
                           const std::vector<std::string>& overrides = {}) {
  return load_config(SchemaSource([&options] { return schema_of(options); }), files, overrides);
}

/// The same from values in memory: a configuration that a run or a checkpoint recorded as JSON. Keys without effect are left
/// aside: the version that recorded them may have had a use for them.
template <class T>
ResolvedConfig options_from_json(T& options, const Json& values, const std::filesystem::path& name_in_errors) {
  return load_config(SchemaSource([&options] { return schema_of(options); }), values, name_in_errors);
}

/// Nested values of all keys that have an effect; options_from_json reads them back.
Json schema_values(const Schema& schema);
template <class T>
Json options_to_json(T options) {
  return schema_values(schema_of(options));
}

/// A reference page in Markdown: for each section a table of key, type, default, limits and meaning. Defaults are the present
/// values.
std::string reference_page(const Schema& schema);
/// The same as plain text for --help, wrapped at 100 columns.
std::string help_text(const Schema& schema);

struct ConfigDifference {
  std::string key;
  Json left, right;  ///< null where the key is missing
};
/// Keys whose values differ between two nested configurations (ResolvedConfig::values), in the order of the left one.
std::vector<ConfigDifference> diff_configs(const Json& left, const Json& right);

}  // namespace microemo
