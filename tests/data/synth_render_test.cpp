#include "microemo/data/synth_render.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/data/synth_warp.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/video_reader.h"
#include "microemo/media/video_writer.h"

namespace microemo::data {
namespace {

constexpr int crop_size = 64, map_size = crop_size / 2;
constexpr double map_unit = 3.0 / 127.0;  // pixels of the crop
constexpr double amplitude = 0.075;

/// A clip without speech in which each unit moves once, 0.4 s long, more than a second apart.
ClipScript script_of_all_units(const std::string& portrait) {
  ClipScript script;
  script.id = "units";
  script.portrait = portrait;
  script.eye_distance = 58;
  script.head_x = 300;
  script.head_y = 180;
  script.frames = 200;
  for (size_t i = 1; i < all_units.size(); ++i) {
    const double apex_s = 1.2 * double(i);
    script.movements.push_back({.unit = name_of(all_units[i]),
                                .onset_s = apex_s - 0.16,
                                .apex_s = apex_s,
                                .offset_s = apex_s + 0.24,
                                .amplitude = amplitude});
  }
  return script;
}

using Map = std::vector<int8_t>;

/// Encodes and decodes the clip, then looks at it as the model does.
std::vector<Map> movement_maps_of(const ClipScript& script, const Portrait& portrait) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "clip.mp4";
  ClipRenderer renderer({}, script, portrait);
  media::VideoWriter writer(path, {.sound = false});
  for (int i = 0; i < script.frames; ++i) writer.add(renderer.frame(i));
  writer.finish();

  media::VideoReader reader(path);
  media::FaceTracker tracker;
  std::vector<media::Image> frames, crops;
  while (auto frame = reader.next()) {
    tracker.add(frame->rgb);
    frames.push_back(media::to_gray(frame->rgb));
  }
  const auto alignment = media::align_faces(media::main_face(tracker.finish()), crop_size);
  for (size_t i = 0; i < frames.size(); ++i)
    crops.push_back(alignment[i] ? media::crop_face(frames[i], *alignment[i], crop_size) : media::Image{});
  return media::movement_maps(crops);
}

/// Mean downward movement in a rectangle of the map (columns and rows as fractions of the crop), in pixels of the crop.
double downward(const Map& map, double left, double top, double right, double bottom) {
  if (map.empty()) return 0;
  double sum = 0;
  int count = 0;
  for (int y = int(top * map_size); y < int(bottom * map_size); ++y)
    for (int x = int(left * map_size); x < int(right * map_size); ++x, ++count)
      sum += map_unit * map[size_t((map_size + y) * map_size + x)];
  return sum / count;
}

/// What grows when a unit moves, in pixels of the crop: the outer eye corners lie at (0.22, 0.36) and (0.78, 0.36) of it.
double sign_of(FaceUnit unit, const Map& map) {
  const auto pair = [&](double from, double to, double top, double bottom) {
    return 0.5 * (downward(map, from, top, to, bottom) + downward(map, 1 - to, top, 1 - from, bottom));
  };
  const double brows = downward(map, 0.2, 0.15, 0.8, 0.30), lip_corners = pair(0.25, 0.4, 0.68, 0.84);
  switch (unit) {
    case FaceUnit::brow_up:
      return -brows;
    case FaceUnit::brow_down:
      return brows;
    case FaceUnit::lip_up:
      return -lip_corners;
    case FaceUnit::lip_down:
      return lip_corners;
    case FaceUnit::lid:
      return pair(0.25, 0.42, 0.28, 0.36) - pair(0.25, 0.42, 0.38, 0.46);
    case FaceUnit::nose:
      return -downward(map, 0.38, 0.5, 0.62, 0.72);
    case FaceUnit::none:
      return 0;
  }
  return 0;
}

class SynthRender : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!std::filesystem::exists(default_photograph_folder() / "astronaut.png")) return;
    photographs_ = std::make_unique<Photographs>(default_photograph_folder());
    const ClipScript script = script_of_all_units("solvay_02");
    maps_ = movement_maps_of(script, photographs_->portrait(script.portrait));
  }
  static void TearDownTestSuite() { photographs_.reset(); }
  void SetUp() override {
    if (!photographs_)
      GTEST_SKIP() << "the photographs are not in " << default_photograph_folder() << " (tools/setup puts them there)";
  }

  static std::unique_ptr<Photographs> photographs_;
  static std::vector<Map> maps_;
};
std::unique_ptr<Photographs> SynthRender::photographs_;
std::vector<Map> SynthRender::maps_;

TEST_F(SynthRender, DrawsTheSameFrameWhateverWasDrawnBefore) {
  const ClipScript script = draw_script({}, SynthPart::train, 3);
  ClipRenderer in_order({}, script, photographs_->portrait(script.portrait)),
      alone({}, script, photographs_->portrait(script.portrait));
  for (int i = 0; i < 12; ++i) in_order.frame(i);
  EXPECT_EQ(in_order.frame(12).pixels, alone.frame(12).pixels);
}

