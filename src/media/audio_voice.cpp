#include <algorithm>
#include <cmath>

#include "microemo/base/error.h"
#include "microemo/media/voice.h"

namespace microemo::media {
namespace {

constexpr double window_s = 0.025, shift_s = 0.010;
constexpr int averaged_windows = 5;
constexpr double quiet_part = 0.10, loud_part = 0.95;
constexpr double begin_part = 0.40, end_part = 0.25;
/// 24-bit sound has nothing below.
constexpr double least_energy = 1e-15;

void check_options(const VoiceOptions& options) {
  for (const double value : {options.shortest_voice_s, options.shortest_silence_s, options.pad_s, options.least_range_db})
    if (!std::isfinite(value) || value < 0)
      throw ConfigError("an option of the voice detection is {}", value).hint("give a number from 0 on");
  if (!std::isfinite(options.silence_db) || options.silence_db > 0)
    throw ConfigError("the level of silence is {} dB", options.silence_db).hint("give a number below 0, full scale");
}

/// Mean squares of the windows, without their means.
std::vector<double> energies(const Sound& sound) {
  const auto window = std::max<int64_t>(1, std::llround(sound.rate * window_s)),
             shift = std::max<int64_t>(1, std::llround(sound.rate * shift_s)), total = int64_t(sound.samples.size());
  std::vector<double> energies;
  for (int64_t begin = 0; begin < total; begin += shift) {
    const int64_t count = std::min(window, total - begin);
    double sum = 0, squares = 0;
    for (int64_t i = begin; i < begin + count; ++i) {
      const double sample = sound.samples[size_t(i)];
      sum += sample;
      squares += sample * sample;
    }
    energies.push_back(std::max(0.0, squares / double(count) - sum / double(count) * (sum / double(count))));
  }
  return energies;
}

std::vector<double> levels_db(const std::vector<double>& energies) {
  std::vector<double> levels;
  const auto count = int64_t(energies.size());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = std::max<int64_t>(0, i - averaged_windows / 2), end = std::min(count, i + averaged_windows / 2 + 1);
    double sum = 0;
    for (int64_t k = begin; k < end; ++k) sum += energies[size_t(k)];
    levels.push_back(10 * std::log10(std::max(sum / double(end - begin), least_energy)));
  }
  return levels;
}

double percentile(std::vector<double> values, double part) {
  const auto at = values.begin() + std::llround(part * double(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// Windows [begin, end) that are loud, with hysteresis.
std::vector<std::pair<int64_t, int64_t>> loud_windows(const std::vector<double>& levels, double begin_db, double end_db) {
  std::vector<std::pair<int64_t, int64_t>> loud;
  bool inside = false;
  for (size_t i = 0; i < levels.size(); ++i) {
    if (!inside && levels[i] > begin_db) {
      // The rise before it belongs to it.
      auto begin = int64_t(i);
      while (begin > 0 && levels[size_t(begin) - 1] > end_db) --begin;
      loud.emplace_back(begin, int64_t(i) + 1);
      inside = true;
    } else if (inside) {
      inside = levels[i] > end_db;
      if (inside) loud.back().second = int64_t(i) + 1;
    }
  }
  return loud;
}

/// Fills short pauses, then leaves out short bursts.
std::vector<VoicedStretch> merged(const std::vector<VoicedStretch>& bursts, const VoiceOptions& options) {
  std::vector<VoicedStretch> stretches;
  for (const VoicedStretch& burst : bursts) {
    if (!stretches.empty() && burst.start_s - stretches.back().end_s < options.shortest_silence_s)
      stretches.back().end_s = burst.end_s;
    else
      stretches.push_back(burst);
  }
  std::erase_if(stretches, [&](const VoicedStretch& s) { return s.end_s - s.start_s < options.shortest_voice_s; });
  return stretches;
}

void pad(std::vector<VoicedStretch>& stretches, double pad_s, const Sound& sound) {
  for (size_t i = 0; i < stretches.size(); ++i) {
    if (i == 0) stretches[i].start_s = std::max(sound.start_s, stretches[i].start_s - pad_s);
    if (i + 1 == stretches.size()) {
      stretches[i].end_s = std::min(sound.end_s(), stretches[i].end_s + pad_s);
      return;
    }
    const double half_s = std::min(pad_s, (stretches[i + 1].start_s - stretches[i].end_s) / 2);
    stretches[i].end_s += half_s;
    stretches[i + 1].start_s -= half_s;
  }
}

}  // namespace

std::vector<VoicedStretch> voiced_stretches(const Sound& sound, const VoiceOptions& options) {
  check_options(options);
  MICROEMO_CHECK(sound.rate > 0, "a sample rate of {}", sound.rate);
  const std::vector<double> levels = levels_db(energies(sound));
  if (levels.empty()) return {};
  const double loud_db = percentile(levels, loud_part);
  const double quiet_db = std::min(loud_db, std::max(percentile(levels, quiet_part), options.silence_db));
  if (loud_db <= options.silence_db) return {};
  if (loud_db - quiet_db < options.least_range_db) return {{sound.start_s, sound.end_s()}};
  const double range_db = loud_db - quiet_db;
  std::vector<VoicedStretch> bursts;
  for (const auto& [begin, end] : loud_windows(levels, quiet_db + begin_part * range_db, quiet_db + end_part * range_db))
    bursts.push_back({sound.start_s + double(begin) * shift_s, std::min(sound.end_s(), sound.start_s + double(end) * shift_s)});
  std::vector<VoicedStretch> stretches = merged(bursts, options);
  pad(stretches, options.pad_s, sound);
  return stretches;
}

}  // namespace microemo::media
