// Makes features of sound again and again, a number of times for every line that comes on standard input, and answers with the
// seconds of the processor for one time: the C++ side of bench/media/audio.
//
//   audio_speed KIND REPETITIONS IN OUT     IN, OUT: raw float32; OUT gets the features
//
// KIND: imagebind (pieces of 2 s at 16 kHz, 128 bands), whisper (30 s at 16 kHz, 80 bands), hubert (normalised samples), or
// RESAMPLER_FROM_TO.

#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/media/sound.h"
#include "microemo/model/hubert.h"
#include "microemo/model/imagebind_audio.h"
#include "microemo/model/whisper_mel.h"

namespace {

using namespace microemo;
/// Makes the features; appends them to a vector where there is one.
using Features = std::function<void(std::vector<float>*)>;

void keep(const at::Tensor& tensor, std::vector<float>* kept) {
  if (!kept) return;
  const at::Tensor flat = tensor.contiguous();
  kept->insert(kept->end(), flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel());
}

void imagebind(const std::vector<float>& samples, std::vector<float>* kept) {
  media::Sound piece;
  for (size_t begin = 0; begin + 32000 <= samples.size(); begin += 32000) {
    piece.samples.assign(samples.begin() + std::ptrdiff_t(begin), samples.begin() + std::ptrdiff_t(begin + 32000));
    const media::LogMel mel = media::log_mel(piece, 128);
    const at::Tensor mel_1FM = at::from_blob(const_cast<float*>(mel.values.data()), {1, mel.frames(), 128}, at::kFloat);
    keep(model::imagebind_spectrogram(mel_1FM), kept);
  }
}

Features features_of(const std::string& kind, std::vector<float>& samples) {
  using Kept = std::vector<float>*;
  const auto tensor_1N = [&] { return at::from_blob(samples.data(), {1, int64_t(samples.size())}, at::kFloat); };
  if (kind == "imagebind") return [&](Kept kept) { imagebind(samples, kept); };
  if (kind == "whisper") return [tensor_1N](Kept kept) { keep(model::whisper_log_mel(tensor_1N()), kept); };
  if (kind == "hubert") return [tensor_1N](Kept kept) { keep(model::normalised_samples(tensor_1N()), kept); };
  const size_t first = kind.find('_'), second = kind.find('_', first + 1);
  const int from = std::stoi(kind.substr(first + 1)), to = std::stoi(kind.substr(second + 1));
  for (const auto& [resampling, name] : names_of(media::Resampling{}))
    if (kind.substr(0, first) == name)
      return [&samples, from, to, resampling = resampling](Kept kept) {
        const std::vector<float> made = media::resampled(samples, from, to, resampling);
        if (kept) *kept = made;
      };
  throw ConfigError("there is no kind {}", kind).hint("read the first lines of this program");
}

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

void serve(const std::string& kind, int repetitions, const char* in, const char* out) {
  const std::string bytes = read_file(in);
  std::vector<float> samples(bytes.size() / sizeof(float));
  std::memcpy(samples.data(), bytes.data(), bytes.size());
  const Features features = features_of(kind, samples);
  std::vector<float> first;
  features(&first);
  write_file_atomic(out, std::string(reinterpret_cast<const char*>(first.data()), first.size() * sizeof(float)));
  for (std::string line; std::getline(std::cin, line);) {
    const double start = processor_seconds();
    for (int i = 0; i < repetitions; ++i) features(nullptr);
    std::printf("%.9f\n", (processor_seconds() - start) / repetitions);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) return 2;
  at::set_num_threads(1);
  try {
    serve(words[1], std::stoi(words[2]), words[3], words[4]);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return exit_code(error.kind());
  }
}
