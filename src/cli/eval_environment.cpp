#include "eval_environment.h"

#include <ATen/Version.h>
#include <torch/version.h>

#include "commit.h"
#include "microemo/base/config.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"

namespace microemo::cli {

std::vector<std::string> command_line() {
  std::vector<std::string> words;
  const std::string all = read_file("/proc/self/cmdline");
  for (size_t begin = 0; begin < all.size(); begin = all.find('\0', begin) + 1) words.emplace_back(all.c_str() + begin);
  return words;
}

Json eval_environment(const train::LoadedRun& run, const Json& options, int64_t threads, const Device& device) {
  return {{"microemo", MICROEMO_VERSION},
          {"commit", built_from_commit},
          {"libtorch", TORCH_VERSION},
          {"cpu_capability", at::get_cpu_capability()},
          {"threads", threads},
          {"device", device_text(device)},
          {"checkpoint",
           {{"folder", run.checkpoint.string()},
            {"step", run.step},
            {"manifest_sha256", sha256_file(run.checkpoint / "manifest.json")}}},
          {"options", options},
          {"configuration", options_to_json(run.options)},
          {"command", command_line()}};
}

}  // namespace microemo::cli
