#pragma once
#include <cstdint>

#include "microemo/data/manifest.h"
#include "microemo/data/prepared.h"
#include "microemo/media/sound.h"
#include "microemo/media/video_reader.h"

namespace microemo::data {

/// Counts what a clip takes against ClipMemory::most.
class MemoryCount {
 public:
  MemoryCount(const Clip& clip, const ClipMemory& memory) : clip_(&clip), most_(memory.most) {}

  /// Throws Error(data) when the clip takes more than it may; `seconds` is how far it was read.
  void add(int64_t bytes, double seconds);
  /// The same for what is still to come, before it is read: nothing is counted.
  void expect(int64_t bytes, double seconds) const;

 private:
  const Clip* clip_;
  int64_t most_;
  int64_t used_ = 0;
};

/// Bytes of one whole frame.
int64_t whole_frame_bytes(const PrepareOptions& options);
/// Bytes that each face frame takes, whether a face is in it or not: landmarks twice, and what the model reads.
int64_t face_frame_bytes(const PrepareOptions& options);
/// Bytes that the crop of a face takes until all of its clip are transformed.
int64_t face_crop_bytes(const PrepareOptions& options);
/// Bytes of sound as the decoder and the model have it.
int64_t sound_bytes(double seconds, const PrepareOptions& options);
/// What a clip of the length that its container claims takes at least.
int64_t claimed_bytes(const media::VideoInfo& info, const PrepareOptions& options);

}  // namespace microemo::data
