#include "whole_model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/any.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "clock.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/model/vit.h"
#include "microemo/nn/absent.h"
#include "microemo/nn/linear.h"
#include "microemo/train/fit.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "microemo/train/optimizer.h"

namespace microemo {
namespace {

constexpr double most_loss = 1e-4, most_gradient = 1e-3, most_one_gradient = 1e-2, most_replayed = 1e-6;

/// A small model of parts that belong together, as a configuration.
struct Layout {
  const char* name;
  const char* config;
};

constexpr Layout layouts[] = {{"MicroEmo 7B's parts", R"({
      "train": {"frozen": ["visual_encoder.*", "audio_encoder.*", "decoder.block*.weight"]},
      "prepare": {"frame_rule": "uniform", "frame_count": 4, "frame_width": 56, "frame_height": 56, "face_size": 32,
                  "face_input": "rgb", "sound": "imagebind", "mel_bands": 128, "sound_pieces": 3},
      "model": {
        "visual": {"style": "eva", "width": 64, "patch": 14, "layers": 2, "heads": 4},
        "image_qformer": {"style": "bert", "queries": 4, "layers": 2, "heads": 4, "width": 48, "look_every": 2, "dropout": 0.1},
        "local": {"patch": 8, "layers": 1, "heads": 4, "window_s": 0},
        "video_qformer": {"style": "bert", "windows": "utterance", "queries": 4, "layers": 2, "heads": 4, "positions": 8},
        "audio": {"style": "imagebind", "width": 32, "layers": 2, "heads": 4, "projection": 32, "qformer_style": "bert",
                  "windows": "none", "queries": 3, "qformer_layers": 2, "qformer_heads": 4, "positions": 4},
        "decoder": {"width": 64, "layers": 2, "heads": 4, "hidden": 96, "max_tokens": 512,
                    "lora": {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["query", "value", "down"]}}}})"},
                              {"AffectGPT 2025's parts", R"({
      "train": {"frozen": ["visual_encoder.*", "audio_encoder.*"]},
      "prepare": {"frame_rule": "uniform", "frame_count": 4, "frame_width": 56, "frame_height": 56, "faces": false,
                  "sound": "samples", "sound_pieces": 2},
      "model": {
        "visual": {"style": "clip", "width": 64, "patch": 14, "layers": 2, "heads": 4, "projection": 48},
        "local": {"enabled": false},
        "video_qformer": {"pooling": "attention"},
        "audio": {"style": "hubert", "width": 48, "layers": 3, "heads": 4, "wave_channels": 16, "pooling": "attention"},
        "fusion": {"enabled": true, "width": 32},
        "decoder": {"width": 64, "layers": 2, "heads": 4, "hidden": 96, "max_tokens": 512}}})"},
                              {"our own encoders", R"({
      "prepare": {"frame_width": 64, "frame_height": 32, "face_size": 32, "mel_bands": 16},
      "model": {
        "visual": {"width": 32, "patch": 16, "layers": 1, "heads": 2},
        "image_qformer": {"heads": 2},
        "local": {"patch_features": 8, "heads": 2},
        "video_qformer": {"heads": 2},
        "audio": {"width": 32, "heads": 2},
        "decoder": {"width": 32, "layers": 2, "hidden": 48, "max_tokens": 512},
        "alignment": {"movement": 0.5, "window_movement": 0.3, "window_voice": 0.2}}})"},
                              {"Whisper's encoder", R"({
      "train": {"frozen": ["audio_encoder.*"]},
      "prepare": {"sound": "whisper", "mel_bands": 80},
      "model": {
        "visual": {"enabled": false},
        "audio": {"style": "whisper", "width": 32, "layers": 2, "heads": 2, "piece_tokens": 30, "windows": "none"},
        "decoder": {"width": 32, "layers": 2, "hidden": 48, "max_tokens": 512}}})"},
                              {"TimeChat's parts", R"({
      "train": {"frozen": ["visual_encoder.*"], "recompute": "all"},
      "prepare": {"frame_rule": "uniform", "frame_count": 8, "frame_width": 56, "frame_height": 56, "faces": false},
      "model": {
        "visual": {"style": "eva", "width": 32, "patch": 14, "layers": 1, "heads": 2},
        "image_qformer": {"style": "bert", "queries": 2, "layers": 2, "heads": 2, "look_every": 2, "keep_text": true},
        "local": {"enabled": false},
        "video_qformer": {"style": "bert", "windows": "sliding", "whole": false, "window_length": 3, "stride": 2, "queries": 2,
                          "heads": 2, "positions": 8, "nothing_token": false, "dropout": 0.1},
        "audio": {"enabled": false},
        "decoder": {"width": 32, "layers": 2, "heads": 2, "hidden": 48, "max_tokens": 512}}})"},
                              {"Emotion-LLaMA's parts", R"({
      "train": {"frozen": ["visual_encoder.*", "decoder.block*.weight"], "frozen_dtype": "nf4"},
      "prepare": {"frame_rule": "uniform", "frame_count": 1, "frame_width": 56, "frame_height": 56, "faces": false},
      "model": {
        "visual": {"style": "eva", "width": 32, "patch": 14, "layers": 1, "heads": 2},
        "local": {"enabled": false},
        "video_qformer": {"pooling": "patches", "queries": 4, "merge": 4},
        "audio": {"enabled": false},
        "features": {"names": ["a", "b"], "widths": [24, 16], "class_token": true},
        "decoder": {"width": 64, "layers": 2, "heads": 2, "hidden": 64, "max_tokens": 512,
                    "lora": {"rank": 4, "alpha": 8, "targets": ["query", "value"]}}}})"},
                              {"faces that ask, of colour", R"({
      "train": {"frozen": ["decoder.block*.weight"], "frozen_dtype": "int8"},
      "prepare": {"frame_width": 64, "frame_height": 32, "face_size": 32, "face_input": "rgb_difference", "mel_bands": 16},
      "model": {
        "visual": {"width": 32, "patch": 16, "layers": 1, "heads": 2},
        "image_qformer": {"heads": 2, "timestamp_text": false},
        "local": {"patch_features": 8, "layers": 1, "heads": 2, "attention": "faces_ask", "zero_start": false},
        "video_qformer": {"heads": 2, "windows": "fixed", "window_s": 4, "whole_reader": "own_layers"},
        "audio": {"width": 32, "heads": 2, "windows": "fixed", "window_s": 3, "whole_reader": "shared_queries"},
        "decoder": {"width": 64, "layers": 2, "heads": 2, "hidden": 64, "max_tokens": 512,
                    "lora": {"rank": 4, "alpha": 8, "targets": ["query", "value"]}},
        "alignment": {"movement": 0.5, "window_movement": 0.3, "window_voice": 0.2}}})"},
                              {"one encoder for all", R"({
      "train": {"recompute": "all"},
      "prepare": {"frame_width": 32, "frame_height": 32, "face_size": 32, "face_input": "rgb"},
      "model": {
        "visual": {"width": 32, "patch": 16, "layers": 1, "heads": 2},
        "image_qformer": {"heads": 2},
        "local": {"encoder": "shared", "patch_features": 8, "heads": 2},
        "video_qformer": {"heads": 2, "windows": "none"},
        "audio": {"enabled": false},
        "decoder": {"width": 32, "layers": 2, "hidden": 48, "max_tokens": 512}}})"}};

