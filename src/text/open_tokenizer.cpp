#include <algorithm>

#include "kind.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/text/tokenizer.h"

namespace microemo::text {
namespace {

namespace fs = std::filesystem;

/// The largest public file has 20 MB; a checkpoint that was named by mistake has thousands.
constexpr uintmax_t largest_file = 256 << 20;
constexpr const char* known_files[] = {"tokenizer.model", "tokenizer.json", "tekken.json", "vocab.txt"};

fs::path file_in(const fs::path& folder) {
  std::string names;
  for (const char* name : known_files) {
    if (fs::exists(folder / name)) return folder / name;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  throw DataError("there is no tokenizer in this folder; looked for {}", names)
      .where(folder)
      .hint("name the folder that config.json and the tokenizer's files are in, or one of these files");
}

std::string bounded_file(const fs::path& file) {
  std::error_code failure;
  const uintmax_t size = fs::file_size(file, failure);
  if (!failure && size > largest_file)
    throw DataError("the file has {} MB, too many for a tokenizer", size >> 20)
        .where(file)
        .hint("name a tokenizer's file or folder");
  return read_file(file);
}

bool is_json(std::string_view bytes) {
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && bytes[first] == '{';
}

bool is_vocabulary(const fs::path& file) { return file.extension() == ".txt"; }

std::unique_ptr<TokenizerKind> open_file(const TokenizerFiles& files, const TokenizerOptions& options) {
  if (is_vocabulary(files.vocabulary)) return open_wordpiece(files);
  // A SentencePiece model begins with the byte of its first field, 0x0A, and a length.
  if (!is_json(files.bytes) || files.vocabulary.extension() == ".model") return open_sentencepiece(files, options);
  return open_json(files);
}

}  // namespace

std::vector<fs::path> tokenizer_files(const fs::path& file_or_folder) {
  if (!fs::is_directory(file_or_folder)) return {file_or_folder};
  std::vector<fs::path> files{file_in(file_or_folder)};
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"})
    if (fs::exists(file_or_folder / name)) files.push_back(file_or_folder / name);
  return files;
}

std::unique_ptr<TokenizerKind> open_kind(const fs::path& file_or_folder, const TokenizerOptions& options) {
  TokenizerFiles files;
  const bool folder = fs::is_directory(file_or_folder);
  files.vocabulary = folder ? file_in(file_or_folder) : file_or_folder;
  if (folder) files.folder = file_or_folder;
  files.bytes = bounded_file(files.vocabulary);
  auto kind = open_file(files, options);
  kind->hash = sha256(files.bytes);
  return kind;
}

}  // namespace microemo::text
