// What bench/gpu/check.sh asks of whole models on a GPU.
#include "whole_model.h"

#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <limits>

#include "host_kernels.h"
#include "microemo/base/device.h"
#include "microemo/base/device_kernels.h"
#include "second_device.h"
#include "support/errors.h"
#include "words.h"

namespace microemo {
namespace {

StepOutcome outcome(double loss, double first, double second) {
  return {loss, {{"a", at::full({3}, first)}, {"b", at::full({4}, second)}}};
}

TEST(WordsOfTheGpuBench, AreThoseOfItsTask) {
  EXPECT_EQ(read_words({"model"}), Words());
  EXPECT_EQ(read_words({"encoders", "--part", "0.25", "--device", "cpu"}), (Words{{"part", "0.25"}, {"device", "cpu"}}));
  EXPECT_EQ(read_words({"decoder", "--recompute", "--layers", "2", "--frozen", "nf4"}),
            (Words{{"recompute", ""}, {"layers", "2"}, {"frozen", "nf4"}}));
}

TEST(WordsOfTheGpuBench, RefuseWhatWouldMeasureSomethingElse) {
  using Arguments = std::vector<std::string>;
  const std::vector<std::pair<Arguments, std::string>> wrong = {
      {{}, "there is no task ''"},
      {{"models"}, "there is no task 'models'"},
      {{"model", "--devise", "cpu"}, "takes no '--devise'"},
      {{"model", "cpu"}, "takes no 'cpu'"},
      {{"model", "-device", "cpu"}, "takes no '-device'"},
      {{"model", "--"}, "takes no '--'"},
      {{"model", ""}, "takes no ''"},
      {{"model", "--part", "0.5"}, "takes no '--part'"},
      {{"model", "--device"}, "--device"},
      {{"model", "--device", "cpu", "--device", "cuda"}, "a second time"},
      {{"encoders", "--part", "0"}, "--part"},
      {{"encoders", "--part", "1.5"}, "--part"},
      {{"encoders", "--part", "nan"}, "--part"},
      {{"encoders", "--part", "half"}, "--part"},
      {{"encoders", "--part"}, "--part"},
      {{"decoder", "--layers", "2x"}, "--layers"},
      {{"decoder", "--layers", "-1"}, "--layers"},
      {{"decoder", "--layers", "--recompute"}, "--layers"},
      {{"decoder", "--frozen", "nf5"}, "--frozen"},
      {{"decoder", "--recompute", "yes"}, "takes no 'yes'"},
      {{"decoder", "--without-kernel"}, "takes no '--without-kernel'"}};
  for (const auto& [arguments, message] : wrong)
    test::expect_error(
        ErrorKind::config, [&] { read_words(arguments); }, message);
}

TEST(ModelsOnADevice, ThatGiveTheSameDifferByNothing) {
  const StepDifference found = compare_steps(outcome(2, 1, 1), outcome(2, 1, 1));
  EXPECT_EQ(found.loss, 0);
  EXPECT_EQ(found.gradient, 0);
}

TEST(ModelsOnADevice, AreComparedRelativeToTheCpu) {
  const StepDifference found = compare_steps(outcome(2, 3, 0), outcome(2.5, 3, 0.75));
  EXPECT_NEAR(found.loss, 0.25, 1e-12);
  EXPECT_NEAR(found.gradient, 0.75 * 2 / (3 * std::sqrt(3.0)), 1e-6);
}

TEST(ModelsOnADevice, DifferWhereASmallGradientIsWrongBesideALargeOne) {
  const StepDifference found = compare_steps(outcome(2, 1, 1e-4), outcome(2, 1, -1e-4));
  EXPECT_LT(found.gradient, 1e-3);
  EXPECT_NEAR(found.one_gradient, 2, 1e-3);
  EXPECT_LT(compare_steps(outcome(2, 1, 1e-12), outcome(2, 1, -1e-12)).one_gradient, 1e-6) << "rounding";
}

TEST(ModelsOnADevice, DifferWithoutAGradientOrWithOneThatIsNotFinite) {
  StepOutcome without = outcome(2, 1, 1), renamed = without, more = without;
  without.gradients.erase("b");
  renamed.gradients.erase("b");
  renamed.gradients["c"] = at::full({4}, 1.0);
  more.gradients["c"] = at::full({4}, 1.0);
  const double not_a_number = std::numeric_limits<double>::quiet_NaN();
  for (const StepOutcome& wrong : {without, renamed, more, outcome(2, not_a_number, 1)}) {
    EXPECT_EQ(compare_steps(outcome(2, 1, 1), wrong).gradient, std::numeric_limits<double>::infinity());
    EXPECT_EQ(compare_steps(outcome(2, 1, 1), wrong).one_gradient, std::numeric_limits<double>::infinity());
  }
  EXPECT_EQ(compare_steps(outcome(2, 1, 1), outcome(not_a_number, 1, 1)).loss, std::numeric_limits<double>::infinity());
}

void expect_the_step_of_the_cpu() {
  testing::internal::CaptureStdout();
  EXPECT_TRUE(same_models(test::second_device()));
  const std::string printed = testing::internal::GetCapturedStdout();
  for (const char* name : {"MicroEmo 7B's parts", "AffectGPT 2025's parts", "our own encoders", "Whisper's encoder",
                           "TimeChat's parts", "Emotion-LLaMA's parts", "faces that ask", "one encoder for all"})
    EXPECT_NE(printed.find(name), std::string::npos) << printed;
}

TEST(ModelsOnADevice, GiveTheStepOfTheCpuOnADeviceThatComputesAsItDoes) { expect_the_step_of_the_cpu(); }

TEST(ModelsOnADevice, GiveItWhereFrozenEncodersAreRecordedAndReplayed) {
  set_device_graphs(&test::second_device_graphs());
  const int64_t runs = test::second_device_graph_runs();
  expect_the_step_of_the_cpu();
  EXPECT_GT(test::second_device_graph_runs(), runs);
  set_device_graphs(nullptr);
}

TEST(ModelsOnADevice, GiveTheStepOfTheCpuWithKernelsOfTheirOwn) {
  set_device_kernels(&test::host_kernels());
  test::host_kernel_calls();
  expect_the_step_of_the_cpu();
  EXPECT_GT(test::host_kernel_calls(), 0);
  set_device_kernels(nullptr);
}

/// Half as much again of every weight.
int thaw_wrongly(const MicroEmoThaw* work) {
  const int code = test::host_kernels().thaw_nf4(work);
  for (int64_t i = 0; i < work->count; ++i) static_cast<float*>(work->to)[i] *= 1.5F;
  return code;
}

TEST(ModelsOnADevice, DoNotPassWhereItThawsWrongly) {
  MicroEmoKernels kernels = test::host_kernels();
  kernels.thaw_nf4 = thaw_wrongly;
  set_device_kernels(&kernels);
  testing::internal::CaptureStdout();
  EXPECT_FALSE(same_models(test::second_device()));
  set_device_kernels(nullptr);
  const std::string printed = testing::internal::GetCapturedStdout();
  const size_t model = printed.find("Emotion-LLaMA's parts");
  EXPECT_NE(printed.substr(model, printed.find('\n', model) - model).find("DIFFERS"), std::string::npos) << printed;
  EXPECT_EQ(printed.find("DIFFERS"), printed.rfind("DIFFERS")) << "the others have no NF4: " << printed;
}

}  // namespace
}  // namespace microemo
