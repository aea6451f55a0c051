#pragma once
#include <string>
#include <vector>

namespace microemo::cli {

/// What stands behind `microemo eval`, in any order but that of run and manifest.
struct EvalWords {
  std::string run, manifest;                ///< empty where the configuration has to name them
  std::vector<std::string> files, changes;  ///< configuration files, and key=value
};

/// A folder is the run and a file that is no configuration (.yaml, .yml, .json) the manifest, also with "=" in their names; of
/// what is not there the first name is the run, the second the manifest. Throws Error(config) for a third.
EvalWords sort_eval_words(const std::vector<std::string>& words);

}  // namespace microemo::cli
