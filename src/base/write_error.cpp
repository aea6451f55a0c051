#include "microemo/base/write_error.h"

#include <cerrno>
#include <cstring>

namespace microemo {

std::string step_after(int code) {
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) return "free some space, or choose a folder on another disk";
  if (code == EACCES || code == EPERM || code == EROFS) return "choose a folder that you may write to, or change its permissions";
  if (code == ENOTDIR || code == EEXIST) return "a part of this path is a file where a folder is needed; rename one of them";
  if (code == EISDIR) return "a folder has this name; rename one of them";
  return "choose another place to write to";
}

Error write_error(const std::filesystem::path& path, int code) {
  return EnvironmentError("the file cannot be written: {}", std::strerror(code)).where(path).hint(step_after(code));
}

}  // namespace microemo
