// Containers and codecs of video, from memory: decoded from start to end, then single frames. Error(data) is a right answer;
// anything else, and a frame that differs from that of the sequential decode, are findings. Files that break off are read up to
// there.
#include <cstdlib>
#include <map>

#include "fuzz.h"
#include "microemo/base/files.h"
#include "microemo/media/frame_reader.h"

namespace {

using namespace microemo::media;

VideoReader::Options small_and_hashed() {
  VideoReader::Options options;
  options.limits = {
      .max_pixels = 1 << 16, .max_seconds = 60, .max_streams = 16, .stall_seconds = 10, .max_bad_packets = 100, .partial = true};
  options.md5 = true;
  options.rgb = true;
  return options;
}

void open_file(const std::filesystem::path& path) {
  const MediaInput input(std::make_shared<const std::string>(microemo::read_file(path)), "fuzz");
  constexpr int64_t most_frames = 200;
  std::map<int64_t, std::string> expected;
  VideoReader reader(input, small_and_hashed());
  bool damaged = false;
  while (auto frame = reader.next()) {
    if (frame->index == most_frames) return;
    expected[frame->index] = std::to_string(frame->pts) + frame->md5;
    damaged |= frame->damaged;
  }
  // What follows damage may depend on where decoding began, and two of libavcodec's decoders do not say that there is some: JPEG's
  // leaves rows as they were in memory, FFV1's takes them from the picture that it decoded before.
  const std::string& codec = reader.info().video_codec;
  if (damaged || reader.bad_packets() > 0 || expected.empty() || codec == "mjpeg" || codec == "ffv1") return;
  FrameReader frames(input, small_and_hashed());
  const auto announced = announced_frames(input, small_and_hashed().limits);
  if (announced && *announced != int64_t(frames.frames().size())) std::abort();
  if (expected.size() != frames.frames().size()) return;
  for (const int64_t index : {int64_t(expected.size()) - 1, int64_t(0), int64_t(expected.size()) / 2}) {
    const VideoFrame frame = frames.read({index}).at(0);
    if (!frame.damaged && std::to_string(frame.pts) + frame.md5 != expected.at(index)) std::abort();
  }
}

}  // namespace

MICROEMO_FUZZ_TARGET(open_file)
