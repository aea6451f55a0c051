#pragma once
#include <sstream>
#include <string>
#include <vector>

#include "microemo/base/files.h"
#include "support/command.h"

namespace microemo::test {

/// What a program did on a small disk, and the files that it left there (relative paths, sorted).
struct DiskResult {
  CommandResult command;
  std::vector<std::string> files;
};

namespace detail {

/// Mounts DISK, a tmpfs with the options, for the command that follows and lists what it left in LIST.
inline std::vector<std::string> on_disk(const std::string& mount_options, const std::string& disk, const std::string& list) {
  return {"unshare",
          "--map-root-user",
          "--mount",
          "sh",
          "-c",
          R"(mount -t tmpfs -o "$0" none "$1" || exit 99; cd "$1"; disk=$1 list=$2; shift 2; "$@"; code=$?
             cd "$disk" && find . -type f | sort | cut -c 3- >"$list"; exit $code)",
          mount_options,
          disk,
          list};
}

}  // namespace detail

/// True when this machine lets a test mount a file system of its own (root, or user namespaces).
inline bool disks_can_be_made() {
  static const bool can = [] {
    const TemporaryFolder place;
    std::vector<std::string> words = detail::on_disk("size=64k", place.path(), "/dev/null");
    words.emplace_back("true");
    return run_command(words).exit_code == 0;
  }();
  return can;
}

/// Runs a command in a real file system of its own: "size=8k" is full soon, "ro" cannot be written.
inline DiskResult run_on_disk(const std::string& mount_options, const std::vector<std::string>& command) {
  const TemporaryFolder place;
  std::filesystem::create_directories(place.path() / "disk");
  std::vector<std::string> words = detail::on_disk(mount_options, place.path() / "disk", place.path() / "list");
  words.insert(words.end(), command.begin(), command.end());
  DiskResult result{run_command(words), {}};
  if (!std::filesystem::exists(place.path() / "list")) return result;
  std::istringstream list(read_file(place.path() / "list"));
  for (std::string file; std::getline(list, file);) result.files.push_back(file);
  return result;
}

}  // namespace microemo::test

#define MICROEMO_SKIP_WITHOUT_DISKS()                                                                                       \
  do {                                                                                                                      \
    if (!::microemo::test::disks_can_be_made()) GTEST_SKIP() << "this machine lets no test mount a file system of its own"; \
  } while (false)
