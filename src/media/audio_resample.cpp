#include <cmath>

#include <soxr.h>

#include "audio_sinc.h"
#include "libav.h"
#include "microemo/base/error.h"
#include "microemo/media/resample.h"

extern "C" {
#include <libavutil/channel_layout.h>
}

namespace microemo::media {
namespace {

class Unchanged : public Resampler {
 public:
  void add(std::span<const float> in, std::vector<float>& out) override { out.insert(out.end(), in.begin(), in.end()); }
  void finish(std::vector<float>&) override {}
};

[[noreturn]] void refuse(int from, int to, const std::string& why) {
  throw DataError("a sound of {} Hz cannot be resampled to {} Hz: {}", from, to, why)
      .hint("convert it to 48000 Hz, for instance with ffmpeg");
}

class Swresample : public Resampler {
 public:
  Swresample(int from, int to) : from_(from), to_(to) {
    AVChannelLayout mono;
    av_channel_layout_default(&mono, 1);
    SwrContext* context = nullptr;
    int code = swr_alloc_set_opts2(&context, &mono, AV_SAMPLE_FMT_FLT, to, &mono, AV_SAMPLE_FMT_FLT, from, 0, nullptr);
    context_.reset(context);
    if (code >= 0) code = swr_init(context);
    if (code < 0) refuse(from, to, libav::reason(code));
  }
  void add(std::span<const float> in, std::vector<float>& out) override {
    if (!in.empty()) convert(in.data(), int(in.size()), out);
  }
  void finish(std::vector<float>& out) override { convert(nullptr, 0, out); }

 private:
  void convert(const float* in, int count, std::vector<float>& out) {
    const int room = swr_get_out_samples(context_.get(), count);
    const size_t before = out.size();
    out.resize(before + size_t(std::max(room, 0)));
    auto* target = reinterpret_cast<uint8_t*>(out.data() + before);
    const auto* source = reinterpret_cast<const uint8_t*>(in);
    const int written = room > 0 ? swr_convert(context_.get(), &target, room, in ? &source : nullptr, count) : room;
    out.resize(before + size_t(std::max(written, 0)));
    if (written < 0) refuse(from_, to_, libav::reason(written));
  }

  int from_, to_;
  libav::Resampler context_;
};

class Soxr : public Resampler {
 public:
  Soxr(int from, int to) : from_(from), to_(to) {
    const soxr_io_spec_t samples = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, 0);
    const soxr_runtime_spec_t one_thread = soxr_runtime_spec(1);
    soxr_error_t trouble = nullptr;
    context_.reset(soxr_create(from, to, 1, &trouble, &samples, &quality, &one_thread));
    if (trouble) refuse(from, to, trouble);
  }
  void add(std::span<const float> in, std::vector<float>& out) override {
    while (!in.empty()) in = in.subspan(process(in.data(), in.size(), out).first);
  }
  void finish(std::vector<float>& out) override {
    while (process(nullptr, 0, out).second > 0) continue;
  }

 private:
  /// Samples taken and given.
  std::pair<size_t, size_t> process(const float* in, size_t count, std::vector<float>& out) {
    const size_t room = size_t(double(count) * to_ / from_) + 4096, before = out.size();
    out.resize(before + room);
    size_t taken = 0, given = 0;
    const soxr_error_t trouble = soxr_process(context_.get(), in, count, &taken, out.data() + before, room, &given);
    out.resize(before + given);
    if (trouble) refuse(from_, to_, trouble);
    return {taken, given};
  }

  struct Free {
    void operator()(soxr* context) const { soxr_delete(context); }
  };
  int from_, to_;
  std::unique_ptr<soxr, Free> context_;
};

}  // namespace

std::unique_ptr<Resampler> make_resampler(Resampling resampling, int from, int to) {
  MICROEMO_CHECK(from > 0 && to > 0, "resampling from {} to {} Hz", from, to);
  if (from == to) return std::make_unique<Unchanged>();
  switch (resampling) {
    case Resampling::soxr:
      return std::make_unique<Soxr>(from, to);
    case Resampling::sinc:
      return std::make_unique<SincResampler>(from, to);
    default:
      return std::make_unique<Swresample>(from, to);
  }
}

std::vector<float> resampled(std::span<const float> samples, int from, int to, Resampling resampling) {
  std::vector<float> out;
  out.reserve(size_t(double(samples.size()) * to / from) + 1);
  const auto resampler = make_resampler(resampling, from, to);
  resampler->add(samples, out);
  resampler->finish(out);
  return out;
}

}  // namespace microemo::media
