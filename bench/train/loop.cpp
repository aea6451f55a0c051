// The program of bench/train/loop: training steps of the whole model on clips that are read anew in every step.
//
//   train_loop_bench rows CONFIG FILE
//   train_loop_bench video|prepared|cached CONFIG [FEATURES] [--workers N]
//
// CONFIG is a configuration of microemo train, whose clips are taken in the order of the manifest, train.batch of them a step,
// one question each. "video" reads the frames of every step from the video files; "prepared" decodes each clip once before the
// first step, as microemo prepare does; "cached" reads for each clip what the frozen ViT of whole frames gave for it, as
// microemo train does with train.encoder_cache, from files that it first makes of FEATURES/ID.npy [T, S, C]. On a GPU
// (train.device) the next step's clips are read while this one is computed, N of them at a time. "rows" writes each clip's tokens
// to FILE (JSON) and ends.
//
// Then it reads lines: "steps N" makes N steps and prints the seconds of the clock and of the processor, those of the clock in
// which it waited for clips, the last loss, the tokens of these steps, and the highest memory so far (MB): of the process, on a
// GPU of the tensors there.
#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <fstream>
#include <future>
#include <iostream>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "microemo/base/device.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/data/encoded.h"
#include "microemo/formats/npy.h"
#include "microemo/media/frame_reader.h"
#include "microemo/train/batches_ahead.h"
#include "microemo/train/device.h"
#include "microemo/train/fit.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "microemo/train/optimizer.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

struct Words {
  std::string task;
  fs::path config, other;  ///< FILE or FEATURES
  int64_t workers = 1;
};

int64_t whole_number(const std::string& text) {
  int64_t number = 0;
  const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (trouble != std::errc() || end != text.data() + text.size() || number < 1)
    throw ConfigError("'{}' is no whole number above 0", text).at("--workers");
  return number;
}

Words read_words(const std::vector<std::string>& all) {
  Words words;
  std::vector<std::string> plain;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] == "--workers" && i + 1 < all.size())
      words.workers = whole_number(all[++i]);
    else
      plain.push_back(all[i]);
  }
  const size_t wanted = !plain.empty() && (plain[0] == "rows" || plain[0] == "cached") ? 3 : 2;
  const bool known =
      !plain.empty() && (plain[0] == "rows" || plain[0] == "video" || plain[0] == "prepared" || plain[0] == "cached");
  if (!known || plain.size() != wanted)
    throw ConfigError("what to do is not clear")
        .hint("train_loop_bench rows CONFIG FILE | video|prepared CONFIG | cached CONFIG FEATURES");
  words.task = plain[0];
  words.config = plain[1];
  if (wanted == 3) words.other = plain[2];
  return words;
}

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

/// Not getrusage's, which a program takes over from the one that started it.
double peak_mb(const at::Device& device) {
  if (device.is_cuda()) return double(cuda_memory(device.index()).peak_allocated) / 1e6;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (double kb = 0; word == "VmHWM:" && status >> kb) return kb / 1024;
  return 0;
}

at::Tensor read_features(const fs::path& file) {
  formats::NpyArray array = formats::read_npy(file);
  if (array.kind != formats::NpyKind::floating || array.shape.size() != 3 || array.item_bytes > 4)
    throw DataError("this is {}; wanted: float16 or float32 [frames, tokens, channels]", array.describe()).where(file);
  const at::ScalarType type = array.item_bytes == 2 ? at::kHalf : at::kFloat;
  return at::from_blob(array.bytes.data(), array.shape, at::TensorOptions(type)).clone();
}

/// The uniform frames, stretched, as prepare_clip takes them.
at::Tensor frames_of_video(const data::Clip& clip, const data::PrepareOptions& options) {
  media::FrameReader reader(clip.video, {.limits = data::read_limits(options)});
  const auto wanted = media::uniform_frames(int64_t(reader.frames().size()), options.frame_count);
  at::Tensor frames_THWC = at::empty({int64_t(wanted.size()), options.frame_height, options.frame_width, 3}, at::kByte);
  uint8_t* next = frames_THWC.mutable_data_ptr<uint8_t>();
  reader.read(wanted, [&](const media::VideoFrame& frame) {
    const media::Image small = media::resize(frame.rgb, int(options.frame_width), int(options.frame_height));
    next = std::ranges::copy(small.pixels, next).out;
  });
  return frames_THWC.permute({0, 3, 1, 2});
}

/// Lays out the clips of a step, reading them as the task says.
class Clips {
 public:
  Clips(const Words& words, const train::RunOptions& options, std::shared_ptr<const text::Tokenizer> tokenizer)
      : words_(words), options_(options), builder_(std::move(tokenizer), options.model, options.prepare, options.prompt) {
    for (const data::Clip& clip : data::read_manifest(options.train.manifest).clips) {
      data::Sample sample{.clip = clip, .prepared = data::prepare_clip(clip, options.prepare), .index = int64_t(samples_.size())};
      if (words.task == "video")
        MICROEMO_CHECK(frames_of_video(clip, options.prepare).equal(sample.prepared.frames_TCHW),
                       "the frames of clip '{}' are not those that prepare takes", clip.id);
      if (words.task == "cached") {
        sample.encoded_frames = words.other / (clip.id + ".safetensors");
        data::write_encoded(sample.encoded_frames, {"frames", sha256(clip.id)}, read_features(words.other / (clip.id + ".npy")));
      }
      // Times are kept, and no picture that the task has to read.
      if (words.task != "prepared")
        sample.prepared.frames_TCHW = sample.prepared.frames_TCHW.slice(2, 0, 1).slice(3, 0, 1).clone();
      samples_.push_back(std::move(sample));
    }
  }

