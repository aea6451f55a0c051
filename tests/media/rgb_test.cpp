#include <algorithm>
#include <memory>
#include <new>
#include <numeric>

#include <fmt/format.h>
#include <gtest/gtest.h>

extern "C" {
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include "clips.h"
#include "microemo/media/image.h"
#include "microemo/media/video_reader.h"
#include "microemo/media/video_writer.h"

namespace microemo::media {
namespace {

using test::Clips;

constexpr int height = 6;
const std::vector<std::string> formats = {"yuv420p", "yuv422p", "yuv444p"};

std::string name_of(int width, const std::string& format) { return std::to_string(width) + format; }

/// Two lossless frames of each width in each format, NAME.mkv, and what ffmpeg makes of the first in RGB, NAME.rgb.
void make_clips(const Clips& clips, const std::vector<int>& widths) {
  std::string graph;
  std::vector<std::string> outputs;
  for (const int width : widths)
    for (const std::string& format : formats) {
      const std::string name = name_of(width, format);
      // Cut out in RGB: a source in one of these formats rounds its width to whole chroma samples.
      graph += fmt::format(
          "testsrc2=s=1080x{1}:r=25:d=0.08,format=rgb24,crop={0}:{1},format={2},split[{3}][s{3}];[s{3}]scale=flags=bilinear,"
          "format=rgb24[r{3}];",
          width, height, format, name);
      const std::string clip = clips.path(name + ".mkv"), rgb = clips.path(name + ".rgb");
      outputs.insert(outputs.end(), {"-map", "[" + name + "]", "-c:v", "ffv1", "-threads", "1", clip});
      outputs.insert(outputs.end(), {"-map", "[r" + name + "]", "-frames:v", "1", "-f", "rawvideo", rgb});
    }
  graph.pop_back();
  std::vector<std::string> arguments = {"-filter_complex_threads", "1", "-filter_complex", graph};
  arguments.insert(arguments.end(), outputs.begin(), outputs.end());
  test::ffmpeg(arguments);
}

void expect_ffmpegs_values(const Clips& clips, const std::vector<int>& widths) {
  make_clips(clips, widths);
  for (const int width : widths)
    for (const std::string& format : formats) {
      VideoReader reader(clips.path(name_of(width, format) + ".mkv"));
      const auto first = reader.next(), second = reader.next();
      ASSERT_TRUE(first && second) << width << " " << format;
      ASSERT_EQ(first->rgb.width, width);
      const std::string expected = read_file(clips.path(name_of(width, format) + ".rgb"));
      ASSERT_TRUE(std::equal(expected.begin(), expected.end(), first->rgb.pixels.begin(), first->rgb.pixels.end(),
                             [](char a, uint8_t b) { return uint8_t(a) == b; }))
          << width << " " << format;
      EXPECT_EQ(second->rgb.pixels.size(), expected.size());
    }
}

// libswscale writes whole vectors: for widths that are no multiple of 16 up to 45 bytes more than a packed picture has.
TEST(Rgb, OfEveryNarrowWidthIsFfmpegs) {
  const Clips clips;
  for (int first = 1; first <= 64; first += 16) {
    std::vector<int> widths(16);
    std::iota(widths.begin(), widths.end(), first);
    expect_ffmpegs_values(clips, widths);
  }
}

/// Bytes behind a packed RGB picture that libswscale writes when it makes one of this format.
size_t written_behind(AVPixelFormat format, int width) {
  constexpr uint8_t mark = 0xA5;
  uint8_t* source[4] = {};
  int source_rows[4] = {};
  if (av_image_alloc(source, source_rows, width, height, format, 64) < 0) throw std::bad_alloc();
  const std::shared_ptr<void> until_the_end(nullptr, [&](void*) { av_freep(source); });
  std::fill_n(source[0], size_t(av_image_get_buffer_size(format, width, height, 64)), uint8_t{77});
  SwsContext* scaler =
      sws_getContext(width, height, format, width, height, AV_PIX_FMT_RGB24, SWS_BILINEAR, nullptr, nullptr, nullptr);
  const size_t size = size_t(width) * height * 3;
  std::vector<uint8_t> pixels(size + 256, mark);
  uint8_t* const rows[4] = {pixels.data()};
  const int row_bytes[4] = {width * 3};
  EXPECT_EQ(sws_scale(scaler, source, source_rows, 0, height, rows, row_bytes), height);
  sws_freeContext(scaler);
  return size_t(std::count_if(pixels.begin() + int64_t(size), pixels.end(), [](uint8_t byte) { return byte != mark; }));
}

// Pictures of such a width are converted where they stay, without room behind them.
TEST(Rgb, OfWholeVectorsIsWrittenWithNothingBehindIt) {
  for (const AVPixelFormat format :
       {AV_PIX_FMT_YUV420P,   AV_PIX_FMT_YUVJ420P,  AV_PIX_FMT_YUV422P,   AV_PIX_FMT_YUV444P,   AV_PIX_FMT_YUV410P,
        AV_PIX_FMT_YUV411P,   AV_PIX_FMT_YUV420P10, AV_PIX_FMT_YUV422P10, AV_PIX_FMT_YUV444P10, AV_PIX_FMT_YUV420P12,
        AV_PIX_FMT_YUV444P12, AV_PIX_FMT_YUVA420P,  AV_PIX_FMT_NV12,      AV_PIX_FMT_P010,      AV_PIX_FMT_GRAY8,
        AV_PIX_FMT_GRAY10,    AV_PIX_FMT_GRAY16,    AV_PIX_FMT_GBRP,      AV_PIX_FMT_GBRP10,    AV_PIX_FMT_RGB24,
        AV_PIX_FMT_BGR24,     AV_PIX_FMT_RGBA,      AV_PIX_FMT_BGR0,      AV_PIX_FMT_RGB48,     AV_PIX_FMT_RGB555,
        AV_PIX_FMT_PAL8,      AV_PIX_FMT_MONOBLACK, AV_PIX_FMT_YUYV422,   AV_PIX_FMT_UYVY422,   AV_PIX_FMT_YA8})
    for (int width = 32; width <= 416; width += 32)
      ASSERT_EQ(written_behind(format, width), 0u) << av_get_pix_fmt_name(format) << " " << width;
  size_t most = 0;
  for (int width = 1; width < 64; ++width) most = std::max(most, written_behind(AV_PIX_FMT_YUV420P, width));
  EXPECT_GT(most, 0u) << "other widths need room";
}

TEST(Rgb, OfPortraitAndOddWidthsIsFfmpegs) { expect_ffmpegs_values(Clips(), {330, 360, 426, 600, 1080}); }

TEST(Rgb, OfPicturesOfEveryNarrowWidthIsWhatWasWritten) {
  const Clips clips;
  for (int width = 1; width <= 33; ++width) {
    Image image{width, 2, 3, std::vector<uint8_t>(size_t(width) * 6)};
    std::iota(image.pixels.begin(), image.pixels.end(), uint8_t(width));
    write_png(clips.path("a.png"), image);
    ASSERT_EQ(read_image(clips.path("a.png")).pixels, image.pixels) << width;
  }
}

TEST(Rgb, OfNarrowVideosIsReadWithoutPadding) {
  const Clips clips;
  for (const int width : {2, 6, 14, 18, 30}) {
    VideoWriter writer(clips.path("a.mp4"), {.width = width, .height = 16, .crf = 1, .sound = false});
    writer.add({width, 16, 3, std::vector<uint8_t>(size_t(width) * 48, 120)});
    writer.finish();
    const Image image = VideoReader(clips.path("a.mp4")).next()->rgb;
    ASSERT_EQ(image.pixels.size(), size_t(width) * 48);
    for (const uint8_t value : image.pixels) ASSERT_NEAR(value, 120, 3) << width;
  }
}

}  // namespace
}  // namespace microemo::media
