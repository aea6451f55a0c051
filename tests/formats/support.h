#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "support/errors.h"

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

/// expect_error for a text that holds several parts.
template <class Action, class... More>
requires(sizeof...(More) > 0) void expect_error(ErrorKind kind, Action&& action, const std::string& part, const More&... more) {
  const Error error = expect_error(kind, std::forward<Action>(action), part);
  for (const std::string& other : {std::string(more)...}) EXPECT_THAT(error.what(), testing::HasSubstr(other));
}

}  // namespace microemo::test

#define MICROEMO_SKIP_WITHOUT_EMER()                             \
  if (!std::filesystem::exists(::microemo::test::emer_folder())) \
  GTEST_SKIP() << "the EMER files are not beside the checkout (../shared/fixtures/emer)"
