// Tokenizer files of every kind, and the configuration beside one. What the bytes begin with says what they are taken for;
// tekken's JSON and that of tokenizers differ by their members. A file that opens is used. Error(data) is a right answer;
// anything else is a finding.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/text/tokenizer.h"

namespace {

using microemo::text::Tokenizer;

const std::string sample = "It's 3.14 na\xC3\xAFve <s></s> [UNK] \xF0\x9F\x99\x82 \xE2\x96\x81x  \n ab abc <|im_end|>";

void use(const Tokenizer& tokenizer) {
  for (const bool find : {true, false}) {
    const auto ids = tokenizer.encode(sample, {.find_special = find, .add_special = true});
    tokenizer.decode(ids, find);
  }
}

void open(const std::filesystem::path& path) {
  try {
    use(Tokenizer(path));
  } catch (const microemo::Error& error) {
    if (error.kind() != microemo::ErrorKind::data) throw;
  }
}

std::string golden_model() {
  const char* source = std::getenv("MICROEMO_SOURCE");
  return microemo::read_file(std::filesystem::path(source != nullptr ? source : ".") / "tests/data/text/tokenizer.model");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const microemo::TemporaryFolder folder;
  static const std::string model = golden_model();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const bool json = bytes.starts_with('{');
  const auto file = folder.path() / (json ? "tokenizer.json" : bytes.starts_with('\n') ? "tokenizer.model" : "vocab.txt");
  microemo::write_file_atomic(file, bytes);
  open(file);
  if (!json) return 0;
  const auto with_configuration = folder.path() / "folder";
  microemo::write_file_atomic(with_configuration / "tokenizer.model", model);
  microemo::write_file_atomic(with_configuration / "tokenizer_config.json", bytes);
  open(with_configuration);
  return 0;
}