TEST_F(SynthRender, ChangesNothingOutsideTheHead) {
  const ClipScript script = script_of_all_units("astronaut");
  ClipRenderer renderer({}, script, photographs_->portrait(script.portrait));
  const media::Image first = renderer.frame(0), later = renderer.frame(30);
  for (int y = 0; y < synth_height; ++y)
    for (int x = 0; x < synth_width; ++x) {
      if (std::hypot((x - script.head_x) / 1.65, (y - script.head_y) / 1.95) < script.eye_distance) continue;
      ASSERT_EQ(first.row(y)[3 * x], later.row(y)[3 * x]) << x << "," << y;
    }
  EXPECT_NE(first.pixels, later.pixels);
}

TEST_F(SynthRender, LeavesNoSeamWhereTheHeadMeetsTheBackground) {
  // Without noise the picture is smooth across the ellipse in which it is drawn anew: no step and no kink.
  const ClipScript script = script_of_all_units("solvay_13");
  ClipRenderer renderer({.pixel_noise = 0}, script, photographs_->portrait(script.portrait));
  const media::Image& picture = renderer.frame(31);
  for (int degrees = 0; degrees < 360; degrees += 2) {
    const double angle = degrees * std::numbers::pi / 180.0;
    const auto value = [&](double radius) {
      const auto x = int(std::lround(script.head_x + 1.65 * radius * script.eye_distance * std::cos(angle)));
      const auto y = int(std::lround(script.head_y + 1.95 * radius * script.eye_distance * std::sin(angle)));
      return int(picture.row(y)[3 * x]);
    };
    EXPECT_LE(std::abs(value(0.98) - 2 * value(1.0) + value(1.02)), 4) << degrees;
  }
}

TEST_F(SynthRender, ShowsAFaceInEveryFrame) {
  EXPECT_EQ(maps_.size(), 200u);
  EXPECT_EQ(std::ranges::count_if(maps_, [](const Map& map) { return map.empty(); }), 0);
}

FaceUnit unit_of(const Movement& movement) {
  return *std::ranges::find_if(all_units, [&](FaceUnit candidate) { return movement.unit == name_of(candidate); });
}

/// The largest sign of a unit in frames in which nothing but the head moves.
double sign_at_rest(FaceUnit unit, const ClipScript& script, const std::vector<Map>& maps) {
  double largest = 0;
  for (size_t i = 0; i < maps.size(); ++i) {
    const auto near = [&](const Movement& movement) { return std::abs(double(i) / synth_rate - movement.apex_s) < 0.4; };
    if (!std::ranges::any_of(script.movements, near)) largest = std::max(largest, std::abs(sign_of(unit, maps[i])));
  }
  return largest;
}

TEST_F(SynthRender, MovesTheFaceAsTheUnitSaysFarMoreThanItMovesAtRest) {
  const ClipScript script = script_of_all_units("solvay_02");
  for (const Movement& movement : script.movements) {
    const double at_apex = sign_of(unit_of(movement), maps_.at(size_t(std::lround(movement.apex_s * synth_rate))));
    EXPECT_GT(at_apex, 0.25) << movement.unit;
    EXPECT_GT(at_apex, 3 * sign_at_rest(unit_of(movement), script, maps_)) << movement.unit;
  }
}

TEST_F(SynthRender, MovesTheFaceMostAtTheApex) {
  for (const Movement& movement : script_of_all_units("solvay_02").movements) {
    const auto sign = [&](int64_t frame) { return sign_of(unit_of(movement), maps_.at(size_t(frame))); };
    const int64_t apex = std::lround(movement.apex_s * synth_rate);
    int64_t largest = apex - 14;
    for (int64_t i = apex - 14; i <= apex + 14; ++i)
      if (sign(i) > sign(largest)) largest = i;
    EXPECT_NEAR(double(largest), double(apex), 1) << movement.unit;
  }
}

TEST_F(SynthRender, MovesNothingByMoreThanAPixelOfAWholeFrame) {
  const SynthOptions largest;
  const double eye_distance = 64, pixels_per_whole_pixel = synth_width / 112.0;
  for (const char* name : {"astronaut", "solvay_02"}) {
    std::array<media::Point, 68> landmarks = photographs_->portrait(name).landmarks;
    const double scale = eye_distance / photographs_->portrait(name).eye_distance();
    for (media::Point& point : landmarks) point = {point.x * scale, point.y * scale};
    for (FaceUnit unit : all_units) {
      if (unit == FaceUnit::none) continue;
      const WarpField field = warp_unit(face_frame(landmarks), unit);
      double farthest = 0;
      for (size_t i = 0; i < field.x.size(); ++i)
        farthest = std::max(farthest, std::hypot(double(field.x[i]), double(field.y[i])));
      const double whole_pixels = farthest * largest.amplitude_max / pixels_per_whole_pixel;
      EXPECT_LT(whole_pixels, 1.1) << name_of(unit);
      EXPECT_GT(whole_pixels, 0.3) << name_of(unit);
    }
  }
}

