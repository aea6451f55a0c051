#include "microemo/base/error.h"
#include "pth_contents.h"

namespace microemo::formats {
namespace {

// torch/serialization.py: MAGIC_NUMBER and PROTOCOL_VERSION.
constexpr std::string_view magic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t protocol = 1001;

class LegacyFile {
 public:
  LegacyFile(std::string_view bytes, const PthOptions& options, const std::filesystem::path& path)
      : bytes_(bytes), options_(options), path_(path), budget_(bytes.size()) {}

  PthContents read() {
    check_front();
    const Pickle object = next_pickle();
    const Pickle keys = next_pickle();
    const PthStorages storages = read_storages(object, keys);
    return read_pth_contents({object, storages, bytes_.size(), path_}, options_, budget_);
  }

 private:
  Pickle next_pickle() {
    Pickle pickle(bytes_.substr(at_), budget_, path_);
    at_ += pickle.size();
    return pickle;
  }

  void check_front() {
    const Pickle number = next_pickle();
    if (!number.root().is(PickleKind::wide_integer) || number.root().text() != magic)
      throw CheckpointError("this is a pickle, and none of torch.save")
          .where(path_)
          .hint("name a file that torch.save wrote, or save its tensors with it");
    const Pickle version = next_pickle();
    if (!version.root().is(PickleKind::integer) || version.root().integer() != protocol) damaged("it has an unknown version");
    const Pickle system = next_pickle();
    const auto facts = system.items(system.root());
    for (size_t i = 0; system.root().is(PickleKind::dict) && i < facts.size(); i += 2)
      if (facts[i].is(PickleKind::text) && facts[i].text() == "little_endian" && facts[i + 1].integer() != 1)
        throw CheckpointError("the file was written on a big-endian machine")
            .where(path_)
            .hint("load and save it with torch on a little-endian machine");
  }

  /// Bytes of an element of each storage. Storages of unknown types get 0.
  std::unordered_map<std::string_view, int64_t> widths_of(const Pickle& object) {
    std::unordered_map<std::string_view, int64_t> widths;
    for (const PickleValue& value : object.persistent_values()) {
      const auto id = read_storage_id(object, value);
      if (!id) continue;
      const std::string type = object.global_name(id->type);
      budget_.take(storage_cost + type.size());
      const std::string_view word = dtype_of_storage_class(type);
      widths.emplace(id->key, word.empty() ? 0 : dtype_width(word));
    }
    return widths;
  }

  /// Behind the pickles: for each key, in their order, 8 bytes number of elements and the elements.
  PthStorages read_storages(const Pickle& object, const Pickle& keys) {
    const auto widths = widths_of(object);
    PthStorages storages;
    if (!keys.root().is(PickleKind::list)) damaged("the list of storages is missing");
    for (const PickleValue& key : keys.items(keys.root())) {
      const auto width = key.is(PickleKind::text) ? widths.find(key.text()) : widths.end();
      if (width == widths.end()) damaged("a storage is listed that no tensor has");
      if (width->second == 0) damaged(fmt::format("storage '{}' has a type of unknown size", key.text()));
      budget_.take(storage_cost);
      const uint64_t size = take_size(static_cast<uint64_t>(width->second));
      if (!storages.emplace(key.text(), PthStorage{at_, at_ + size}).second)
        damaged(fmt::format("storage '{}' stands twice", key.text()));
      at_ += size;
    }
    if (at_ != bytes_.size()) damaged(fmt::format("{} bytes behind the last storage belong to none", bytes_.size() - at_));
    return storages;
  }

  uint64_t take_size(uint64_t width) {
    if (bytes_.size() - at_ < 8) damaged("it ends within the storages");
    uint64_t elements = 0, size = 0;
    for (size_t i = 8; i-- > 0;) elements = elements << 8 | static_cast<unsigned char>(bytes_[at_ + i]);
    at_ += 8;
    if (__builtin_mul_overflow(elements, width, &size) || size > bytes_.size() - at_) damaged("it ends within the storages");
    return size;
  }

  [[noreturn]] void damaged(const std::string& what) const {
    throw CheckpointError("the file is damaged: {}", what)
        .where(path_)
        .hint("fetch or write the file again, it may be truncated");
  }

  static constexpr uint64_t storage_cost = 80;

  std::string_view bytes_;
  const PthOptions& options_;
  const std::filesystem::path& path_;
  MemoryBudget budget_;
  size_t at_ = 0;
};

bool is_tar(std::string_view bytes) { return bytes.size() > 262 && bytes.substr(257, 5) == "ustar"; }

}  // namespace

PthContents read_legacy_form(std::string_view bytes, const PthOptions& options, const std::filesystem::path& path) {
  if (is_tar(bytes))
    throw CheckpointError("this is the tar form of torch before version 0.2, which is not read")
        .where(path)
        .hint("load and save it with a torch of today");
  if (!looks_like_pth(bytes.substr(0, 16)))
    throw CheckpointError("this is no file of torch.save").where(path).hint("name a .pth, .pt or .bin file with tensors");
  return LegacyFile(bytes, options, path).read();
}

}  // namespace microemo::formats
