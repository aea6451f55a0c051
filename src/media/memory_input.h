#pragma once
#include <memory>
#include <string>

#include "libav.h"

namespace microemo::media {

/// libav's way to read bytes in memory. Not movable: libav keeps its address.
class MemoryInput {
 public:
  explicit MemoryInput(std::shared_ptr<const std::string> bytes);
  MemoryInput(const MemoryInput&) = delete;
  MemoryInput& operator=(const MemoryInput&) = delete;

  AVIOContext* context() const { return context_.get(); }

 private:
  static int read(void* opaque, uint8_t* target, int size);
  static int64_t seek(void* opaque, int64_t offset, int whence);

  std::shared_ptr<const std::string> bytes_;
  size_t position_ = 0;
  libav::InputBytes context_;
};

}  // namespace microemo::media
