#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "microemo/base/error.h"
#include "microemo/base/files.h"

namespace microemo::test {

inline std::filesystem::path data_folder() { return std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests" / "data"; }

/// The public research files that a developer may have beside the checkout; tests that need them skip where they are absent.
inline std::filesystem::path emer_folder() {
  return std::filesystem::path(MICROEMO_SOURCE_DIR) / ".." / "shared" / "fixtures" / "emer";
}

inline std::filesystem::path write(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

/// Runs `action` and expects an Error of this kind whose whole text holds every one of `parts`.
template <class Action, class... Parts>
void expect_error(ErrorKind kind, Action&& action, Parts... parts) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(kind_name(error.kind()), std::string(kind_name(kind))) << error.what();
    for (const std::string& part : {std::string(parts)...}) EXPECT_THAT(error.what(), testing::HasSubstr(part));
  }
}

}  // namespace microemo::test

#define MICROEMO_SKIP_WITHOUT_EMER()                             \
  if (!std::filesystem::exists(::microemo::test::emer_folder())) \
  GTEST_SKIP() << "the EMER files are not beside the checkout (../shared/fixtures/emer)"
