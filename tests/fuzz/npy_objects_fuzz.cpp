// Arrays of Python objects, by themselves or within an .npz. Their values may take more memory than the file, within the limit
// that parse_npy_objects names.

#include "fuzz.h"
#include "microemo/base/files.h"
#include "microemo/formats/npy_objects.h"
#include "microemo/formats/zip.h"

namespace {

using namespace microemo;

void read(const std::string& bytes, const std::filesystem::path& path) {
  if (!bytes.starts_with("PK")) {
    fuzz::touch(formats::parse_npy_objects(bytes, path).dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  const formats::ZipFile zip(path, {.entry_bytes = 4 << 20});
  for (const auto& entry : zip.entries())
    if (entry.name.ends_with(".npy")) formats::read_npz_objects(path, entry.name.substr(0, entry.name.size() - 4));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file(data, size);
  try {
    read(read_file(file.path()), file.path());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::checkpoint && error.kind() != ErrorKind::data) throw;
  }
  return 0;
}
