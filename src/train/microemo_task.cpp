#include "microemo/train/microemo_task.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <optional>
#include <utility>

#include "answer_scores.h"
#include "microemo/base/device.h"
#include "microemo/base/log.h"
#include "microemo/eval/wheel.h"
#include "microemo/model/vit.h"
#include "microemo/nn/loss.h"
#include "microemo/train/fit.h"
#include "microemo/train/optimizer.h"

namespace microemo::train {
namespace {

double counted(const at::Tensor& labels) { return labels.ne(nn::ignored_label).sum().item<double>(); }

double movement_count(const at::Tensor& labels_BN, double none_weight) {
  const double moving = labels_BN.gt(0).sum().item<double>();
  return moving + none_weight * (counted(labels_BN) - moving);
}

/// Seconds, or letters where the words are all that there is.
std::vector<double> lengths_of(const std::vector<data::Sample>& samples) {
  std::vector<double> lengths;
  for (const data::Sample& sample : samples) {
    size_t letters = 0;
    for (const data::Utterance& utterance : sample.clip.utterances) letters += utterance.text.size();
    lengths.push_back(sample.clip.video.empty() ? static_cast<double>(letters) : sample.prepared.duration_s);
  }
  return lengths;
}

/// A clip of a step. A step of more clips than there are, or at the end of an epoch, has some of them again.
struct DrawnClip {
  int64_t clip = 0, repeat = 0;
};

/// The same clip, for which questions and augmentation are drawn as for a sample of its own.
data::Sample repeated(data::Sample sample, int64_t repeat) {
  constexpr int64_t most_clips = int64_t{1} << 40;
  sample.index += repeat * most_clips;
  return sample;
}

/// Lays out the batches of steps; holds what they are made of.
struct BatchSource {
  std::shared_ptr<const TrainingData> data;
  data::BatchBuilder builder;
  TrainOptions options;
  Share share = {};
  std::vector<double> lengths = {};  ///< of the clips to train on
  /// The first step, laid out to choose what is recomputed, until it is asked for.
  mutable std::optional<std::vector<model::ClipBatch>> first_step = {};

  uint64_t seed() const { return static_cast<uint64_t>(options.seed); }

  /// `places` are those of the micro-batch among the clips of the step.
  model::ClipBatch build(const std::vector<int64_t>& clips, const std::vector<int64_t>& places, int64_t step) const {
    std::vector<const data::Sample*> chosen;
    std::vector<data::Question> questions;
    std::vector<DrawnClip> drawn;
    std::deque<data::Sample> again;
    for (const int64_t place : places) {
      const int64_t clip = clips[static_cast<size_t>(place)];
      drawn.push_back({clip, std::count(clips.begin(), clips.begin() + place, clip)});
      const data::Sample& first = data->samples[static_cast<size_t>(clip)];
      const data::Sample& sample = drawn.back().repeat == 0 ? first : again.emplace_back(repeated(first, drawn.back().repeat));
      for (const int64_t utterance :
           questions_of_step(seed(), step, sample.index, trainable_questions(sample.clip), options.questions_per_clip))
        questions.push_back({static_cast<int64_t>(chosen.size()), utterance});
      chosen.push_back(&sample);
    }
    model::ClipBatch batch =
        builder.build(chosen, questions, data::Purpose::train, options.augment, augmentation_draw(seed(), step));
    add_dropout_keys(batch, drawn, questions, step);
    return batch;
  }

  void add_dropout_keys(model::ClipBatch& batch, const std::vector<DrawnClip>& clips,
                        const std::vector<data::Question>& questions, int64_t step) const {
    const auto key = [&](const DrawnClip& drawn, int64_t utterance) {
      return nn::dropout_key(seed(), {uint64_t(step), uint64_t(drawn.clip), uint64_t(drawn.repeat), uint64_t(utterance)});
    };
    std::vector<uint64_t> clip_keys, row_keys;
    for (const DrawnClip& drawn : clips) clip_keys.push_back(key(drawn, -1));
    for (const data::Question& question : questions) row_keys.push_back(key(clips[size_t(question.sample)], question.utterance));
    batch.clip_keys = nn::DropoutKeys(std::move(clip_keys));
    batch.row_keys = nn::DropoutKeys(std::move(row_keys));
  }

