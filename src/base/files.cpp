#include "microemo/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "microemo/base/error.h"
#include "microemo/base/write_error.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : value_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool open() const { return value_ >= 0; }
  int get() const { return value_; }
  /// Some file systems report a failed write only here.
  int close() { return ::close(std::exchange(value_, -1)); }

 private:
  int value_;
};

void make_folder(const fs::path& folder) {
  if (folder.empty()) return;
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw EnvironmentError("the folder cannot be made: {}", failure.message()).where(folder).hint(step_after(failure.value()));
}

void write_all(const Descriptor& file, std::string_view bytes, const fs::path& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw write_error(name, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void sync(const fs::path& path, int flags) {
  const Descriptor file(path, flags);
  // Some network file systems cannot sync a folder and say EINVAL; the rename is as durable there as it gets.
  if (!file.open() || (::fsync(file.get()) != 0 && errno != EINVAL)) throw write_error(path, errno);
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace

std::string read_file(const fs::path& path) {
  // Without O_NONBLOCK the open alone would wait until somebody writes to a pipe.
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);
  if (!file.open()) {
    const int code = errno;
    if (code == ENOENT) throw DataError("there is no such file").where(path).hint("check the path");
    throw DataError("the file cannot be read: {}", std::strerror(code)).where(path).hint("check the path and its permissions");
  }
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0)
    throw DataError("the file cannot be read: {}", std::strerror(errno)).where(path).hint("check the disk");
  if (S_ISDIR(facts.st_mode)) throw DataError("this is a folder, and a file is needed").where(path).hint("name a file in it");
  if (!S_ISREG(facts.st_mode))
    throw DataError("this is not a regular file, but a pipe or a device").where(path).hint("copy its content to a file");
  std::string bytes;
  bytes.reserve(static_cast<size_t>(facts.st_size));
  for (std::string piece(1 << 16, '\0');;) {
    const ssize_t got = ::read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw DataError("the file cannot be read: {}", std::strerror(errno)).where(path).hint("check the disk");
    if (got == 0) return bytes;
    bytes.append(piece, 0, static_cast<size_t>(got));
  }
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  PendingFile pending(path);
  Descriptor file(pending.temporary(), O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.open()) throw write_error(path, errno);
  write_all(file, bytes, path);
  if (file.close() != 0) throw write_error(path, errno);
  pending.commit();
}

PendingFile::PendingFile(fs::path final_path) : final_(std::move(final_path)) {
  static std::atomic<int64_t> counter{0};
  const fs::path folder = parent_of(final_);
  make_folder(folder);
  temporary_ =
      folder / fmt::format(".{}.{}-{}.tmp{}", final_.stem().string(), ::getpid(), ++counter, final_.extension().string());
}

PendingFile::~PendingFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void PendingFile::commit() {
  sync(temporary_, O_RDONLY);
  if (::rename(temporary_.c_str(), final_.c_str()) != 0) throw write_error(final_, errno);
  committed_ = true;
  sync(parent_of(final_), O_RDONLY | O_DIRECTORY);
}

void ensure_writable_folder(const fs::path& folder) {
  make_folder(folder);
  const PendingFile probe(folder / "writable");
  const Descriptor file(probe.temporary(), O_WRONLY | O_CREAT | O_EXCL);
  if (!file.open())
    throw EnvironmentError("nothing can be written to this folder: {}", std::strerror(errno))
        .where(folder)
        .hint(step_after(errno));
  write_all(file, "x", folder);
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "microemo-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw EnvironmentError("no temporary folder can be made: {}", std::strerror(errno))
        .where(name)
        .hint("set TMPDIR to a folder that you may write to");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace microemo