train::RunOptions options_of(const Layout& layout) {
  train::RunOptions options;
  options_from_json(options, Json::parse(layout.config), layout.name);
  options.train.batch = 2;
  options.train.compute_dtype = train::ComputeType::fp32;
  if (options.train.frozen_dtype == train::FrozenChoice::automatic) options.train.frozen_dtype = train::FrozenChoice::fp32;
  return options;
}

std::shared_ptr<const text::Tokenizer> small_tokenizer() {
  const TemporaryFolder folder;
  text::train_tokenizer(data::prompt_sentences(), {.vocabulary = 330}, folder.path() / "words.model");
  return std::make_shared<const text::Tokenizer>(folder.path() / "words.model");
}

/// Seconds from `start` on, `step` apart.
at::Tensor times(int64_t count, double start, double step) { return at::arange(count, at::kDouble) * step + start; }

std::vector<int64_t> sizes_of_pieces(const data::PrepareOptions& options, int64_t pieces) {
  constexpr int64_t imagebind_frames = 204, samples = 32000, whisper_frames = 3000;
  if (options.sound == data::SoundInput::imagebind) return {pieces, imagebind_frames, options.mel_bands};
  if (options.sound == data::SoundInput::samples) return {pieces, samples};
  return {pieces, options.mel_bands, whisper_frames};
}