  const std::vector<model::ClipBatch>& keep_first_step() const {
    if (!first_step) first_step = step(0);
    return *first_step;
  }

  std::vector<model::ClipBatch> step(int64_t step) const {
    if (auto kept = std::exchange(first_step, std::nullopt); step == 0 && kept) return *std::move(kept);
    const auto clips = bucketed_clips_of_step(seed(), lengths, options.batch, options.length_buckets, step);
    std::vector<int64_t> places(clips.size());
    std::iota(places.begin(), places.end(), int64_t{0});
    std::vector<model::ClipBatch> batches;
    for (const auto& piece : cut(share_of(places, share), options.micro_batch)) batches.push_back(build(clips, piece, step));
    return batches;
  }

  int64_t validation_size() const { return options.micro_batch > 0 ? options.micro_batch : options.batch; }

  model::ClipBatch validation(int64_t index) const {
    std::vector<const data::Sample*> chosen;
    std::vector<data::Question> questions;
    const auto count = static_cast<int64_t>(data->validation.size());
    for (int64_t i = index * validation_size(); i < std::min(count, (index + 1) * validation_size()); ++i) {
      chosen.push_back(&data->validation[static_cast<size_t>(i)]);
      for (const int64_t utterance : trainable_questions(chosen.back()->clip))
        questions.push_back({static_cast<int64_t>(chosen.size()) - 1, utterance});
    }
    return builder.build(chosen, questions, data::Purpose::train, {}, 0);
  }
};

/// Scores of answers to the first clips of the validation.
std::function<std::vector<std::pair<double, double>>(int64_t, int64_t)> answering(const std::shared_ptr<BatchSource>& source,
                                                                                  const std::shared_ptr<model::MicroEmo>& model,
                                                                                  const TrainOptions& options) {
  const auto wheel = std::make_shared<const eval::EmotionWheel>(
      eval::load_wheel(options.valid_wheel.empty() ? eval::own_wheel_path() : std::filesystem::path(options.valid_wheel)));
  const auto& all = source->data->validation;
  const auto count = std::min(all.size(), static_cast<size_t>(options.valid_answers));
  const auto clips =
      std::make_shared<const std::vector<data::Sample>>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
  return [=, most = options.valid_tokens](int64_t rank, int64_t world) {
    return answer_scores(*model, source->builder, *clips, *wheel, most, rank, world);
  };
}

/// What a step may fill: on a GPU what is free there, less what the weights and their states will take, of which frozen ones are
/// counted as 16 bits.
double room_on(const at::Device& device, const torch::nn::Module& module) {
  if (!device.is_cuda()) return available_memory();
  constexpr double with_gradient_and_states = 4 * 4, frozen = 2;
  const CudaSupport cuda = cuda_support(device.index());
  double room = static_cast<double>(cuda.devices.at(static_cast<size_t>(device.index())).free_bytes);
  for (const at::Tensor& parameter : module.parameters())
    room -= static_cast<double>(parameter.numel()) * (parameter.requires_grad() ? with_gradient_and_states : frozen);
  return std::max(1.0, room);
}

/// The first step stands for all of them, with a margin.
void choose_recomputed(const RunOptions& options, const BatchSource& source, model::MicroEmo& model, const at::Device& device) {
  constexpr double margin = 1.5, part_of_memory = 0.7;
  int64_t tokens = 0, pictures = 0;
  if (options.train.recompute == "auto")
    for (const model::ClipBatch& batch : source.keep_first_step()) {
      tokens = std::max(tokens, batch.lengths_R.sum().item<int64_t>());
      if (batch.frames_BTCHW.defined()) pictures = std::max(pictures, batch.frames_BTCHW.size(0) * batch.frames_BTCHW.size(1));
    }
  model::Decoder& decoder = model.decoder();
  KeptBytes kept{.block = kept_by_block(options.model.decoder, int64_t(margin * double(tokens)))};
  if (model.visual_encoder() && learns(*model.visual_encoder()))
    kept.pictures = kept_by_pictures(model.visual_encoder()->shape(), int64_t(margin * double(pictures)));
  const Recomputed chosen = recomputed_parts(options.train.recompute, decoder.layers(), kept,
                                             part_of_memory * room_on(device, model), model.recomputable());
  const auto count = std::count(chosen.blocks.begin(), chosen.blocks.end(), true);
  if (count > 0 || chosen.pictures)
    log_info(fmt::format("computed again in backward: {} of {} decoder blocks{}", count, chosen.blocks.size(),
                         chosen.pictures ? ", and the picture encoder's" : ""));
  for (const auto& [part, layers] : chosen.layers) model.recompute_layers(part, layers);
  decoder.recompute_blocks(chosen.blocks);
  if (model.visual_encoder()) model.visual_encoder()->recompute_blocks(chosen.pictures);
}

}  // namespace

std::vector<int64_t> trainable_questions(const data::Clip& clip) {
  std::vector<int64_t> questions;
  for (size_t i = 0; i < clip.utterances.size(); ++i)
    if (!data::answer_text(clip.utterances[i]).empty()) questions.push_back(static_cast<int64_t>(i));
  return questions;
}

TermCounts count_terms(const model::ClipBatch& batch, const model::ModelOptions& options) {
  const model::AlignmentLossOptions& alignment = options.alignment;
  TermCounts counts;
  if (alignment.answer > 0) counts["answer"] = counted(batch.labels_RL);
  const bool picture = options.visual.enabled, sound = options.audio.enabled;
  if (alignment.movement > 0 && picture && batch.movement_BN.defined())
    counts["movement"] = movement_count(options.local.enabled ? batch.movement_BN : batch.movement_BT, alignment.none_weight);
  if (alignment.window_movement > 0 && picture && batch.window_movement_BW.defined())
    counts["window_movement"] = counted(batch.window_movement_BW);
  if (alignment.window_voice > 0 && sound && batch.window_voice_BW.defined())
    counts["window_voice"] = counted(batch.window_voice_BW);
  return counts;
}

Task microemo_task(const RunOptions& options, std::shared_ptr<const TrainingData> data,
                   std::shared_ptr<const text::Tokenizer> tokenizer, std::shared_ptr<model::MicroEmo> model, Share share,
                   const at::Device& device) {
  auto source = std::make_shared<BatchSource>(
      BatchSource{data, data::BatchBuilder(std::move(tokenizer), options.model, options.prepare, options.prompt), options.train,
                  share, lengths_of(data->samples)});
  select_trainable(*model, options.train);
  choose_recomputed(options, *source, *model, device);
  if (const auto type = compute_type(options.train.compute_dtype, device)) model->compute_in(*type);
  if (options.train.graphs) model->replay_shapes();
  const auto clips = static_cast<int64_t>(data->validation.size()), size = source->validation_size();
  Task task{
      .module = model,
      .batches = [source](int64_t step) { return source->step(step); },
      .loss = [model](const model::ClipBatch& batch) { return model->forward(model::on_device(batch, model->device())); },
      .counts = [model_options = options.model](const model::ClipBatch& batch) { return count_terms(batch, model_options); },
      .validation_batches = (clips + size - 1) / size,
      .validation_batch = [source](int64_t index) { return source->validation(index); },
      .normalise = options.train.normalise,
      .device = device,
      .terms = {"answer", "movement", "window_movement", "window_voice"}};
  if (options.train.valid_answers > 0) task.answer_scores = answering(source, model, options.train);
  return task;
}

}  // namespace microemo::train
