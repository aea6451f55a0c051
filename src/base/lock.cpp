#include "microemo/base/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <tuple>

#include "microemo/base/error.h"
#include "microemo/base/log.h"
#include "microemo/base/write_error.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

/// What the holder has written down; it may be a moment late.
std::string holder(int descriptor) {
  char text[32] = {};
  const ssize_t got = ::pread(descriptor, text, sizeof text - 1, 0);
  const std::string id(text, got > 0 ? static_cast<size_t>(got) : 0);
  return id.empty() ? "another process" : "process " + id;
}

Error taken(const fs::path& folder, int descriptor) {
  return EnvironmentError("{} is at work in this folder", holder(descriptor))
      .where(folder)
      .hint("wait for it or stop it, or choose another folder");
}

/// The file may have been removed, by the process that held it, between open and flock.
bool is_still(const fs::path& file, int descriptor) {
  struct stat opened {
  }, named{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(file.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

bool knows_no_locks(int code) { return code == ENOSYS || code == ENOLCK || code == EOPNOTSUPP || code == EINVAL; }

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : folder_(folder), file_(folder / "lock") {
  std::error_code failure;
  made_ = fs::create_directories(folder, failure);
  if (failure)
    throw EnvironmentError("the folder cannot be made: {}", failure.message()).where(folder).hint(step_after(failure.value()));
  for (;;) {
    const int descriptor = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) throw write_error(file_, errno);
    const int code = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (code == 0 && is_still(file_, descriptor)) {
      descriptor_ = descriptor;
      break;
    }
    const Error refusal = taken(folder, descriptor);
    ::close(descriptor);
    if (code == EWOULDBLOCK) throw refusal;
    if (knows_no_locks(code)) {
      log_warning(fmt::format("{} cannot be locked ({}): start no second process there", folder.string(), std::strerror(code)));
      return;
    }
    if (code != 0 && code != EINTR) throw write_error(file_, code);
  }
  // A full disk takes no text, and the lock holds all the same.
  const std::string id = std::to_string(::getpid());
  if (::ftruncate(descriptor_, 0) == 0) std::ignore = ::pwrite(descriptor_, id.data(), id.size(), 0);
}

FolderLock::~FolderLock() {
  if (descriptor_ < 0) return;
  ::unlink(file_.c_str());
  ::close(descriptor_);
  if (made_) ::rmdir(folder_.c_str());
}

}  // namespace microemo