/// What prepare could have made of a clip of so many seconds: noise that depends on the seed alone, a face in most frames.
data::PreparedClip made_up(const data::PrepareOptions& options, const model::InputShapes& shapes, int64_t seconds,
                           uint64_t seed) {
  const auto noise = [generator = at::detail::createCPUGenerator(seed)](at::IntArrayRef sizes) {
    return at::randn(sizes, generator);
  };
  const auto pictures = [&](at::IntArrayRef sizes, at::ScalarType type) { return (noise(sizes) * 40).clamp(-100, 100).to(type); };
  const bool uniform = options.frame_rule == data::FrameRule::uniform, whole = options.sound == data::SoundInput::log_mel;
  const int64_t frames = uniform ? options.frame_count : 5 * seconds, faces = options.faces ? 25 * seconds : 0;
  const int64_t pieces = whole ? 0 : std::max<int64_t>(1, seconds / 4), mel = whole ? 100 * seconds : 0;
  data::PreparedClip clip;
  clip.duration_s = double(seconds);
  clip.frames_TCHW =
      pictures({frames, 3, options.frame_height, options.frame_width}, at::kChar).to(at::kLong).add(128).to(at::kByte);
  clip.frame_times_T = times(frames, 0, double(seconds) / double(frames));
  const bool differences = options.face_input != data::FaceInput::rgb;
  clip.faces_NCSS = pictures({faces, shapes.face_channels, shapes.face_side, shapes.face_side}, at::kChar);
  if (!differences) clip.faces_NCSS = clip.faces_NCSS.to(at::kLong).add(128).to(at::kByte);
  clip.face_times_N = times(faces, 0, 0.04);
  clip.face_mask_N = at::ones({faces}, at::kBool);
  if (faces > 0) clip.face_mask_N.slice(0, 1, 3).fill_(false);
  clip.mel_FM = noise({mel, options.mel_bands});
  clip.mel_times_F = times(mel, 0.005, 0.01);
  clip.piece_times_K = times(pieces, 1, 2);
  if (!whole) clip.pieces_K = noise(sizes_of_pieces(options, pieces));
  return clip;
}

/// Two clips with three utterances each, the second of which is longer.
std::shared_ptr<const train::TrainingData> clips_for(const train::RunOptions& options, int64_t words) {
  const model::InputShapes shapes = data::input_shapes(options.prepare, words);
  auto data = std::make_shared<train::TrainingData>();
  for (const int64_t seconds : {10, 12}) {
    data::Sample sample;
    sample.clip.id = fmt::format("clip of {} s", seconds);
    sample.index = seconds;
    for (int64_t i = 0; i < 3; ++i) {
      data::Utterance utterance;
      utterance.start_s = 3 * double(i);
      utterance.end_s = utterance.start_s + 2.5;
      utterance.text = "Well, not what we had in mind.";
      utterance.labels = {"surprised", "disappointed"};
      utterance.face = "brow_up", utterance.voice = "lively";
      sample.clip.utterances.push_back(utterance);
    }
    sample.prepared = made_up(options.prepare, shapes, seconds, uint64_t(seconds));
    for (const int64_t width : options.model.features.widths) sample.features.push_back(times(width, 0.5, 0.01).to(at::kFloat));
    data->samples.push_back(std::move(sample));
  }
  return data;
}

/// What starts at zero hides what is computed with it: adapters, the way of faces into frames, biases.
void fill_zeros(const torch::nn::Module& module) {
  constexpr double size = 0.05;
  const at::NoGradGuard no_grad;
  for (at::Tensor& parameter : module.parameters())
    if (parameter.is_floating_point() && !parameter.any().item<bool>())
      parameter.copy_(at::arange(parameter.numel()).sin().mul_(size).view_as(parameter));
}

