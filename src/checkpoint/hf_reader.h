#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/base/json.h"

namespace microemo::checkpoint {

/// A JSON file of Hugging Face, of which some keys are known. Errors are of the kind `checkpoint`, with file and line.
class HfFile {
 public:
  explicit HfFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  const Json& root() const { return root_; }

  /// Fills described options from the keys of `object` that they describe; null counts as absent. `section` is where the object
  /// stands ("vision_config"), empty for the root.
  template <class T>
  void fill(T& options, const Json& object, const std::string& section, const std::vector<std::string>& required = {}) const {
    fill(SchemaSource([&options] { return schema_of(options); }), object, section, required);
  }

  /// The object of that name, an empty one when it is absent or null.
  Json section(const std::string& name) const;
  /// Text, empty when the key is absent.
  std::string text(const Json& object, const std::string& section, const std::string& key) const;

  /// The line of a key; 0 when it is not found.
  int64_t line_of(const std::string& section, const std::string& key) const;
  /// An error at the place of a key.
  Error refuse(const std::string& section, const std::string& key, const std::string& message, const std::string& hint) const;

 private:
  void fill(const SchemaSource& options, const Json& object, const std::string& section,
            const std::vector<std::string>& required) const;

  std::filesystem::path path_;
  std::string text_;
  Json root_;
};

}  // namespace microemo::checkpoint
