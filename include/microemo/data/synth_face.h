#pragma once
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/data/synth_script.h"
#include "microemo/media/image.h"

namespace microemo::data {

/// A face of one of the photographs, which all clips of this person are made from.
struct Portrait {
  std::string name;
  SynthPart part = SynthPart::train;
  const media::Image* photograph = nullptr;  ///< owned by Photographs
  bool colored = false;                      ///< false: red, green and blue are equal in all of the photograph
  std::array<media::Point, 68> landmarks{};  ///< pixels of the photograph
  double eye_distance() const;               ///< outer eye corners, pixels of the photograph
};

/// The faces that a part shows; disjoint between the parts. Always the same order.
std::vector<std::string> portrait_names(SynthPart part);

/// Where tools/setup puts photographs: microemo/media in $XDG_CACHE_HOME or ~/.cache.
std::filesystem::path default_photograph_folder();

/// A photograph's file name and SHA-256.
struct PhotographFile {
  std::string name, hash;
};

/// The photographs, read once, with every face found by the detector and told apart by its place. Immutable once made; any thread
/// may read it.
class Photographs {
 public:
  /// Throws Error(environment) when a photograph is missing, is another file than expected, or one of its faces is not found.
  explicit Photographs(const std::filesystem::path& folder);
  Photographs(const Photographs&) = delete;
  Photographs& operator=(const Photographs&) = delete;

  const Portrait& portrait(const std::string& name) const;
  const std::vector<PhotographFile>& files() const { return files_; }

 private:
  std::vector<PhotographFile> files_;
  std::vector<media::Image> images_;
  std::vector<Portrait> portraits_;
};

}  // namespace microemo::data