/// Root of the mean squared difference, in grey levels.
double rms_difference(const media::Image& a, const media::Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::pow(double(a.pixels[i]) - double(b.pixels[i]), 2);
  return std::sqrt(sum / double(a.pixels.size()));
}

/// Mean grey value about the nose in the first 60 frames, divided by its mean over them: how far it strays.
double brightness_deviation(const SynthOptions& options, const ClipScript& script, const Portrait& portrait) {
  ClipRenderer renderer(options, script, portrait);
  double sum = 0, squares = 0;
  for (int i = 0; i < 60; ++i) {
    const media::Image grey = media::to_gray(renderer.frame(i));
    double value = 0;
    for (int y = -20; y < 20; ++y)
      for (int x = -20; x < 20; ++x) value += grey.row(int(script.head_y) + y)[int(script.head_x) + x] / 1600.0;
    sum += value;
    squares += value * value;
  }
  const double mean = sum / 60;
  return std::sqrt(std::max(0.0, squares / 60 - mean * mean)) / mean;
}

TEST_F(SynthRender, LetsTheBrightnessDrift) {
  ClipScript script = script_of_all_units("solvay_02");
  script.movements.clear();
  const Portrait& portrait = photographs_->portrait(script.portrait);
  const SynthOptions still{.head_shift = 0, .head_turn = 0, .head_scale = 0, .light_drift = 0, .pixel_noise = 0};
  SynthOptions drifting = still;
  drifting.light_drift = 0.02;
  EXPECT_LT(brightness_deviation(still, script, portrait), 0.002);
  EXPECT_GT(brightness_deviation(drifting, script, portrait), 0.006);
  EXPECT_LT(brightness_deviation(drifting, script, portrait), 0.06);
}

TEST_F(SynthRender, LosesDetailInTheCodec) {
  const ClipScript script = draw_script({}, SynthPart::train, 2);
  const TemporaryFolder folder;
  ClipRenderer renderer({}, script, photographs_->portrait(script.portrait));
  media::VideoWriter writer(folder.path() / "clip.mp4", {.sound = false});
  std::vector<media::Image> drawn;
  for (int i = 0; i < 10; ++i) writer.add(drawn.emplace_back(renderer.frame(i)));
  writer.finish();
  media::VideoReader reader(folder.path() / "clip.mp4");
  for (const media::Image& frame : drawn) {
    const double decibels = 20 * std::log10(255 / rms_difference(reader.next()->rgb, frame));
    EXPECT_GT(decibels, 30);
    EXPECT_LT(decibels, 48);
  }
}

TEST_F(SynthRender, PlacesTheFaceWhereTheScriptSays) {
  const ClipScript script = draw_script({}, SynthPart::test, 0);
  ClipRenderer renderer({}, script, photographs_->portrait(script.portrait));
  const std::vector<media::Face> found = media::detect_faces(renderer.frame(0));
  ASSERT_EQ(found.size(), 1u) << "the bystanders have to be out of focus";
  const FaceFrame& face = renderer.face();
  EXPECT_NEAR(face.eye_distance, script.eye_distance, 0.1 * script.eye_distance);
  EXPECT_NEAR(found[0].landmarks[30].x, face.landmarks[30].x, 8);
  EXPECT_NEAR(found[0].landmarks[30].y, face.landmarks[30].y, 8);
}

TEST_F(SynthRender, WarpsWithControlPointsOfItsOwn) {
  // Whoever tracks the landmarks must not find the warp's own points: they are drawn about them for each clip.
  const ClipScript script = draw_script({}, SynthPart::train, 1);
  const Portrait& portrait = photographs_->portrait(script.portrait);
  ClipRenderer jittered({}, script, portrait), exact({.warp_jitter = 0}, script, portrait);
  double distance = 0;
  for (size_t i = 0; i < 68; ++i)
    distance += std::hypot(jittered.face().landmarks[i].x - exact.face().landmarks[i].x,
                           jittered.face().landmarks[i].y - exact.face().landmarks[i].y);
  EXPECT_NEAR(distance / 68, 0.02 * script.eye_distance * 1.25,
              0.01 * script.eye_distance);  // mean length of a Gaussian step: 1.25 deviations
}

TEST(SynthWarp, RefusesToWarpAFaceAtRest) {
  try {
    warp_unit(FaceFrame{}, FaceUnit::none);
    FAIL() << "a face at rest has no field";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
  }
}

}  // namespace
}  // namespace microemo::data
