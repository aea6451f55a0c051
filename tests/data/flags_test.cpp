#include <dlfcn.h>

#include <string>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

namespace microemo {
namespace {

// See microemo_sentencepiece_first in cmake/Rooms.cmake.
TEST(LogLevelFlag, IsSentencepiecesWhichIsLarger) {
  Dl_info owner{};
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "FLAGS_minloglevel"), &owner), 0);
  EXPECT_NE(std::string(owner.dli_fname).find("libsentencepiece"), std::string::npos) << owner.dli_fname;
}

TEST(Memory, ThatIsNotThereIsAnExceptionThoughSentencepieceIsLinkedToo) {
  EXPECT_THROW(at::empty({int64_t(1) << 45}, at::kFloat), c10::Error);
}

}  // namespace
}  // namespace microemo
