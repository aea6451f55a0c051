#include "media_view.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

namespace microemo::cli {

double rounded(double value, int decimals) {
  const double unit = std::pow(10, decimals);
  return std::round(value * unit) / unit + 0.0;
}

Json info_json(const media::VideoInfo& info, const std::string& path) {
  Json json = {{"file", path},
               {"container", info.container},
               {"video_codec", info.video_codec},
               {"audio_codec", info.audio_codec},
               {"streams", info.streams},
               {"video_stream", info.has_video ? Json(info.video_stream) : Json()},
               {"audio_stream", info.has_audio ? Json(info.audio_stream) : Json()},
               {"start_s", info.start_s},
               {"duration_s", info.duration_s},
               {"time_base", {info.time_base_num, info.time_base_den}}};
  if (info.has_video) json.update(Json{{"width", info.width}, {"height", info.height}, {"rotation", info.rotation}});
  return json;
}

Json damage_json(const std::optional<media::Damage>& damage) {
  if (!damage) return nullptr;
  return {{"until_s", rounded(damage->until_s, 6)}, {"reason", damage->reason}};
}

std::string damage_text(const media::Damage& damage) {
  return fmt::format("partial: the file is truncated or damaged, and was read up to {:.3f} s only ({})",
                     rounded(damage.until_s, 3), damage.reason);
}

void print_json_lines(const Json& head, const char* name, const std::vector<Json>& items) {
  std::string text = head.dump();
  text.pop_back();
  std::printf("%s,\"%s\":[", text.c_str(), name);
  for (size_t i = 0; i < items.size(); ++i) std::printf("%s\n%s", i ? "," : "", items[i].dump().c_str());
  std::printf("\n]}\n");
}

void print_info(const media::VideoInfo& info, const std::string& path) {
  std::printf("%s: %s, %s", path.c_str(), info.container.c_str(), info.video_codec.c_str());
  if (info.has_video) std::printf(" %d x %d", info.width, info.height);
  if (info.rotation) std::printf(", turned by %d degrees", info.rotation);
  std::printf("%s%s\n", info.has_audio ? ", sound " : ", no sound", info.audio_codec.c_str());
}

std::vector<int64_t> spread(int64_t total, int64_t count) {
  std::vector<int64_t> indices;
  count = std::min(count, total);
  for (int64_t i = 0; i < count; ++i) indices.push_back(count == 1 ? 0 : i * (total - 1) / (count - 1));
  return indices;
}

media::Image shrunk(const media::Image& image) {
  return media::resize(image, std::max(1, int(std::lround(double(image.width) * cell_height / image.height))), cell_height);
}

std::string caption(const media::VideoFrame& frame) {
  return fmt::format("{}  {:.3f} s", frame.index, rounded(frame.seconds, 3));
}

std::string finite(const std::string& text) {
  const char* const end = text.data() + text.size();
  double value = 0;
  const auto [rest, trouble] = std::from_chars(text.data(), end, value);
  return trouble == std::errc() && rest == end && std::isfinite(value) ? "" : text + " is not a number";
}

}  // namespace microemo::cli