/// One step of a model that is drawn from the seed, so many times; the outcomes of the first and the last.
std::pair<StepOutcome, StepOutcome> steps(const train::RunOptions& options, const std::shared_ptr<const text::Tokenizer>& words,
                                          const at::Device& device, int64_t times) {
  const train::Task task =
      train::microemo_task(options, clips_for(options, words->size()), words, train::build_model(options, *words), {}, device);
  fill_zeros(*task.module);
  task.module->to(device);
  std::pair<StepOutcome, StepOutcome> outcomes;
  for (int64_t time = 0; time < times; ++time) {
    for (at::Tensor& parameter : task.module->parameters()) parameter.mutable_grad() = at::Tensor();
    StepOutcome& outcome = time == 0 ? outcomes.first : outcomes.second;
    outcome.loss = train::forward_backward(task, task.batches(1)).loss;
    outcome.gradients.clear();
    for (const auto& item : task.module->named_parameters())
      if (item.value().grad().defined()) outcome.gradients[item.key()] = item.value().grad().cpu();
  }
  return outcomes;
}

/// Milliseconds of a call, the median of some.
template <class Work>
double milliseconds(const at::Device& device, Work&& work) {
  constexpr size_t warm = 3, counted = 9;
  std::vector<double> all;
  for (size_t i = 0; i < warm + counted; ++i) {
    wait(device);
    const double began = now_s();
    work();
    wait(device);
    if (i >= warm) all.push_back(1e3 * (now_s() - began));
  }
  std::ranges::sort(all);
  return all[counted / 2];
}

/// One public encoder at its size: options of a model that has no other.
struct FullSize {
  const char* name;
  int64_t inputs = 0;  ///< frames or pieces of a clip
  model::ModelOptions options;
  data::PrepareOptions prepare;
};

int64_t part_of(int64_t layers, double part) { return std::max<int64_t>(1, std::llround(double(layers) * part)); }

std::vector<FullSize> full_sizes(double part) {
  using model::AudioStyle, model::VisualStyle;
  std::vector<FullSize> all(5);
  all[0].name = "EVA ViT-g, 32 frames", all[0].inputs = 32;
  all[0].options.visual = {
      .style = VisualStyle::eva, .width = 1408, .patch = 14, .layers = part_of(39, part), .heads = 16, .hidden = 6144};
  all[1].name = "CLIP ViT-L/14, 8 frames", all[1].inputs = 8;
  all[1].options.visual = {
      .style = VisualStyle::clip, .width = 1024, .patch = 14, .layers = part_of(24, part), .heads = 16, .projection = 768};
  all[2].name = "ImageBind, 8 pieces", all[2].inputs = 8, all[2].prepare.sound = data::SoundInput::imagebind;
  all[2].options.audio = {.style = AudioStyle::imagebind, .width = 768, .layers = part_of(12, part), .heads = 12};
  all[2].prepare.mel_bands = 128;
  all[3].name = "HuBERT large, 8 pieces", all[3].inputs = 8, all[3].prepare.sound = data::SoundInput::samples;
  all[3].options.audio = {
      .style = AudioStyle::hubert, .width = 1024, .layers = std::max<int64_t>(3, part_of(24, part)), .heads = 16, .hidden = 4096};
  all[4].name = "Whisper large, 1 piece", all[4].inputs = 1, all[4].prepare.sound = data::SoundInput::whisper;
  all[4].options.audio = {.style = AudioStyle::whisper, .width = 1280, .layers = part_of(32, part), .heads = 20, .hidden = 5120};
  all[4].prepare.mel_bands = 128;
  for (size_t i = 0; i < all.size(); ++i) {
    FullSize& one = all[i];
    one.options.visual.enabled = i < 2, one.options.audio.enabled = i >= 2;
    one.options.local.enabled = false;
    one.options.audio.qformer_heads = 8;
    one.prepare.frame_width = one.prepare.frame_height = 224;
  }
  return all;
}

std::shared_ptr<model::MicroEmo> random_encoder(const FullSize& size, const at::Device& device) {
  const nn::LinearsWithoutWeights without_weights;
  constexpr int64_t words = 330;
  auto encoder = std::make_shared<model::MicroEmo>(size.options, data::input_shapes(size.prepare, words));
  for (const at::Tensor& parameter : encoder->parameters()) parameter.set_requires_grad(false);
  const auto type = device.is_cuda() ? train::FrozenChoice::bf16 : train::FrozenChoice::fp32;
  train::freeze_weights(*encoder, type, device.is_cuda());
  for (const at::Tensor& parameter : encoder->parameters()) nn::give_memory(parameter);
  for (const at::Tensor& buffer : encoder->buffers()) nn::give_memory(buffer);
  encoder->to(device);
  if (device.is_cuda()) encoder->compute_in(at::kBFloat16);
  const at::NoGradGuard no_grad;
  for (at::Tensor& parameter : encoder->parameters())
    if (parameter.is_floating_point()) parameter.normal_(0, 0.02);
  return encoder;
}

