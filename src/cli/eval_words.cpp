#include "eval_words.h"

#include <filesystem>

#include "microemo/base/error.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

bool names_configuration(const fs::path& word) {
  const std::string kind = word.extension().string();
  return kind == ".yaml" || kind == ".yml" || kind == ".json";
}

bool is_folder(const std::string& word) {
  std::error_code none;
  return fs::is_directory(word, none);
}

bool is_there(const std::string& word) {
  std::error_code none;
  return fs::exists(word, none);
}

}  // namespace

EvalWords sort_eval_words(const std::vector<std::string>& words) {
  EvalWords sorted;
  for (const std::string& word : words) {
    const bool is_change = word.find('=') != std::string::npos && !is_there(word);
    if (is_change)
      sorted.changes.push_back(word);
    else if (!is_folder(word) && names_configuration(word))
      sorted.files.push_back(word);
    else if (sorted.run.empty() && (is_folder(word) || !is_there(word)))
      sorted.run = word;
    else if (sorted.manifest.empty())
      sorted.manifest = word;
    else
      throw ConfigError("'{}' is one name too many: the run is {}, the manifest {}", word, sorted.run, sorted.manifest)
          .at("command line")
          .hint("name configuration files .yaml or .json, and write options as key=value");
  }
  return sorted;
}

}  // namespace microemo::cli
