#include "microemo/media/video_reader.h"

#include "video_decoder.h"

namespace microemo::media {

struct VideoReader::State : VideoDecoder {
  using VideoDecoder::VideoDecoder;
  bool ended = false;
  int64_t next_index = 0;
};

VideoInfo probe(const std::filesystem::path& path, const ReadLimits& limits) { return open_media(path, limits).info; }

VideoReader::VideoReader(const std::filesystem::path& path) : VideoReader(path, Options()) {}

VideoReader::VideoReader(const std::filesystem::path& path, const Options& options)
    : state_(std::make_unique<State>(path, options)) {}

VideoReader::~VideoReader() = default;
VideoReader::VideoReader(VideoReader&&) noexcept = default;

const VideoInfo& VideoReader::info() const { return state_->file.info; }
int64_t VideoReader::bad_packets() const { return state_->bad_packets; }

std::optional<VideoFrame> VideoReader::next() {
  State& s = *state_;
  if (s.ended) return std::nullopt;
  if (s.receive()) return s.take(s.next_index++);
  s.ended = true;
  s.check_end(s.next_index);
  return std::nullopt;
}

}  // namespace microemo::media
