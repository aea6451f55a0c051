#include "microemo/base/device.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"

namespace microemo {
namespace {

using test::expect_error;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The device is chosen once in a process: each of these tests asks in a process of its own, which says in `report` what it got.
template <class Action>
void in_own_process(Action action, const std::string& report) {
  EXPECT_EXIT(
      {
        try {
          action();
        } catch (const Error& error) {
          std::cerr << kind_name(error.kind()) << " " << error.what();
        }
        std::cerr << std::flush;
        ::_exit(0);
      },
      ::testing::ExitedWithCode(0), report);
}

void print(const Device& device) {
  std::cerr << (device.cuda ? "cuda" : "cpu") << device.index << " because " << device.reason << "; ";
}

TEST(ChooseDeviceDeathTest, TakesTheCpuWhenAsked) {
  in_own_process([] { print(choose_device("cpu")); }, "cpu0 because .+;");
}

TEST(ChooseDeviceDeathTest, TakesTheCpuAgain) {
  in_own_process([] { (choose_device("cpu"), print(choose_device("cpu"))); }, "^cpu0");
}

TEST(ChooseDeviceDeathTest, KeepsTheFirstChoiceForAuto) {
  in_own_process([] { (choose_device("cpu"), print(choose_device("auto"))); }, "^cpu0");
}

TEST(ChooseDeviceDeathTest, RefusesAnotherDeviceAsTooLate) {
  in_own_process([] { (choose_device("cpu"), print(choose_device("cuda"))); }, "environment .*'cuda' is loaded too late");
}

TEST(ChooseDeviceDeathTest, DoesNotFailOnAnyMachineForAuto) {
  in_own_process([] { print(choose_device("auto")); }, "^(cpu|cuda)0 because .+;");
}

TEST(ChooseDevice, RefusesNamesOfNoDevice) {
  for (const std::string name : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "CPU", "cuda:99999999999"})
    expect_error(
        ErrorKind::config, [&] { choose_device(name); }, "there is no device '" + name + "'");
}

TEST(ChooseDeviceDeathTest, SaysWhatIsMissingForCuda) {
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
  in_own_process([] { print(choose_device("cuda")); }, "environment .*CUDA cannot be used: .+train.device=cpu");
  ::unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST(ChooseDeviceDeathTest, SaysWhyAutoTookTheCpu) {
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
  in_own_process([] { print(choose_device("auto")); }, "^cpu0 because .*(driver|GPU|libmicroemo_cuda)");
  ::unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST(DeviceText, NamesAGpuAndNotItsNumber) {
  EXPECT_EQ(device_text({.cuda = true, .index = 3, .reason = "asked for", .name = "NVIDIA H100"}), "cuda: NVIDIA H100");
  EXPECT_EQ(device_text({.cuda = true, .index = 0, .reason = "asked for", .name = "NVIDIA H100"}), "cuda: NVIDIA H100");
  EXPECT_EQ(device_text({.cuda = false, .index = 0, .reason = "no GPU is visible"}), "cpu");
}

}  // namespace
}  // namespace microemo
