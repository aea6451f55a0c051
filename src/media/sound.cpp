#include "microemo/media/sound.h"

#include <algorithm>
#include <cmath>

#include "microemo/base/files.h"

namespace microemo::media {
namespace {

void append(std::string& bytes, uint32_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += char(value >> (8 * i) & 0xff);
}

}  // namespace

void write_wav(const std::filesystem::path& path, const Sound& sound) {
  const uint32_t data_size = uint32_t(sound.samples.size() * 2);
  std::string bytes = "RIFF";
  append(bytes, 36 + data_size, 4);
  bytes += "WAVEfmt ";
  append(bytes, 16, 4);
  append(bytes, 1, 2);  // PCM
  append(bytes, 1, 2);  // mono
  append(bytes, uint32_t(sound.rate), 4);
  append(bytes, uint32_t(sound.rate) * 2, 4);
  append(bytes, 2, 2);
  append(bytes, 16, 2);
  bytes += "data";
  append(bytes, data_size, 4);
  for (const float sample : sound.samples)
    append(bytes, uint32_t(int32_t(std::lrint(std::clamp(sample, -1.0F, 1.0F) * 32767))), 2);
  write_file_atomic(path, bytes);
}

}  // namespace microemo::media
