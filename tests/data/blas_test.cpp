#include <dlfcn.h>

#include <string>

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "microemo/media/face.h"

namespace microemo {
namespace {

// dlib brings a reference BLAS that would take over LibTorch's matrix products and slow training down tenfold.
TEST(MatrixProducts, AreLibTorchsThoughDlibIsLinkedToo) {
  EXPECT_FALSE(media::default_landmark_model().empty());  // keeps dlib in this program
  Dl_info owner{};
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "sgemm_"), &owner), 0);
  EXPECT_NE(std::string(owner.dli_fname).find("libtorch_cpu"), std::string::npos) << owner.dli_fname;
}

}  // namespace
}  // namespace microemo
