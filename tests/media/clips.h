#pragma once
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "media.h"
#include "microemo/base/files.h"

namespace microemo::test {

/// Small clips made by the ffmpeg program, in a folder that lives as long as this object.
class Clips {
 public:
  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }

  /// Two seconds, 160 x 120, 25 frames a second with B-frames, a 440 Hz tone in 44.1 kHz stereo; `extra` options go before the
  /// output.
  std::filesystem::path make(const std::string& name, const std::vector<std::string>& extra = {}) const {
    std::vector<std::string> arguments = {"-f",   "lavfi",   "-i",       "testsrc2=size=160x120:rate=25:duration=2",
                                          "-f",   "lavfi",   "-i",       "sine=frequency=440:sample_rate=44100:duration=2",
                                          "-c:v", "libx264", "-bf",      "2",
                                          "-g",   "25",      "-pix_fmt", "yuv420p",
                                          "-ac",  "2"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    arguments.push_back(path(name).string());
    ffmpeg(arguments);
    return path(name);
  }

  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }

  /// The first part of a file's bytes.
  std::filesystem::path cut(const std::filesystem::path& source, const std::string& name, double part) const {
    const std::string bytes = read_file(source);
    return write(name, bytes.substr(0, size_t(double(bytes.size()) * part)));
  }

 private:
  TemporaryFolder folder_;
};

/// The sound of a file through a filter, as the ffmpeg program decodes it.
inline std::vector<float> decoded_by_ffmpeg(const Clips& clips, const std::filesystem::path& path, const std::string& filter) {
  const auto raw = clips.path("raw.f32");
  ffmpeg({"-i", path.string(), "-vn", "-af", filter, "-f", "f32le", raw.string()});
  const std::string bytes = read_file(raw);
  std::vector<float> samples(bytes.size() / 4);
  std::memcpy(samples.data(), bytes.data(), bytes.size());
  return samples;
}

}  // namespace microemo::test
