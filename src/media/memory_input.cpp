#include "memory_input.h"

#include <algorithm>
#include <cstring>

namespace microemo::media {

using namespace libav;

MemoryInput::MemoryInput(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {
  constexpr int buffer_size = 1 << 16;
  auto* buffer = static_cast<unsigned char*>(allocated(av_malloc(buffer_size)));
  context_.reset(allocated(avio_alloc_context(buffer, buffer_size, 0, this, &MemoryInput::read, nullptr, &MemoryInput::seek)));
}

int MemoryInput::read(void* opaque, uint8_t* target, int size) {
  auto& input = *static_cast<MemoryInput*>(opaque);
  const size_t count = std::min(size_t(std::max(size, 0)), input.bytes_->size() - input.position_);
  if (count == 0) return AVERROR_EOF;
  std::memcpy(target, input.bytes_->data() + input.position_, count);
  input.position_ += count;
  return int(count);
}

int64_t MemoryInput::seek(void* opaque, int64_t offset, int whence) {
  auto& input = *static_cast<MemoryInput*>(opaque);
  const int64_t size = int64_t(input.bytes_->size());
  if (whence & AVSEEK_SIZE) return size;
  const int64_t from = (whence & ~AVSEEK_FORCE) == SEEK_CUR   ? int64_t(input.position_)
                       : (whence & ~AVSEEK_FORCE) == SEEK_END ? size
                                                              : 0;
  if (offset < -from || offset > size - from) return AVERROR(EINVAL);
  input.position_ = size_t(from + offset);
  return from + offset;
}

}  // namespace microemo::media
