#include "microemo/formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace microemo::formats
