// Where the tokens of windows stand in a row.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "infer/tiny_model.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

using model::Windows;
using test::spoken;
using test::TinyModel;

/// The tiny model with other windows; two clips, of which the first has two utterances and four frames, 0.2 s apart.
class Rows : public testing::Test {
 protected:
  void build(const std::vector<int64_t>& frames = {4, 2}) {
    const BatchBuilder builder(tiny_.tokenizer, tiny_.options, tiny_.prepare);
    samples_ = {tiny_.clip(1, frames[0], {spoken(0, 0.3, "This"), spoken(0.4, 0.7, "frame")}),
                tiny_.clip(2, frames[1], {spoken(0, 0.2, "is")})};
    for (Sample& sample : samples_)
      for (const int64_t width : tiny_.options.features.widths) sample.features.push_back(at::zeros({width}));
    batch_ = builder.build({&samples_[0], &samples_[1]}, {{0, 1}, {1, 0}}, Purpose::generate, {}, 0);
  }
  /// Rows of the media table in the order of their places in the row.
  std::vector<int64_t> media(int64_t row) const {
    const at::Tensor used = batch_.media_RL[row].masked_select(batch_.media_RL[row].ge(0));
    return {used.const_data_ptr<int64_t>(), used.const_data_ptr<int64_t>() + used.numel()};
  }
  static std::vector<int64_t> range(int64_t start, int64_t count) {
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < count; ++i) numbers.push_back(start + i);
    return numbers;
  }
  void expect_every_row_of_the_table_is_there() {
    const model::MicroEmo model(tiny_.options, input_shapes(tiny_.prepare, tiny_.tokenizer->size()));
    const int64_t rows = model.media_tokens(batch_).size(0);
    for (int64_t row = 0; row < 2; ++row)
      for (const int64_t place : media(row)) EXPECT_LT(place, rows);
  }

  TinyModel tiny_;
  std::vector<Sample> samples_;
  model::ClipBatch batch_;
};

TEST_F(Rows, TellTheWholeClipLastWhereItIsAsked) {
  tiny_.options.audio.enabled = false;
  build();
  const std::vector<int64_t> first = media(0);
  tiny_.options.video_qformer.window.order = model::WindowOrder::whole_last;
  build();
  std::vector<int64_t> turned(first.begin() + 4, first.end());
  turned.insert(turned.end(), first.begin(), first.begin() + 4);
  EXPECT_EQ(media(0), turned);
  expect_every_row_of_the_table_is_there();
}

TEST_F(Rows, LeaveTheWholeClipOut) {
  tiny_.options.audio.enabled = false;
  tiny_.options.video_qformer.window.whole = false;
  build();
  EXPECT_EQ(media(0), range(0, 2 * 4));
  EXPECT_EQ(media(1), range(2 * 4, 4));  // of its two places one is padding
  expect_every_row_of_the_table_is_there();
}

TEST_F(Rows, SlideOverTheFramesOfEachClip) {
  tiny_.options.audio.enabled = false;
  tiny_.options.video_qformer.window = {.windows = Windows::sliding, .whole = false, .window_length = 2, .stride = 2};
  build({5, 2});
  EXPECT_EQ(media(0), range(0, 3 * 4));
  EXPECT_EQ(media(1), range(3 * 4, 4));
  expect_every_row_of_the_table_is_there();
}

TEST_F(Rows, HaveWindowsOfFixedLengthBehindTheWholeClip) {
  tiny_.options.audio.enabled = false;
  tiny_.options.video_qformer.window.windows = Windows::fixed;
  tiny_.options.video_qformer.window.window_s = 0.4;
  build({4, 2});  // the last frames are shown at 0.6 s and 0.2 s
  EXPECT_EQ(media(0), range(0, 3 * 4));
  EXPECT_EQ(media(1), range(3 * 4, 2 * 4));
  expect_every_row_of_the_table_is_there();
}

TEST_F(Rows, HoldOneTokenOfEachPooledBranchAndTheFusedOneFirst) {
  tiny_.options.video_qformer.pooling = model::VideoPooling::attention;
  tiny_.options.audio.pooling = model::Pooling::attention;
  tiny_.options.fusion.enabled = true;
  build();
  EXPECT_EQ(media(0), (std::vector<int64_t>{4, 0, 2}));
  EXPECT_EQ(media(1), (std::vector<int64_t>{5, 1, 3}));
  expect_every_row_of_the_table_is_there();
}

TEST_F(Rows, HoldTheFeaturesOfEachClipBehindTheFusedTokens) {
  tiny_.options.video_qformer.pooling = model::VideoPooling::attention;
  tiny_.options.audio.pooling = model::Pooling::attention;
  tiny_.options.fusion.enabled = true;
  tiny_.options.features = {.names = {"face", "voice"}, .widths = {6, 5}};
  build();
  EXPECT_EQ(media(0), (std::vector<int64_t>{4, 6, 7, 0, 2}));
  EXPECT_EQ(media(1), (std::vector<int64_t>{5, 8, 9, 1, 3}));
  expect_every_row_of_the_table_is_there();
}

TEST_F(Rows, MixWindowsOfTwoBranches) {
  tiny_.options.video_qformer.window.windows = Windows::none;
  build();
  // The picture's clip; then the sound's clip and its utterances, behind the picture's two rows of four.
  std::vector<int64_t> wanted = range(0, 4);
  for (const int64_t place : range(8, 6)) wanted.push_back(place);
  EXPECT_EQ(media(0), wanted);
  expect_every_row_of_the_table_is_there();
}

TEST_F(Rows, AreAnsweredWhereFacesAskTheFrames) {
  tiny_.options.local.attention = model::GlobalLocal::faces_ask;
  tiny_.options.local.window_s = 0;
  build();
  expect_every_row_of_the_table_is_there();
}

}  // namespace
}  // namespace microemo::data
