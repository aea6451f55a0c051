#pragma once
#include <memory>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include "microemo/base/files.h"
#include "microemo/base/random.h"
#include "microemo/data/sample.h"
#include "microemo/model/microemo.h"
#include "microemo/nn/init.h"
#include "microemo/text/tokenizer.h"

namespace microemo::test {

/// Bytes that depend on the seed alone.
inline at::Tensor random_bytes(at::IntArrayRef shape, at::ScalarType type, uint64_t seed) {
  at::Tensor bytes = at::empty(shape, type);
  Random random(seed, "bytes");
  for (int64_t i = 0; i < bytes.numel(); ++i) static_cast<uint8_t*>(bytes.data_ptr())[i] = uint8_t(random.bits());
  return bytes;
}

inline at::Tensor times(int64_t count, double rate) {
  std::vector<double> seconds;
  for (int64_t i = 0; i < count; ++i) seconds.push_back(double(i) / rate);
  return at::tensor(seconds, at::kDouble);
}

/// A model of a few thousand random parameters with a tokenizer trained on the prompts, and clips of noise.
struct TinyModel {
  data::PrepareOptions prepare;
  model::ModelOptions options;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::shared_ptr<model::MicroEmo> model;
  std::unique_ptr<data::BatchBuilder> builder;
  std::string tokenizer_bytes;  ///< content of its file

  explicit TinyModel(int64_t max_tokens = 256, bool words_only = false) {
    prepare.frame_width = prepare.frame_height = 32;
    prepare.face_size = 32;
    prepare.mel_bands = 8;
    options.visual = {.width = 16, .patch = 16, .layers = 1, .heads = 2};
    options.image_qformer.heads = options.video_qformer.heads = options.audio.heads = options.local.heads = 2;
    options.local.patch_features = 4;
    options.audio.width = 16;
    options.decoder.width = 32;
    options.decoder.layers = 2;
    options.decoder.hidden = 48;
    options.decoder.max_tokens = max_tokens;
    options.visual.enabled = options.local.enabled = options.audio.enabled = !words_only;
    const TemporaryFolder folder;
    text::train_tokenizer(data::prompt_sentences(), {.vocabulary = 330}, folder.path() / "words.model");
    tokenizer_bytes = read_file(folder.path() / "words.model");
    tokenizer = std::make_shared<const text::Tokenizer>(folder.path() / "words.model");
    model = std::make_shared<model::MicroEmo>(options, data::input_shapes(prepare, tokenizer->size()));
    nn::initialise(*model, 3);
    model->eval();
    builder = std::make_unique<data::BatchBuilder>(tokenizer, options, prepare);
  }

  /// `frames` whole frames at 5 per second, five face frames for each, and their sound.
  data::Sample clip(uint64_t seed, int64_t frames, std::vector<data::Utterance> utterances, bool sound = true) const {
    data::Sample sample;
    sample.clip.id = "clip" + std::to_string(seed);
    sample.clip.utterances = std::move(utterances);
    data::PreparedClip& prepared = sample.prepared;
    prepared.id = sample.clip.id;
    prepared.duration_s = double(frames) / 5;
    prepared.frames_TCHW = random_bytes({frames, 3, 32, 32}, at::kByte, seed);
    prepared.frame_times_T = times(frames, 5);
    prepared.faces_NCSS = random_bytes({5 * frames, 2, 16, 16}, at::kChar, seed + 1);
    prepared.face_times_N = times(5 * frames, 25);
    prepared.face_mask_N = at::full({5 * frames}, true, at::kBool);
    const int64_t mel_frames = sound ? 20 * frames : 0;
    prepared.mel_FM = random_bytes({mel_frames, 8}, at::kChar, seed + 2).to(at::kFloat) / 12.8;
    prepared.mel_times_F = times(mel_frames, 100);
    return sample;
  }
};

inline data::Utterance spoken(double start_s, double end_s, const std::string& text) {
  data::Utterance utterance;
  utterance.start_s = start_s;
  utterance.end_s = end_s;
  utterance.text = text;
  return utterance;
}

}  // namespace microemo::test
