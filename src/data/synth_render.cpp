#include "microemo/data/synth_render.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "microemo/base/random.h"
#include "synth_shot.h"

namespace microemo::data {
namespace {

constexpr double head_smoothing = 9.0, light_smoothing = 5.0, talk_smoothing = 1.5;  // standard deviations in frames
constexpr double blink_half_s = 0.06;
constexpr size_t noise_values = 1 << 16;

/// Gaussian noise of standard deviation 1, smoothed over time.
std::vector<float> smooth_noise(Random& random, int count, double smoothing) {
  const int reach = int(std::ceil(3.0 * smoothing));
  std::vector<double> kernel, white;
  double power = 0;
  for (int k = -reach; k <= reach; ++k) kernel.push_back(std::exp(-0.5 * k * k / (smoothing * smoothing)));
  for (double value : kernel) power += value * value;
  for (int i = 0; i < count + 2 * reach; ++i) white.push_back(random.normal());
  std::vector<float> smooth;
  for (int i = 0; i < count; ++i) {
    double sum = 0;
    for (size_t k = 0; k < kernel.size(); ++k) sum += kernel[k] * white[size_t(i) + k];
    smooth.push_back(float(sum / std::sqrt(power)));
  }
  return smooth;
}

/// White noise of standard deviation 1, the same in every process; rows of pictures begin at random places of it.
const std::vector<float>& noise_table() {
  static const std::vector<float> table = [] {
    Random random(0, "pixel noise table");
    std::vector<float> values(noise_values + synth_width);
    std::ranges::generate(values, [&] { return float(random.normal()); });
    return values;
  }();
  return table;
}

const float* noise_row(Random& random) { return &noise_table()[random.below(noise_values)]; }

/// What changes over time, one value a frame.
struct Course {
  std::vector<float> shift_x, shift_y, turn, scale, light, talk;
};

bool is_speaking(const ClipScript& script, double seconds) {
  return std::ranges::any_of(script.utterances,
                             [&](const ScriptedUtterance& u) { return u.start_s <= seconds && seconds < u.end_s; });
}

Course draw_course(const SynthOptions& options, const ClipScript& script) {
  Random random(uint64_t(options.seed), "course", {uint64_t(script.part), uint64_t(script.index)});
  const auto draw = [&](double smoothing, double deviation) {
    std::vector<float> values = smooth_noise(random, script.frames, smoothing);
    for (float& value : values) value *= float(deviation);
    return values;
  };
  Course course;
  course.shift_x = draw(head_smoothing, options.head_shift);
  course.shift_y = draw(head_smoothing, options.head_shift);
  course.turn = draw(head_smoothing, options.head_turn * std::numbers::pi / 180.0);
  course.scale = draw(head_smoothing, options.head_scale);
  course.light = draw(light_smoothing, options.light_drift);
  course.talk = draw(talk_smoothing, options.talk_amplitude);
  for (int i = 0; i < script.frames; ++i)
    course.talk[size_t(i)] = is_speaking(script, double(i) / synth_rate) ? std::abs(course.talk[size_t(i)]) : 0.0F;
  return course;
}

double blink_progress(const ClipScript& script, double seconds) {
  double progress = 0;
  for (double middle : script.blinks_s)
    if (const double t = std::abs(seconds - middle) / blink_half_s; t < 1.0)
      progress = std::pow(std::cos(t * std::numbers::pi / 2.0), 2);
  return progress;
}

FaceFrame jittered_face(const SynthOptions& options, const ClipScript& script, const Shot& shot) {
  FaceFrame face = face_frame(shot.landmarks);
  Random random(uint64_t(options.seed), "control points", {uint64_t(script.part), uint64_t(script.index)});
  for (media::Point& point : face.landmarks) {
    point.x += random.normal() * options.warp_jitter * face.eye_distance;
    point.y += random.normal() * options.warp_jitter * face.eye_distance;
  }
  return face;
}

struct Place {
  float x, y;
};

/// Where a pixel of the picture is taken from when the head moves: p - motion * (p - A (p - center - shift)), A turning and
/// scaling back.
struct HeadMove {
  float center_x, center_y, shift_x, shift_y, cosine, sine;
  Place source(float x, float y, float motion) const {
    const float dx = x - center_x - shift_x, dy = y - center_y - shift_y;
    const float back_x = center_x + cosine * dx + sine * dy, back_y = center_y - sine * dx + cosine * dy;
    return {x - motion * (x - back_x), y - motion * (y - back_y)};
  }
};

/// Bilinear in a field, nothing outside of it.
Place displacement_at(const WarpField& field, Place place) {
  const float u = place.x - float(field.area.left), v = place.y - float(field.area.top);
  const auto i = int(u), j = int(v);
  if (u < 0 || v < 0 || i + 1 >= field.area.width || j + 1 >= field.area.height) return {0, 0};
  const float s = u - float(i), t = v - float(j);
  const size_t a = size_t(j) * size_t(field.area.width) + size_t(i), b = a + size_t(field.area.width);
  const auto mix = [&](const float* d) {
    return (1 - t) * ((1 - s) * d[a] + s * d[a + 1]) + t * ((1 - s) * d[b] + s * d[b + 1]);
  };
  return {mix(field.x.data()), mix(field.y.data())};
}

/// Bilinear in the finer picture of the head, with fractions in 1/256 of its pixels.
template <int channels>
std::array<float, channels> head_at(const Shot& shot, Place place) {
  constexpr float scale = 256.0F * Shot::oversampling, offset = 0.5F * scale - 128.0F;
  const int u = std::clamp(int((place.x - float(shot.window.left)) * scale + offset), 0, (shot.head.width - 1) * 256 - 1);
  const int v = std::clamp(int((place.y - float(shot.window.top)) * scale + offset), 0, (shot.head.height - 1) * 256 - 1);
  const int s = u & 255, t = v & 255;
  const uint8_t *upper = shot.head.row(v >> 8) + channels * (u >> 8), *lower = upper + channels * shot.head.width;
  std::array<float, channels> mixed;
  for (int c = 0; c < channels; ++c)
    mixed[size_t(c)] = float((256 - t) * ((256 - s) * upper[c] + s * upper[c + channels]) +
                             t * ((256 - s) * lower[c] + s * lower[c + channels])) /
                       65536.0F;
  return mixed;
}

/// The part of a row that changes: where the motion is not 0.
struct Span {
  int first = 0, last = 0;
};

Span moving_span(const float* motion, int count) {
  Span span{0, count};
  while (span.first < span.last && motion[span.first] <= 0) ++span.first;
  while (span.first < span.last && motion[span.last - 1] <= 0) --span.last;
  return span;
}

Area hull(const Area& a, const Area& b) {
  const int left = std::min(a.left, b.left), top = std::min(a.top, b.top);
  return {left, top, std::max(a.left + a.width, b.left + b.width) - left, std::max(a.top + a.height, b.top + b.height) - top};
}

}  // namespace

struct ClipRenderer::State {
  const SynthOptions options;
  const ClipScript script;
  Shot shot;
  FaceFrame face;
  Course course;
  std::vector<WarpField> unit_fields;      ///< one for each of the script's movements
  WarpField talk_field, blink_field, sum;  ///< `sum`: of the fields that act in the frame being drawn
  media::Image picture;            ///< the frame that was drawn last; at first the background with the noise that never changes
  std::vector<float> still_noise;  ///< [window]: its share in the noise of a moving pixel, grey levels
  std::vector<Span> spans;         ///< of the window's rows

