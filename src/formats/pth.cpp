#include "microemo/formats/pth.h"

#include <optional>

#include "microemo/formats/mapped_file.h"
#include "microemo/formats/zip.h"
#include "pth_contents.h"

namespace microemo::formats {

struct PthFile::State {
  std::filesystem::path path;
  std::optional<ZipFile> zip;
  std::optional<MappedFile> file;  ///< of legacy files
  std::span<const std::byte> bytes;
  PthContents contents;
};

namespace {

constexpr std::string_view pickle_name = "data.pkl";
constexpr uint64_t record_cost = 64;

std::string_view as_text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Zip archives in general are data; here they are checkpoints. Names the file where a reader below did not know it.
template <class Action>
void as_checkpoint(const std::filesystem::path& path, Action action) {
  try {
    action();
  } catch (const Error& mistake) {
    const ErrorKind kind = mistake.kind() == ErrorKind::data ? ErrorKind::checkpoint : mistake.kind();
    const std::string place = mistake.place().empty() ? path.string() : mistake.place();
    throw Error(kind, mistake.message()).at(place).hint(mistake.next_step());
  }
}

/// The folder that everything lies in, with its '/': "archive/", or the stem of the name that the file once had.
std::string find_prefix(const ZipFile& zip) {
  std::string prefix;
  for (const ZipEntry& entry : zip.entries()) {
    const size_t slash = entry.name.find('/');
    if (slash == std::string::npos || entry.name.substr(slash + 1) != pickle_name) continue;
    if (!prefix.empty()) throw CheckpointError("the archive has two of {}", pickle_name).where(zip.path());
    prefix = entry.name.substr(0, slash + 1);
  }
  if (prefix.empty())
    throw CheckpointError("the archive is not one of torch.save: it has no {}", pickle_name)
        .where(zip.path())
        .hint("name a file that torch.save wrote");
  return prefix;
}

void check_form(const ZipFile& zip, const std::string& prefix) {
  if (zip.contains(prefix + "constants.pkl"))
    throw CheckpointError("this is a TorchScript archive, which holds a program")
        .where(zip.path())
        .hint("in Python, load it with torch.jit.load and save its state_dict() with torch.save");
  if (zip.contains(prefix + "byteorder") && zip.read(prefix + "byteorder") != "little")
    throw CheckpointError("the file was written on a big-endian machine")
        .where(zip.path())
        .hint("load and save it with torch on a little-endian machine");
}

PthStorages records_of(const ZipFile& zip, const std::string& prefix, std::span<const std::byte> bytes, MemoryBudget& budget) {
  PthStorages storages;
  const std::string folder = prefix + "data/";
  for (const ZipEntry& entry : zip.entries()) {
    if (!entry.name.starts_with(folder)) continue;
    budget.take(record_cost);
    const std::span<const std::byte> record = zip.view(entry);
    const auto begin = static_cast<uint64_t>(record.data() - bytes.data());
    storages.emplace(std::string_view(entry.name).substr(folder.size()), PthStorage{begin, begin + record.size()});
  }
  return storages;
}

PthContents read_zip_form(const ZipFile& zip, const PthOptions& options) {
  const std::string prefix = find_prefix(zip);
  check_form(zip, prefix);
  const std::span<const std::byte> bytes = zip.file_bytes();
  MemoryBudget budget(bytes.size());
  const PthStorages storages = records_of(zip, prefix, bytes, budget);
  const Pickle pickle(as_text(zip.view(zip.find(prefix + std::string(pickle_name)))), budget, zip.path());
  return read_pth_contents({pickle, storages, bytes.size(), zip.path()}, options, budget);
}

}  // namespace

bool looks_like_pth(std::string_view first) {
  // The size of a safetensors header may begin like the other two; its upper half is zero and '{' follows.
  const bool safetensors = first.size() > 8 && first.substr(4, 4) == std::string_view("\0\0\0\0", 4) && first[8] == '{';
  return !safetensors && (first.starts_with("PK\3\4") || (first.size() > 1 && first[0] == '\x80' && first[1] <= 5));
}

PthFile::PthFile(const std::filesystem::path& path, const PthOptions& options) {
  auto state = std::make_shared<State>();
  state->path = path;
  state->file.emplace(path, ErrorKind::checkpoint);
  as_checkpoint(path, [&] {
    if (state->file->text().starts_with("PK")) {
      state->zip.emplace(path);
      state->contents = read_zip_form(*state->zip, options);
      state->bytes = state->zip->file_bytes();
    } else {
      state->contents = read_legacy_form(state->file->text(), options, path);
      state->bytes = state->file->bytes();
    }
  });
  if (state->zip) state->file.reset();
  state_ = std::move(state);
}

const std::vector<PthTensor>& PthFile::tensors() const { return state_->contents.tensors; }
const std::map<std::string, std::string>& PthFile::values() const { return state_->contents.values; }
const std::vector<PthUnknown>& PthFile::unknown() const { return state_->contents.unknown; }
bool PthFile::legacy() const { return !state_->zip.has_value(); }
std::span<const std::byte> PthFile::file_bytes() const { return state_->bytes; }
const std::filesystem::path& PthFile::path() const { return state_->path; }

}  // namespace microemo::formats
