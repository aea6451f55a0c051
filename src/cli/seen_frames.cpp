#include "seen_frames.h"

#include <algorithm>

#include <fmt/format.h>

namespace microemo::cli {
namespace {

constexpr int64_t most_frames = 256;
constexpr int least_width = 112, sheet_width = 1600;

media::Image picture_of(const at::Tensor& frame_CHW) {
  const at::Tensor frame_HWC = frame_CHW.permute({1, 2, 0}).contiguous();
  const auto* const pixels = frame_HWC.const_data_ptr<uint8_t>();
  return {int(frame_HWC.size(1)), int(frame_HWC.size(0)), 3, {pixels, pixels + frame_HWC.numel()}};
}

media::Image legible(const media::Image& picture) {
  const int scale = (least_width + picture.width - 1) / picture.width;
  return media::resize(picture, picture.width * scale, picture.height * scale);
}

}  // namespace

media::Image seen_frames(const data::PreparedClip& clip) {
  const int64_t total = clip.frames_TCHW.size(0), count = std::min(total, most_frames);
  const at::Tensor seconds_T = clip.frame_times_T.contiguous();
  std::vector<media::Cell> cells;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t frame = i * total / count;
    cells.push_back({legible(picture_of(clip.frames_TCHW.select(0, frame))),
                     fmt::format("{}  {:.2f} s", frame + 1, seconds_T.const_data_ptr<double>()[frame])});
  }
  const int columns = std::clamp(sheet_width / cells.front().picture.width, 1, 10);
  return media::contact_sheet(cells, columns);
}

}  // namespace microemo::cli
