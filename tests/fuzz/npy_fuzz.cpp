#include "fuzz.h"
#include "microemo/formats/npy.h"

namespace {

void open_file(const std::filesystem::path& path) {
  const microemo::formats::NpyArray array = microemo::formats::read_npy(path);
  microemo::fuzz::touch(array.bytes);
}

}  // namespace

MICROEMO_FUZZ_TARGET(open_file)
