#include "microemo/formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace microemo::formats {
namespace {

Error cannot_read(ErrorKind kind, const std::filesystem::path& path, const std::string& reason) {
  return Error(kind, "cannot read the file: " + reason).where(path).hint("check the path and the access rights");
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

/// Without a lock, since a signal handler reads it. A file that finds no place is mapped all the same.
std::array<std::atomic<const MappedFile*>, 4096> mapped_files;

void enter(const MappedFile* file) {
  static std::atomic<size_t> next{0};
  const size_t first = next++;
  for (size_t i = 0; i < mapped_files.size(); ++i) {
    const MappedFile* empty = nullptr;
    if (mapped_files[(first + i) % mapped_files.size()].compare_exchange_strong(empty, file)) return;
  }
}

void leave(const MappedFile* file) {
  for (auto& place : mapped_files) {
    const MappedFile* expected = file;
    if (place.compare_exchange_strong(expected, nullptr)) return;
  }
}

}  // namespace

MappedFile::MappedFile(std::filesystem::path path, ErrorKind kind) : path_(std::move(path)) {
  const Descriptor file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat facts {};
  if (file.number < 0 || ::fstat(file.number, &facts) != 0) throw cannot_read(kind, path_, std::strerror(errno));
  if (!S_ISREG(facts.st_mode)) throw cannot_read(kind, path_, "it is not a regular file");
  const auto size = static_cast<size_t>(facts.st_size);
  if (size == 0) return;
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (start == MAP_FAILED) throw cannot_read(kind, path_, std::strerror(errno));
  bytes_ = {static_cast<const std::byte*>(start), size};
  enter(this);
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  leave(this);
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

const char* mapped_file_at(const void* address) noexcept {
  for (const auto& place : mapped_files) {
    const MappedFile* file = place;
    if (file == nullptr) continue;
    // The last page may reach beyond the file.
    const auto *first = file->bytes().data(), *end = first + (file->bytes().size() + 4095) / 4096 * 4096;
    if (address >= first && address < end) return file->path().c_str();
  }
  return nullptr;
}

}  // namespace microemo::formats
