#include "microemo/media/resample.h"

#include <cmath>
#include <cstring>
#include <numbers>

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/formats/safetensors.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::expect_error;

/// The same numbers as in tests/reference/resample.py.
std::vector<float> noise(int64_t count) {
  std::vector<float> samples;
  uint64_t state = 1;
  for (int64_t i = 0; i < count; ++i) {
    state = (1103515245 * state + 12345) % (1ULL << 31);
    samples.push_back(float((double(state / 65536 % 32768) - 16384) / 16384));
  }
  return samples;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) worst = std::max(worst, std::abs(double(a[i]) - b[i]));
  return worst;
}

std::vector<float> in_pieces(const std::vector<float>& samples, int from, int to, Resampling resampling, size_t piece) {
  std::vector<float> out;
  const auto resampler = make_resampler(resampling, from, to);
  for (size_t i = 0; i < samples.size(); i += piece)
    resampler->add(std::span(samples).subspan(i, std::min(piece, samples.size() - i)), out);
  resampler->finish(out);
  return out;
}

constexpr Resampling all[] = {Resampling::swresample, Resampling::soxr, Resampling::sinc};
constexpr std::pair<int, int> rates[] = {{48000, 16000}, {44100, 16000}, {16000, 44100}, {11025, 16000}, {96000, 8000}};

TEST(Resamplers, SincEqualsTorchaudioOnGoldenValues) {
  const formats::SafetensorsFile golden(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/media/resample.safetensors");
  for (const formats::SafetensorsEntry& entry : golden.entries()) {
    const size_t sign = entry.name.find('_');
    const int from = std::stoi(entry.name.substr(0, sign)), to = std::stoi(entry.name.substr(sign + 1));
    const auto bytes = golden.bytes(entry);
    std::vector<float> expected(bytes.size() / sizeof(float));
    std::memcpy(expected.data(), bytes.data(), bytes.size());
    EXPECT_LT(largest_difference(resampled(noise(from / 16 + 301), from, to, Resampling::sinc), expected), 1e-6) << entry.name;
  }
  EXPECT_EQ(golden.entries().size(), 10u);
}

TEST(Resamplers, GiveTheSameHoweverTheInputIsCut) {
  const auto samples = noise(9001);
  for (const Resampling resampling : all)
    for (const auto& [from, to] : rates) {
      const auto whole = resampled(samples, from, to, resampling);
      for (const size_t piece : {1, 7, 441, 1024, 9000})
        EXPECT_EQ(in_pieces(samples, from, to, resampling, piece), whole) << int(resampling) << " " << from << " " << piece;
    }
}

TEST(Resamplers, KeepTheLength) {
  for (const Resampling resampling : all)
    for (const auto& [from, to] : rates)
      EXPECT_NEAR(double(resampled(noise(from), from, to, resampling).size()), to, 1) << int(resampling) << " " << from;
}

TEST(Resamplers, KeepATone) {
  std::vector<float> tone;
  for (int i = 0; i < 44100; ++i) tone.push_back(float(0.5 * std::sin(2 * std::numbers::pi * 1000 * i / 44100)));
  for (const Resampling resampling : all) {
    const auto out = resampled(tone, 44100, 16000, resampling);
    for (size_t i = 1000; i < 15000; ++i)
      ASSERT_NEAR(out[i], 0.5 * std::sin(2 * std::numbers::pi * 1000 * double(i) / 16000), 2e-3) << int(resampling) << " " << i;
  }
}

TEST(Resamplers, OfSoxrRemoveWhatTheNewRateCannotHold) {
  std::vector<float> tone;
  for (int i = 0; i < 48000; ++i) tone.push_back(float(0.5 * std::sin(2 * std::numbers::pi * 9000 * i / 48000)));
  const auto out = resampled(tone, 48000, 16000, Resampling::soxr);
  for (size_t i = 2000; i < 14000; ++i) ASSERT_LT(std::abs(out[i]), 1e-6) << i;
}

/// What the ffmpeg program makes of the same noise.
std::vector<float> of_ffmpeg(const std::vector<float>& samples, int from, int to, const std::string& engine) {
  const test::Clips clips;
  std::string bytes(samples.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), samples.data(), bytes.size());
  const auto in = clips.write("in.f32", bytes), out = clips.path("out.f32");
  test::ffmpeg({"-f", "f32le", "-ar", std::to_string(from), "-ac", "1", "-i", in.string(), "-af",
                "aresample=" + std::to_string(to) + engine, "-f", "f32le", out.string()});
  const std::string made = read_file(out);
  std::vector<float> values(made.size() / sizeof(float));
  std::memcpy(values.data(), made.data(), made.size());
  return values;
}

TEST(Resamplers, EqualFfmpegsOwn) {
  const auto samples = noise(30000);
  for (const auto& [from, to] : rates) {
    EXPECT_EQ(resampled(samples, from, to, Resampling::swresample), of_ffmpeg(samples, from, to, "")) << from << " " << to;
    EXPECT_LT(largest_difference(resampled(samples, from, to, Resampling::soxr),
                                 of_ffmpeg(samples, from, to, ":resampler=soxr:precision=28")),
              2e-7)
        << from << " " << to;
  }
}

TEST(Resamplers, PassEqualRatesOn) {
  const auto samples = noise(1000);
  for (const Resampling resampling : all) EXPECT_EQ(resampled(samples, 16000, 16000, resampling), samples);
}

TEST(Resamplers, MakeNothingOfNothing) {
  for (const Resampling resampling : all)
    for (const auto& [from, to] : rates) EXPECT_TRUE(resampled({}, from, to, resampling).empty()) << int(resampling);
}

TEST(Resamplers, TakeOneSample) {
  const std::vector<float> one = {0.5F};
  for (const auto& [from, to] : rates)
    EXPECT_EQ(int64_t(resampled(one, from, to, Resampling::sinc).size()), (to + from - 1) / from) << from;
}

TEST(Resamplers, TakeRatesFarApartAndWithoutACommonDivisor) {
  for (const Resampling resampling : all)
    for (const auto& [from, to] : {std::pair{384000, 1000}, {1000, 384000}, {16001, 15999}, {383999, 16000}}) {
      const auto out = resampled(noise(from / 4), from, to, resampling);
      EXPECT_NEAR(double(out.size()), to / 4.0, to / 1000.0) << int(resampling) << " " << from;
      for (const float sample : out) ASSERT_LT(std::abs(sample), 4);
    }
}

TEST(Resamplers, WithoutARateAreAMistake) {
  for (const auto& [from, to] : {std::pair{0, 16000}, {16000, 0}, {-1, 16000}})
    expect_error(
        ErrorKind::internal, [&, f = from, t = to] { make_resampler(Resampling::sinc, f, t); }, "Hz");
}

}  // namespace
}  // namespace microemo::media
