#pragma once
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/error.h"

namespace microemo::test {

/// Runs `action`, which has to throw an Error of this kind whose whole printed text holds `part`; returns the error for more
/// checks.
template <class Action>
Error expect_error(ErrorKind kind, Action&& action, const std::string& part) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(kind_name(kind), std::string(kind_name(error.kind()))) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    return error;
  }
  ADD_FAILURE() << "no error was thrown; expected one of kind " << kind_name(kind) << " with: " << part;
  return Error(ErrorKind::internal, "nothing was thrown");
}

}  // namespace microemo::test
