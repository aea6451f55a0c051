#include "fuzz.h"
#include "microemo/base/files.h"
#include "microemo/formats/mapped_file.h"
#include "microemo/formats/pickle.h"

namespace {

using namespace microemo;

void open_file(const std::filesystem::path& path) {
  const formats::MappedFile file(path, ErrorKind::checkpoint);
  formats::MemoryBudget budget(file.bytes().size());
  const formats::Pickle pickle(file.text(), budget, path);
  fuzz::touch(pickle.global_name(pickle.root()));
  for (const formats::PickleValue& item : pickle.items(pickle.root()))
    if (item.is(formats::PickleKind::text)) fuzz::touch(item.text());
}

}  // namespace

MICROEMO_FUZZ_TARGET(open_file)
