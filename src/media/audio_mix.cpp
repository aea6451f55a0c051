#include "audio_mix.h"

#include <limits>
#include <numeric>
#include <type_traits>

#include "microemo/base/error.h"

extern "C" {
#include <libavutil/channel_layout.h>
#include <libavutil/samplefmt.h>
}

namespace microemo::media {
namespace {

constexpr float root_half = 0.707106781F, half = 0.5F;

float weight_of(AVChannel channel) {
  switch (channel) {
    case AV_CHAN_FRONT_CENTER:
      return 1;
    case AV_CHAN_FRONT_LEFT:
    case AV_CHAN_FRONT_RIGHT:
    case AV_CHAN_FRONT_LEFT_OF_CENTER:
    case AV_CHAN_FRONT_RIGHT_OF_CENTER:
      return root_half;
    case AV_CHAN_LOW_FREQUENCY:
    case AV_CHAN_LOW_FREQUENCY_2:
      return 0;
    default:
      return half;
  }
}

template <class Sample>
float to_float(Sample sample) {
  if constexpr (std::is_floating_point_v<Sample>) return float(sample);
  if constexpr (std::is_same_v<Sample, uint8_t>) return (float(sample) - 128) / 128;
  return float(double(sample) / -double(std::numeric_limits<Sample>::min()));
}

/// Adds channel after channel: `stride` samples lie between two of one channel.
template <class Sample>
void mix(const AVFrame& frame, bool planar, const std::vector<float>& weights, float* out) {
  const size_t channels = weights.size(), stride = planar ? 1 : channels;
  for (size_t c = 0; c < channels; ++c) {
    if (weights[c] == 0) continue;
    const auto* in = reinterpret_cast<const Sample*>(frame.extended_data[planar ? c : 0]) + (planar ? 0 : c);
    const float weight = weights[c];
    for (int i = 0; i < frame.nb_samples; ++i) out[i] += weight * to_float(in[size_t(i) * stride]);
  }
}

}  // namespace

std::vector<float> mono_weights(const AVChannelLayout& layout) {
  AVChannelLayout named = layout;
  // Without names (some WAV files) the number of channels decides, where there is a usual order of so many.
  if (layout.order == AV_CHANNEL_ORDER_UNSPEC) av_channel_layout_default(&named, layout.nb_channels);
  std::vector<float> weights(size_t(layout.nb_channels), 1.0F);
  if (named.order == AV_CHANNEL_ORDER_NATIVE)
    for (size_t c = 0; c < weights.size(); ++c) weights[c] = weight_of(av_channel_layout_channel_from_index(&named, unsigned(c)));
  float sum = std::accumulate(weights.begin(), weights.end(), 0.0F);
  // Nothing but low frequencies: they are the sound.
  if (sum == 0) weights.assign(weights.size(), 1.0F), sum = float(weights.size());
  for (float& weight : weights) weight /= sum;
  return weights;
}

void mix_down(const AVFrame& frame, const std::vector<float>& weights, std::vector<float>& samples) {
  const auto format = AVSampleFormat(frame.format);
  const bool planar = av_sample_fmt_is_planar(format) != 0;
  const size_t before = samples.size();
  samples.resize(before + size_t(frame.nb_samples), 0.0F);
  float* out = samples.data() + before;
  switch (av_get_packed_sample_fmt(format)) {
    case AV_SAMPLE_FMT_U8:
      return mix<uint8_t>(frame, planar, weights, out);
    case AV_SAMPLE_FMT_S16:
      return mix<int16_t>(frame, planar, weights, out);
    case AV_SAMPLE_FMT_S32:
      return mix<int32_t>(frame, planar, weights, out);
    case AV_SAMPLE_FMT_S64:
      return mix<int64_t>(frame, planar, weights, out);
    case AV_SAMPLE_FMT_FLT:
      return mix<float>(frame, planar, weights, out);
    case AV_SAMPLE_FMT_DBL:
      return mix<double>(frame, planar, weights, out);
    default:
      throw DataError("its sound has samples of an unknown format ({})", frame.format)
          .hint("convert its sound to AAC in stereo, for instance with ffmpeg");
  }
}

}  // namespace microemo::media
