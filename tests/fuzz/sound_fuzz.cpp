// Containers and codecs of sound, read whole and by a window. Error(data) is a right answer; anything else, and a window that
// differs from the whole, are findings.

#include <algorithm>
#include <cstdlib>

#include "fuzz.h"
#include "microemo/media/sound.h"
#include "microemo/media/voice.h"

namespace {

using namespace microemo::media;

void open_file(const std::filesystem::path& path) {
  SoundOptions options;
  options.limits.max_pixels = 1 << 16;
  options.limits.max_seconds = 60;
  const Sound whole = read_sound(path, options);
  voiced_stretches(whole);
  AudioReader reader(path, options);
  const double begin_s = whole.start_s + 0.01;
  const Sound window = reader.window(begin_s, begin_s + 0.02);
  const size_t first = std::min<size_t>(160, whole.samples.size()), last = std::min<size_t>(first + 320, whole.samples.size());
  const auto same = [](float a, float b) { return a == b || (a != a && b != b); };
  const bool equal = std::equal(window.samples.begin(), window.samples.end(), whole.samples.begin() + std::ptrdiff_t(first),
                                whole.samples.begin() + std::ptrdiff_t(last), same);
  if (!equal) std::abort();
}

}  // namespace

MICROEMO_FUZZ_TARGET(open_file)
