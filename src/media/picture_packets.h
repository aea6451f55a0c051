#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "libav.h"
#include "microemo/base/error.h"
#include "microemo/media/input.h"
#include "picture_kinds.h"

namespace microemo::media {

/// The pictures of a folder as a container's packets: one for each picture, its number the time, in units of 1 / rate.
/// Not movable: decoders keep its address.
class PicturePackets {
 public:
  /// Throws Error(data) as picture_files does, and for a folder with a stream chosen or a rate that is none.
  PicturePackets(const MediaInput& input, const ReadLimits& limits);
  PicturePackets(const PicturePackets&) = delete;
  PicturePackets& operator=(const PicturePackets&) = delete;

  AVCodecID codec() const { return kind_->codec; }
  /// Of one picture, as ffmpeg has it for its option -framerate.
  AVRational duration() const { return duration_; }
  int64_t count() const { return int64_t(files_.size()); }

  /// The next picture's bytes; 0, or AVERROR_EOF behind the last. Throws Error(data) naming a picture that is not of its kind or
  /// not whole, and the one before when the decoder gave no frame for it.
  int next(AVPacket& packet);
  /// Goes on with the picture of this number, from 0; 0 as libav's functions give it.
  int seek(int64_t number);

  /// Has the decoder refuse what is damaged, and pictures over the limit before they take memory.
  void guard(AVCodecContext& decoder);
  /// The decoded frame of the last packet. Throws Error(data) naming its file when it is damaged, or of another size or
  /// orientation than the first that was checked.
  void check(AVFrame& frame);
  /// What is to be thrown when the decoder refuses the last packet.
  Error undecodable(const std::string& why) const;

 private:
  struct Shape {
    int width = 0, height = 0, rotation = 0;
    bool operator==(const Shape&) const = default;
  };

  static int allocate(AVCodecContext* decoder, AVFrame* frame, int flags);
  const std::filesystem::path& current() const { return files_[size_t(next_ - 1)]; }

  std::vector<std::filesystem::path> files_;
  const PictureKind* kind_ = nullptr;
  AVRational duration_{};
  int64_t max_pixels_, next_ = 0;
  bool owes_frame_ = false;  ///< the last packet has not given its frame
  std::optional<Shape> first_;
  std::optional<Shape> over_limit_;
};

}  // namespace microemo::media