  State(const SynthOptions& synth, const ClipScript& clip, const Portrait& portrait);
  void add_still_noise();
  void sum_fields(double seconds);
  HeadMove head_move(int index) const;
  template <int channels>
  void draw_row(int y, const HeadMove& move, float light, const float* noise);
};

ClipRenderer::State::State(const SynthOptions& synth, const ClipScript& clip, const Portrait& portrait)
    : options(synth),
      script(clip),
      shot(compose_shot(clip, portrait)),
      face(jittered_face(synth, clip, shot)),
      course(draw_course(synth, clip)) {
  for (const Movement& movement : script.movements) {
    const auto unit = std::ranges::find_if(all_units, [&](FaceUnit candidate) { return movement.unit == name_of(candidate); });
    unit_fields.push_back(warp_unit(face, *unit));
  }
  talk_field = warp_talk(face);
  blink_field = warp_blink(face);
  for (int y = 0; y < shot.window.height; ++y)
    spans.push_back(moving_span(&shot.motion[size_t(y) * size_t(shot.window.width)], shot.window.width));
  add_still_noise();
}

void ClipRenderer::State::add_still_noise() {
  Random random(uint64_t(options.seed), "still noise", {uint64_t(script.part), uint64_t(script.index)});
  const auto grain = float(options.pixel_noise);
  picture = shot.background;
  for (int y = 0; y < picture.height; ++y) {
    const float* noise = noise_row(random);
    uint8_t* row = picture.row(y);
    for (int x = 0; x < picture.width; ++x)
      for (int c = 0; c < 3; ++c)
        row[3 * x + c] = uint8_t(std::clamp(float(row[3 * x + c]) + grain * noise[x] + 0.5F, 0.0F, 255.0F));
    if (y < shot.window.top || y >= shot.window.top + shot.window.height) continue;
    for (int x = 0; x < shot.window.width; ++x) {
      const float motion = shot.motion[still_noise.size()];
      still_noise.push_back(grain * noise[shot.window.left + x] * std::sqrt(1.0F - motion * motion));
    }
  }
}

void ClipRenderer::State::sum_fields(double seconds) {
  std::vector<std::pair<const WarpField*, double>> acting;
  for (size_t i = 0; i < unit_fields.size(); ++i)
    acting.emplace_back(&unit_fields[i], script.movements[i].amplitude * movement_progress(script.movements[i], seconds));
  acting.emplace_back(&talk_field, course.talk[size_t(std::lround(seconds * synth_rate))]);
  acting.emplace_back(&blink_field, options.blink_amplitude * blink_progress(script, seconds));
  std::erase_if(acting, [](const auto& field) { return field.second <= 0; });

  sum.area = acting.empty() ? Area{} : acting[0].first->area;
  for (const auto& [field, amount] : acting) sum.area = hull(sum.area, field->area);
  sum.x.assign(size_t(sum.area.width) * size_t(sum.area.height), 0.0F);
  sum.y = sum.x;
  for (const auto& [field, amount] : acting) add_scaled(sum, *field, float(amount));
}

HeadMove ClipRenderer::State::head_move(int index) const {
  const auto i = size_t(index);
  const float scale = 1.0F / (1.0F + course.scale[i]);
  return {float(script.head_x),
          float(script.head_y),
          course.shift_x[i],
          course.shift_y[i],
          scale * std::cos(course.turn[i]),
          scale * std::sin(course.turn[i])};
}

template <int channels>
void ClipRenderer::State::draw_row(int y, const HeadMove& move, float light, const float* noise) {
  const size_t first = size_t(y) * size_t(shot.window.width);
  const auto grain = float(options.pixel_noise);
  uint8_t* row = picture.row(shot.window.top + y) + 3 * shot.window.left;
  for (int x = spans[size_t(y)].first; x < spans[size_t(y)].last; ++x) {
    const float motion = shot.motion[first + size_t(x)];
    const Place still_head = move.source(float(shot.window.left + x), float(shot.window.top + y), motion);
    const Place moved = displacement_at(sum, still_head);
    const std::array<float, channels> color = head_at<channels>(shot, {still_head.x - moved.x, still_head.y - moved.y});
    const float added = grain * motion * noise[x] + still_noise[first + size_t(x)] + 0.5F;
    for (int c = 0; c < 3; ++c)
      row[3 * x + c] = uint8_t(std::clamp((1.0F + light * motion) * color[size_t(c % channels)] + added, 0.0F, 255.0F));
  }
}

ClipRenderer::ClipRenderer(const SynthOptions& options, const ClipScript& script, const Portrait& portrait)
    : state_(std::make_unique<State>(options, script, portrait)) {}
ClipRenderer::~ClipRenderer() = default;

const media::Image& ClipRenderer::frame(int index) {
  State& s = *state_;
  Random random(uint64_t(s.options.seed), "frame noise", {uint64_t(s.script.part), uint64_t(s.script.index), uint64_t(index)});
  s.sum_fields(double(index) / synth_rate);
  const HeadMove move = s.head_move(index);
  const float light = s.course.light[size_t(index)];
  for (int y = 0; y < s.shot.window.height; ++y)
    s.shot.head.channels == 1 ? s.draw_row<1>(y, move, light, noise_row(random))
                              : s.draw_row<3>(y, move, light, noise_row(random));
  return s.picture;
}

const FaceFrame& ClipRenderer::face() const { return state_->face; }

}  // namespace microemo::data