at::Tensor random_input(const FullSize& size, const at::Device& device) {
  if (!size.options.visual.enabled) return at::randn(sizes_of_pieces(size.prepare, size.inputs)).to(device);
  return at::randint(0, 256, {size.inputs, 3, size.prepare.frame_height, size.prepare.frame_width}, at::kByte).to(device);
}

}  // namespace

StepDifference compare_steps(const StepOutcome& wanted, const StepOutcome& found) {
  constexpr double infinite = std::numeric_limits<double>::infinity(), least_share = 1e-5;
  StepDifference difference{std::abs(found.loss - wanted.loss) / std::abs(wanted.loss), infinite, infinite};
  if (!std::isfinite(found.loss)) difference.loss = infinite;
  if (found.gradients.size() != wanted.gradients.size()) return difference;
  std::vector<std::pair<double, double>> sizes;  // of what differs, and of what is wanted
  double squares = 0, of_wanted = 0;
  for (const auto& [name, gradient] : wanted.gradients) {
    const auto other = found.gradients.find(name);
    if (other == found.gradients.end()) return difference;
    sizes.emplace_back((other->second - gradient).norm().item<double>(), gradient.norm().item<double>());
    squares += sizes.back().first * sizes.back().first;
    of_wanted += sizes.back().second * sizes.back().second;
  }
  if (!std::isfinite(squares)) return difference;
  difference.gradient = std::sqrt(squares / of_wanted);
  difference.one_gradient = 0;
  for (const auto& [differs, size] : sizes)
    difference.one_gradient = std::max(difference.one_gradient, differs / std::max(size, least_share * std::sqrt(of_wanted)));
  return difference;
}

bool same_models(const at::Device& device) {
  const auto words = small_tokenizer();
  bool same = true;
  std::printf("%-26s%12s%12s%12s%12s%14s%16s\n", "a training step", "loss", "difference", "gradients", "one of them", "replayed",
              "gradients of it");
  for (const Layout& layout : layouts) {
    train::RunOptions options = options_of(layout);
    const StepOutcome wanted = steps(options, words, at::kCPU, 1).first;
    // Shapes are recorded when they come for the third time.
    constexpr int64_t replayed = 5;
    options.train.graphs = true;
    const auto [first, last] = steps(options, words, device, replayed);
    const StepDifference found = compare_steps(wanted, first), again = compare_steps(first, last);
    const bool right = found.loss <= most_loss && found.gradient <= most_gradient && found.one_gradient <= most_one_gradient &&
                       again.loss <= most_replayed && again.gradient <= most_replayed;
    std::printf("%-26s%12.5f%12.1e%12.1e%12.1e%14.1e%16.1e%s\n", layout.name, first.loss, found.loss, found.gradient,
                found.one_gradient, again.loss, again.gradient, right ? "" : "  DIFFERS");
    same &= right;
  }
  return same;
}

void time_encoders(const at::Device& device, double part) {
  std::printf("%-26s%12s%16s%12s\n", "frozen, of one clip", "ms", "ms replayed", "ratio");
  const std::vector<FullSize> sizes = full_sizes(part);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto encoder = random_encoder(sizes[i], device);
    const at::Tensor input = random_input(sizes[i], device);
    const at::NoGradGuard no_grad;
    const auto work = [&] {
      return sizes[i].options.visual.enabled ? encoder->encode_frames(input) : encoder->encode_pieces(input);
    };
    const double plain = milliseconds(device, work);
    encoder->replay_shapes();
    const double replayed = milliseconds(device, work);
    std::printf("%-26s%12.2f%16.2f%12.2f\n", sizes[i].name, plain, replayed, plain / replayed);
    std::fflush(stdout);
  }
}

}  // namespace microemo
