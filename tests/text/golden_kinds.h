#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/text/tokenizer.h"

namespace microemo::text {

/// tests/data/text/kinds is made by tests/reference/tokenizer_golden.py with the public libraries.
inline const std::filesystem::path text_data = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/text";

/// One tokenizer of golden.json and what the library that it belongs to makes of the texts there.
class GoldenKind {
 public:
  explicit GoldenKind(Json golden) : values(std::move(golden)) {}

  Tokenizer open() const {
    TokenizerOptions options;
    if (has("--legacy")) options.legacy = true;
    if (has("--no-legacy")) options.legacy = false;
    const std::filesystem::path model = text_data / values["model"].get<std::string>();
    if (!std::filesystem::exists(model / "tokenizer_config.json") || std::filesystem::exists(model / "vocab.txt"))
      return Tokenizer(model, options);
    // The folders of LLaMA share one model.
    const TemporaryFolder folder;
    std::filesystem::copy(model, folder.path() / "model");
    std::filesystem::copy(text_data / "tokenizer.model", folder.path() / "model");
    return Tokenizer(folder.path() / "model", options);
  }
  std::string name() const { return values["name"]; }
  /// How the library reads a text: special tokens in it are found, but by the sentencepiece package itself.
  EncodeOptions reading() const { return {.find_special = !has("--literal")}; }
  std::vector<std::vector<int64_t>> ids(const char* key) const { return values[key].get<std::vector<std::vector<int64_t>>>(); }
  std::vector<std::string> texts(const char* key) const { return values.value(key, std::vector<std::string>()); }

  Json values;

 private:
  bool has(const char* option) const {
    for (const Json& one : values["options"])
      if (one == option) return true;
    return false;
  }
};

struct GoldenKinds {
  std::vector<std::string> texts;
  std::vector<GoldenKind> kinds;
};

inline GoldenKinds golden_kinds() {
  const Json values = read_json(text_data / "kinds/golden.json");
  GoldenKinds result{values["texts"].get<std::vector<std::string>>(), {}};
  for (const Json& kind : values["kinds"]) result.kinds.emplace_back(kind);
  return result;
}

}  // namespace microemo::text
