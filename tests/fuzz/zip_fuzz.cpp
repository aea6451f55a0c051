#include "fuzz.h"
#include "microemo/formats/zip.h"

namespace {

void open_file(const std::filesystem::path& path) {
  const microemo::formats::ZipFile zip(path, {.entry_bytes = 4 << 20});
  for (const auto& entry : zip.entries()) {
    if (!entry.deflated) microemo::fuzz::touch(zip.view(entry));
    microemo::fuzz::touch(zip.read(entry));
  }
}

}  // namespace

MICROEMO_FUZZ_TARGET(open_file)