  size_t count() const { return samples_.size(); }

  model::ClipBatch batch(const std::vector<size_t>& places) const {
    std::vector<data::Sample> read(places.size());
    const auto each = [&](size_t first) {
      for (size_t i = first; i < places.size(); i += size_t(words_.workers)) {
        read[i] = samples_.at(places[i]);
        if (words_.task == "video") read[i].prepared.frames_TCHW = frames_of_video(read[i].clip, options_.prepare);
      }
    };
    std::vector<std::future<void>> others;
    for (size_t worker = 1; worker < size_t(words_.workers); ++worker)
      others.push_back(std::async(std::launch::async, [&each, worker] {
        at::set_num_threads(1);  // of this thread alone
        each(worker);
      }));
    each(0);
    for (auto& other : others) other.get();
    std::vector<const data::Sample*> samples;
    std::vector<data::Question> questions;
    for (const data::Sample& sample : read) {
      questions.push_back({int64_t(samples.size()), 0});
      samples.push_back(&sample);
    }
    return builder_.build(samples, questions, data::Purpose::train, {}, 0);
  }

  std::vector<model::ClipBatch> step(int64_t step) const {
    std::vector<size_t> places;
    for (int64_t i = 0; i < options_.train.batch; ++i) places.push_back(size_t(step * options_.train.batch + i) % count());
    return {batch(places)};
  }

 private:
  Words words_;
  train::RunOptions options_;
  data::BatchBuilder builder_;
  std::vector<data::Sample> samples_;
};

std::vector<int64_t> numbers(const at::Tensor& tensor_N) {
  const at::Tensor values = tensor_N.to(at::kLong).contiguous();
  return {values.const_data_ptr<int64_t>(), values.const_data_ptr<int64_t>() + values.numel()};
}

/// Labels are those of the token that follows; "times" are the words of each frame's time.
Json rows_of(const Clips& clips) {
  Json rows = Json::array();
  for (size_t place = 0; place < clips.count(); ++place) {
    const model::ClipBatch batch = clips.batch({place});
    Json times = Json::array();
    for (int64_t frame = 0; frame < batch.time_text_BTL.size(1); ++frame) {
      const at::Tensor text_L = batch.time_text_BTL[0][frame];
      times.push_back(numbers(text_L.masked_select(text_L.ge(0))));
    }
    rows.push_back({{"id", batch.ids.at(0)},
                    {"ids", numbers(batch.ids_RL[0])},
                    {"media", numbers(batch.media_RL[0])},
                    {"labels", numbers(batch.labels_RL[0])},
                    {"times", times}});
  }
  return rows;
}

struct Steps {
  train::Task task;
  train::TrainOptions options;
  train::AdamW optimizer;
  train::BatchesAhead batches;
  int64_t done = 0, tokens = 0;
  double wait_s = 0, loss = 0;

  /// As the trainer makes it.
  void one() {
    const double began = seconds_of(CLOCK_MONOTONIC);
    const std::vector<model::ClipBatch> taken = batches.take(done++, /*follows=*/true);
    wait_s += seconds_of(CLOCK_MONOTONIC) - began;
    optimizer.clear_gradients();
    const train::StepResult result = train::forward_backward(task, taken);
    const std::vector<at::Tensor> gradients = optimizer.gradients();
    train::clip_gradients(gradients, train::gradient_norms(gradients), options.clip_norm).item<double>();
    optimizer.step(options.learning_rate);
    tokens += result.tokens;
    loss = result.loss;
  }
};

std::shared_ptr<model::MicroEmo> make_model(const train::RunOptions& options, const text::Tokenizer& tokenizer,
                                            const at::Device& device) {
  const auto model = train::build_for_training(options, tokenizer, {.gpu = device.is_cuda()}).model;
  train::select_trainable(*model, options.train);
  train::freeze_weights(*model, options.train.frozen_dtype, device.is_cuda());
  model->to(device);
  model->train();
  return model;
}

int run(const Words& words) {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // as microemo train has it
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  train::RunOptions options;
  load_config(options, {words.config});
  const at::Device device = train::torch_device(choose_device(options.train.device));
  at::set_num_threads(int(options.train.threads));
  const auto tokenizer = std::make_shared<const text::Tokenizer>(options.train.tokenizer);
  const auto clips = std::make_shared<const Clips>(words, options, tokenizer);
  if (words.task == "rows") {
    write_file_atomic(words.other, rows_of(*clips).dump());
    return 0;
  }
  const auto model = make_model(options, *tokenizer, device);
  train::Task task = train::microemo_task(options, std::make_shared<const train::TrainingData>(), tokenizer, model, {}, device);
  task.batches = [clips](int64_t step) { return clips->step(step); };
  Steps steps{.task = task,
              .options = options.train,
              .optimizer = train::AdamW(*model, options.train),
              .batches = {task.batches, device.is_cuda()}};
  std::string word;
  for (int64_t count = 0; std::cin >> word >> count;) {
    const double clock = seconds_of(CLOCK_MONOTONIC), processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    steps.wait_s = 0, steps.tokens = 0;
    for (int64_t i = 0; i < count; ++i) steps.one();
    if (device.is_cuda()) wait_for_cuda(device.index());
    std::cout << fmt::format("{} {} {} {:.7f} {} {}", seconds_of(CLOCK_MONOTONIC) - clock,
                             seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor, steps.wait_s, steps.loss, steps.tokens,
                             peak_mb(device))
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace microemo

int main(int count, char** words) {
  try {
    return microemo::run(microemo::read_words({words + 1, words + count}));
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
