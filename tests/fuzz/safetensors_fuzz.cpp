#include "fuzz.h"
#include "microemo/formats/safetensors.h"

namespace {

void open_file(const std::filesystem::path& path) {
  const microemo::formats::SafetensorsFile file(path);
  for (const auto& entry : file.entries()) microemo::fuzz::touch(file.bytes(file.find(entry.name)));
}

}  // namespace

MICROEMO_FUZZ_TARGET(open_file)
