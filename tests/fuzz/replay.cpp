// Runs a fuzz target over files and the files of folders: what it once found must not come back.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "microemo/base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

namespace {

namespace fs = std::filesystem;

void replay(const fs::path& file) {
  const std::string bytes = microemo::read_file(file);
  std::fprintf(stderr, "%s\n", file.c_str());
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argument_count, char** arguments) {
  int files = 0;
  for (int i = 1; i < argument_count; ++i) {
    std::vector<fs::path> found;
    if (fs::is_directory(arguments[i])) {
      for (const auto& entry : fs::directory_iterator(arguments[i]))
        if (entry.is_regular_file()) found.push_back(entry.path());
    } else {
      found.emplace_back(arguments[i]);
    }
    for (const fs::path& file : found) replay(file);
    files += static_cast<int>(found.size());
  }
  std::printf("%d files\n", files);
  return files > 0 ? 0 : 1;
}
