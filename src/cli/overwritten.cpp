#include "overwritten.h"

#include "microemo/base/error.h"

namespace microemo::cli {

void refuse_to_overwrite(const char* option, const std::filesystem::path& written,
                         const std::vector<std::filesystem::path>& read) {
  for (const std::filesystem::path& file : read) {
    std::error_code absent;
    if (!written.empty() && std::filesystem::equivalent(written, file, absent))
      throw ConfigError("{} would overwrite a file that is read", option).where(written).hint("name another file");
  }
}

}  // namespace microemo::cli
