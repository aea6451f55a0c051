#include "prepared_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "microemo/base/error.h"
#include "microemo/base/log.h"
#include "microemo/base/write_error.h"

namespace microemo::data {

CacheLock::CacheLock(const std::filesystem::path& cache) {
  const std::filesystem::path file = cache / "index.lock";
  // Network file systems lock only what is open for writing.
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw write_error(file, errno);
  int code = 0;
  do code = ::flock(descriptor_, LOCK_EX) == 0 ? 0 : errno;
  while (code == EINTR);
  if (code != 0)
    log_warning(fmt::format("{} cannot be locked ({}): let no second process prepare into this cache", cache.string(),
                            std::strerror(code)));
}

CacheLock::~CacheLock() { ::close(descriptor_); }

}  // namespace microemo::data
