#pragma once
#include <filesystem>
#include <string>

#include "microemo/base/error.h"

namespace microemo {

/// What to do after a failed system call on a file or folder; `code` is its errno.
std::string step_after(int code);

/// The one message for a file that cannot be written: "the file cannot be written: No space left on device".
Error write_error(const std::filesystem::path& path, int code);

}  // namespace microemo
