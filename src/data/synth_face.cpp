#include "microemo/data/synth_face.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/media/face.h"

namespace microemo::data {
namespace {

constexpr double place_tolerance = 20.0;  // pixels; neighbours in the group photograph are at least 70 apart

struct KnownPhotograph {
  const char *file, *hash;
};

constexpr std::array photographs{
    KnownPhotograph{"grace_hopper_512x512.jpg", "ee9d775343587100337da3bd24f9f9daf49756132362f09ca3ac9b676c4341b3"},
    KnownPhotograph{"astronaut.png", "b6d8f15b9103f9f9368608886d396d9ce92b10989aee1539a1e37dd1a415b9dd"},
    KnownPhotograph{"Solvay_conference_1927_Version2_2126x1463.png",
                    "c98b2f60bd2a47451cf37bdf276a7e78d83f872781120b420a76f7bd68c1ca0e"},
};

/// Where the detector finds a face: the centre of its box, in pixels of the photograph.
struct KnownFace {
  const char* name;
  SynthPart part;
  size_t photograph;
  double x, y;
};

// Three faces of the group are left out: two are turned too far, one is lost by the tracker now and then.
constexpr std::array faces{
    KnownFace{"hopper", SynthPart::test, 0, 269, 221},      KnownFace{"astronaut", SynthPart::train, 1, 223, 127},
    KnownFace{"solvay_01", SynthPart::train, 2, 1921, 825}, KnownFace{"solvay_02", SynthPart::train, 2, 1657, 753},
    KnownFace{"solvay_03", SynthPart::train, 2, 1249, 729}, KnownFace{"solvay_04", SynthPart::test, 2, 817, 745},
    KnownFace{"solvay_06", SynthPart::train, 2, 1185, 809}, KnownFace{"solvay_07", SynthPart::train, 2, 1841, 753},
    KnownFace{"solvay_08", SynthPart::train, 2, 937, 825},  KnownFace{"solvay_09", SynthPart::train, 2, 1441, 745},
    KnownFace{"solvay_10", SynthPart::train, 2, 209, 753},  KnownFace{"solvay_11", SynthPart::train, 2, 601, 753},
    KnownFace{"solvay_12", SynthPart::train, 2, 1769, 809}, KnownFace{"solvay_13", SynthPart::test, 2, 401, 769},
    KnownFace{"solvay_14", SynthPart::train, 2, 585, 609},  KnownFace{"solvay_15", SynthPart::train, 2, 873, 625},
    KnownFace{"solvay_16", SynthPart::train, 2, 489, 825},  KnownFace{"solvay_18", SynthPart::train, 2, 433, 553},
    KnownFace{"solvay_19", SynthPart::train, 2, 1545, 801}, KnownFace{"solvay_20", SynthPart::train, 2, 1785, 537},
    KnownFace{"solvay_21", SynthPart::test, 2, 1057, 737},  KnownFace{"solvay_23", SynthPart::train, 2, 697, 657},
    KnownFace{"solvay_24", SynthPart::train, 2, 273, 817},  KnownFace{"solvay_25", SynthPart::test, 2, 705, 817},
    KnownFace{"solvay_26", SynthPart::train, 2, 1361, 625},
};

void check_photograph(const std::filesystem::path& path, const KnownPhotograph& known) {
  constexpr const char* next = "run tools/setup, which fetches the photographs, or set photographs=FOLDER";
  if (!std::filesystem::is_regular_file(path))
    throw EnvironmentError("the photograph {} is missing", known.file).where(path).hint(next);
  if (sha256_file(path) != known.hash)
    throw EnvironmentError("{} is not the photograph that the benchmark is made from", known.file).where(path).hint(next);
}

bool has_color(const media::Image& image) {
  for (size_t i = 0; i + 2 < image.pixels.size(); i += 3)
    if (image.pixels[i] != image.pixels[i + 1] || image.pixels[i] != image.pixels[i + 2]) return true;
  return false;
}

const media::Face& face_at(const std::vector<media::Face>& found, const KnownFace& known) {
  const auto near = [&](const media::Face& face) {
    return std::hypot((face.box.left + face.box.right) / 2.0 - known.x, (face.box.top + face.box.bottom) / 2.0 - known.y) <
           place_tolerance;
  };
  const auto match = std::ranges::find_if(found, near);
  if (match == found.end())
    throw EnvironmentError("the face {} was not found near ({}, {})", known.name, known.x, known.y)
        .where(photographs.at(known.photograph).file)
        .hint("this dlib finds other faces than the one the benchmark was made with: use Debian's libdlib-dev and libdlib-data");
  return *match;
}

}  // namespace

double Portrait::eye_distance() const { return std::hypot(landmarks[45].x - landmarks[36].x, landmarks[45].y - landmarks[36].y); }

std::vector<std::string> portrait_names(SynthPart part) {
  std::vector<std::string> names;
  for (const KnownFace& face : faces)
    if (face.part == part) names.emplace_back(face.name);
  return names;
}

std::filesystem::path default_photograph_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return std::filesystem::path(cache) / "microemo" / "media";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : ".") / ".cache" / "microemo" / "media";
}

Photographs::Photographs(const std::filesystem::path& folder) {
  for (const KnownPhotograph& known : photographs) check_photograph(folder / known.file, known);
  std::vector<std::vector<media::Face>> found;
  std::vector<bool> colored;
  for (const KnownPhotograph& known : photographs) {
    files_.push_back({known.file, known.hash});
    images_.push_back(media::read_image(folder / known.file));
    colored.push_back(has_color(images_.back()));
    found.push_back(media::detect_faces(images_.back(), 0.0));
  }
  for (const KnownFace& known : faces)
    portraits_.push_back({known.name, known.part, &images_[known.photograph], colored[known.photograph],
                          face_at(found[known.photograph], known).landmarks});
}

const Portrait& Photographs::portrait(const std::string& name) const {
  const auto found = std::ranges::find(portraits_, name, &Portrait::name);
  MICROEMO_CHECK(found != portraits_.end(), "no portrait is called {}", name);
  return *found;
}

}  // namespace microemo::data
