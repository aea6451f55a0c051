#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"

namespace microemo::text {

/// What tokenizer_config.json, special_tokens_map.json and added_tokens.json of a Hugging Face folder say, put together as
/// transformers does: added_tokens_decoder of the first rules; without it the other two files are read.
struct FolderConfig {
  std::string tokenizer_class;
  std::optional<std::string> begin, end, unknown, pad, separator, classifier, mask;
  std::vector<std::string> more_special;
  std::vector<AddedToken> added;    ///< with ids
  std::vector<AddedToken> special;  ///< the named special tokens, without ids; flags as they are written
  std::optional<bool> legacy, add_begin, add_end, add_prefix_blank, lower, strip_accents, space_chinese;
};

/// An empty path or a folder without these files gives an empty configuration. Throws Error(data) for files that cannot be read.
FolderConfig read_folder_config(const std::filesystem::path& folder);

}  // namespace microemo::text
