#include <random>

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/base/error.h"
#include "microemo/media/sound.h"
#include "microemo/media/video_reader.h"

namespace microemo::media {
namespace {

std::string mutated(std::string bytes, std::mt19937& random) {
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  switch (below(5)) {
    case 0:
      for (int i = 0; i < 8; ++i) bytes[below(bytes.size())] = char(below(256));
      return bytes;
    case 1:  // in the header
      for (int i = 0; i < 8; ++i) bytes[below(std::min<size_t>(bytes.size(), 4096))] = char(below(256));
      return bytes;
    case 2:
      return bytes.substr(0, 1 + below(bytes.size()));
    case 3: {
      const size_t first = below(bytes.size());
      bytes.replace(first, std::min<size_t>(1000, bytes.size() - first), std::min<size_t>(1000, bytes.size() - first), '\0');
      return bytes;
    }
    default:
      for (int i = 0; i < 8; ++i) bytes[bytes.size() - 1 - below(std::min<size_t>(bytes.size(), 2000))] = char(below(256));
      return bytes;
  }
}

/// Reads everything there is; true when nothing was refused. Any exception but Error leaves the test.
bool reads(const std::filesystem::path& path) {
  bool whole = true;
  try {
    VideoReader reader(path);
    int64_t frames = 0;
    while (reader.next())
      if (++frames > 5000) throw std::runtime_error("a clip of 20 frames does not end: " + path.string());
  } catch (const Error&) {
    whole = false;
  }
  try {
    read_sound(path);
  } catch (const Error&) {
    whole = false;
  }
  return whole;
}

class MutatedFiles : public ::testing::TestWithParam<std::string> {};

TEST_P(MutatedFiles, AreReadOrRefusedButNeverCrash) {
  const test::Clips clips;
  const auto original = clips.make("a." + GetParam(), {"-s", "64x48", "-t", "0.8"});
  ASSERT_TRUE(reads(original));
  const std::string bytes = read_file(original);
  std::mt19937 random(20);
  int whole = 0;
  for (int i = 0; i < 100; ++i) {
    SCOPED_TRACE(i);
    ASSERT_NO_THROW(whole += reads(clips.write("b." + GetParam(), mutated(bytes, random))));
  }
  EXPECT_GT(whole, 0);
  EXPECT_LT(whole, 100);
}

INSTANTIATE_TEST_SUITE_P(Containers, MutatedFiles, ::testing::Values("mp4", "mkv"));

}  // namespace
}  // namespace microemo::media
