// The plug-in, and a GPU where there is one. Needs libmicroemo_cuda.so beside this program; skips by name what the machine lacks.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/device.h"
#include "support/errors.h"

namespace microemo {
namespace {

/// What keeps the plug-in from being loaded, when that is a library of NVIDIA's that this machine does not have.
std::string missing_library(const CudaSupport& support) {
  for (const std::string& missing : support.missing)
    if (missing.find("cannot open shared object file") != std::string::npos) return missing;
  return {};
}

TEST(CudaPlugin, IsLoadedWhereItsLibrariesAre) {
  const CudaSupport support = cuda_support();
  if (const std::string missing = missing_library(support); !missing.empty()) GTEST_SKIP() << missing;
  EXPECT_TRUE(support.plugin_loaded) << ::testing::PrintToString(support.missing);
}

TEST(CudaPlugin, GivesAReasonInsteadOfAnErrorForADeviceThatDoesNotExist) {
  const CudaSupport support = cuda_support();
  if (!support.plugin_loaded) GTEST_SKIP() << ::testing::PrintToString(support.missing);
  test::expect_error(
      ErrorKind::environment, [] { check_cuda_device(100); }, "GPU 100 does not compute");
}

class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    support_ = cuda_support();
    if (!support_.missing.empty()) GTEST_SKIP() << ::testing::PrintToString(support_.missing);
  }
  CudaSupport support_;
};

TEST_F(Gpu, HasAName) {
  for (const CudaDevice& device : support_.devices) EXPECT_FALSE(device.name.empty());
}

TEST_F(Gpu, HasNoMoreFreeMemoryThanMemory) {
  for (const CudaDevice& device : support_.devices) {
    EXPECT_GT(device.free_bytes, 0);
    EXPECT_LE(device.free_bytes, device.total_bytes);
  }
}

TEST_F(Gpu, ComputesWhatTheCpuComputes) {
  for (size_t index = 0; index < support_.devices.size(); ++index) EXPECT_NO_THROW(check_cuda_device(static_cast<int>(index)));
}

TEST_F(Gpu, IsChosenWhenAsked) {
  const Device device = choose_device("cuda");
  EXPECT_TRUE(device.cuda);
  EXPECT_EQ(device.index, 0);
  EXPECT_EQ(device.name, support_.devices[0].name);
  EXPECT_EQ(device_text(device), "cuda: " + support_.devices[0].name);
}

}  // namespace
}  // namespace microemo
