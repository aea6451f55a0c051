#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/data/prepared.h"
#include "microemo/data/sample.h"
#include "microemo/model/options.h"
#include "microemo/parallel/options.h"

namespace microemo::train {

enum class Schedule { cosine, linear, constant, lavis };
constexpr auto names_of(Schedule) {
  return std::array{std::pair{Schedule::cosine, "cosine"}, std::pair{Schedule::linear, "linear"},
                    std::pair{Schedule::constant, "constant"}, std::pair{Schedule::lavis, "lavis"}};
}

/// What a term of the loss is divided by.
enum class Normalise {
  tokens,       ///< its count over all micro-batches of the step: how the step is cut does not matter
  micro_batch,  ///< its count in the micro-batch, and the number of micro-batches
  sum,          ///< its count in the micro-batch alone
};
constexpr auto names_of(Normalise) {
  return std::array{std::pair{Normalise::tokens, "tokens"}, std::pair{Normalise::micro_batch, "micro_batch"},
                    std::pair{Normalise::sum, "sum"}};
}

/// Which parameters of two and more dimensions have no weight decay.
enum class DecayRule { patterns, lavis };
constexpr auto names_of(DecayRule) {
  return std::array{std::pair{DecayRule::patterns, "patterns"}, std::pair{DecayRule::lavis, "lavis"}};
}

/// The schedule of LAVIS' runner, as TimeChat, Video-LLaMA and AffectGPT take it. An iteration is one forward pass of the public
/// code; several make one step.
struct LavisOptions {
  int64_t iterations_per_epoch = 1000, iterations_per_step = 1, first_epoch = 0;
  double warmup_rate = 1e-6, lowest_rate = 1e-5;
};
template <class Visitor>
void describe(Visitor& option, LavisOptions& o) {
  option("iterations_per_epoch", o.iterations_per_epoch, "Iterations of an epoch; a multiple of iterations_per_step.")
      .min(1)
      .max(1e9);
  option("iterations_per_step", o.iterations_per_step, "Iterations whose gradients one step adds up (accum_grad_iters).")
      .min(1)
      .max(1 << 16);
  option("first_epoch", o.first_epoch,
         "Number of the first epoch: 0, or 1 as in AffectGPT, whose warm-up is then left out when it is no longer than an epoch, "
         "and whose cosine runs an epoch too far.")
      .min(0)
      .max(1);
  option("warmup_rate", o.warmup_rate, "Learning rate at the start of the warm-up.").min(0);
  option("lowest_rate", o.lowest_rate, "Learning rate at the end.").min(0);
}

/// How matrices that are not trained are kept (nn/frozen_weight.h).
enum class FrozenChoice { automatic, fp32, bf16, int8, nf4 };
constexpr auto names_of(FrozenChoice) {
  return std::array{std::pair{FrozenChoice::automatic, "auto"}, std::pair{FrozenChoice::fp32, "fp32"},
                    std::pair{FrozenChoice::bf16, "bf16"}, std::pair{FrozenChoice::int8, "int8"},
                    std::pair{FrozenChoice::nf4, "nf4"}};
}

/// The type in which the decoder and the picture encoder compute.
enum class ComputeType { automatic, fp32, bf16 };
constexpr auto names_of(ComputeType) {
  return std::array{std::pair{ComputeType::automatic, "auto"}, std::pair{ComputeType::fp32, "fp32"},
                    std::pair{ComputeType::bf16, "bf16"}};
}

/// What happens when a loss or gradient is not finite.
enum class NonFinite { stop, skip };
constexpr auto names_of(NonFinite) { return std::array{std::pair{NonFinite::stop, "stop"}, std::pair{NonFinite::skip, "skip"}}; }

struct TrainOptions {
  std::string manifest, split = "train", valid_manifest, valid_split = "valid", cache, encoder_cache, tokenizer, out;
  int64_t seed = 0, steps = 1000, batch = 16, micro_batch = 0, length_buckets = 1, questions_per_clip = 0;
  double learning_rate = 1.5e-3, beta1 = 0.9, beta2 = 0.98, epsilon = 1e-8, weight_decay = 0.05;
  int64_t warmup_steps = 50;
  Schedule schedule = Schedule::cosine;
  LavisOptions lavis;
  Normalise normalise = Normalise::tokens;
  DecayRule decay_rule = DecayRule::patterns;
  double final_fraction = 0.0, clip_norm = 1.0;
  std::vector<std::string> init_from, trainable = {"*"}, frozen, rate_factors;
  std::vector<std::string> no_decay = {"*embedding*", "*queries*", "*position*", "*tokens.weight", "*utterances.weight"};
  int64_t log_every = 1, valid_every = 0, save_every = 500;
  double save_minutes = 30;
  int64_t keep_last = 2, threads = 1;
  std::string device = "auto", recompute = "auto";
  FrozenChoice frozen_dtype = FrozenChoice::automatic;
  ComputeType compute_dtype = ComputeType::automatic;
  NonFinite non_finite = NonFinite::stop;
  bool deterministic = false, graphs = false, keep_best = false, valid_ema = false;
  double ema = 0;
  std::string best_metric = "valid_loss";
  int64_t patience = 0, valid_answers = 0, valid_tokens = 64;
  std::string valid_wheel;
  bool allow_missing = false, init_partial = false;
  data::AugmentOptions augment;
  parallel::RankOptions ranks;
};

/// AdamW and its learning rate.
template <class Visitor>
void describe_optimizer(Visitor& option, TrainOptions& o) {
  option("learning_rate", o.learning_rate, "Highest learning rate of AdamW.").above(0);
  option("beta1", o.beta1, "Decay of the mean of gradients.").min(0).below(1);
  option("beta2", o.beta2, "Decay of the mean of squared gradients.").min(0).below(1);
  option("epsilon", o.epsilon, "Added to the root of the mean of squared gradients.").above(0);
  option("weight_decay", o.weight_decay, "Decoupled weight decay of matrices; vectors and no_decay have none.").min(0);
  option(
      "decay_rule", o.decay_rule,
      "Which matrices have no weight decay. patterns: those of no_decay; lavis: those with 'bias', 'ln' or 'bn' in their names, "
      "so that tables, queries and adapters have it.")
      .only_if(o.weight_decay > 0, "train.weight_decay is above 0");
  option("no_decay", o.no_decay, "Patterns (* and ?) of parameter names without weight decay, such as tables.")
      .only_if(o.weight_decay > 0, "train.weight_decay is above 0")
      .only_if(o.decay_rule == DecayRule::patterns, "train.decay_rule is patterns");
  option("warmup_steps", o.warmup_steps,
         "The learning rate rises linearly over so many steps; with the schedule lavis over so many iterations.")
      .min(0)
      .max(1e9);
  option(
      "schedule", o.schedule,
      "How the learning rate falls after the warm-up. lavis: as the public code of TimeChat, Video-LLaMA and AffectGPT has it, "
      "where the warm-up begins again in every epoch and the cosine is not shifted by it.");
  option("lavis", o.lavis, "The schedule lavis.").only_if(o.schedule == Schedule::lavis, "train.schedule is lavis");
  option("final_fraction", o.final_fraction, "Part of the learning rate that is left at the end.")
      .min(0)
      .max(1)
      .only_if(o.schedule == Schedule::cosine || o.schedule == Schedule::linear, "train.schedule is cosine or linear");
  option("rate_factors", o.rate_factors,
         "PATTERN=FACTOR: parameters of these names (* and ?) learn at FACTOR times the rate; the first that matches counts.");
  option("non_finite", o.non_finite,
         "A loss or gradient that is not finite: stop names step, clips and parameters; skip warns of them and leaves the "
         "weights as they were, and stops "
         "after 10 such steps in a row.");
  option("ema", o.ema,
         "Decay of an exponential moving average of the trained weights, such as 0.999, which is saved beside them; 0: none.")
      .min(0)
      .below(1);
  option("clip_norm", o.clip_norm, "Longer gradients are cut to this norm (over all parameters); 0 leaves them.").min(0);
}

template <class Visitor>
void describe_saving(Visitor& option, TrainOptions& o) {
  option("log_every", o.log_every, "Steps between two lines of metrics.jsonl.").min(1).max(1e9);
  option("valid_every", o.valid_every, "Steps between two validations; 0 never validates.").min(0).max(1e9);
  option(
      "valid_answers", o.valid_answers,
      "Clips of a validation whose questions are answered, greedily, and scored as microemo eval scores them: valid_wheel_f. The "
      "first so many; 0: none.")
      .min(0)
      .max(1e9)
      .only_if(o.valid_every > 0, "train.valid_every is above 0");
  const std::string answered = "train.valid_answers is above 0";
  option("valid_tokens", o.valid_tokens, "Tokens after which such an answer is cut.")
      .min(1)
      .max(1 << 20)
      .only_if(o.valid_answers > 0, answered);
  option("valid_wheel", o.valid_wheel, "Emotion wheel of valid_wheel_f, as for microemo eval; empty takes the own one.")
      .only_if(o.valid_answers > 0, answered);
  option("valid_ema", o.valid_ema, "Validate with the averaged weights.")
      .only_if(o.valid_every > 0, "train.valid_every is above 0")
      .only_if(o.ema > 0, "train.ema is above 0");
  option("best_metric", o.best_metric,
         "What makes a validation better than another: valid_loss (of answers) and valid_TERM_loss of the other terms are lowest "
         "at their best, valid_movement_accuracy and valid_wheel_f (train.valid_answers) highest.")
      .only_if(o.patience > 0 || o.keep_best, "train.patience is above 0 or train.keep_best is true");
  option("patience", o.patience,
         "The training ends after so many validations in a row that are no better than the best; 0: never.")
      .min(0)
      .max(1e9)
      .only_if(o.valid_every > 0, "train.valid_every is above 0");
  option("keep_best", o.keep_best, "Save at every validation that is better than all before, and keep that checkpoint.")
      .only_if(o.valid_every > 0, "train.valid_every is above 0");
  option("save_every", o.save_every, "Steps between two checkpoints; 0 saves by time and at the end alone.").min(0).max(1e9);
  option("save_minutes", o.save_minutes, "Minutes between two checkpoints; 0 saves by steps and at the end alone.")
      .min(0)
      .max(1e6);
  option("keep_last", o.keep_last, "Checkpoints that are kept; 0 keeps all.").min(0).max(1e6);
}

template <class Visitor>
void describe_machine(Visitor& option, TrainOptions& o) {
  option("threads", o.threads, "Threads of a matrix product; 0 takes what the machine grants. Results depend on it.")
      .min(0)
      .max(256);
  option("device", o.device, "auto, cpu, cuda or cuda:N.");
  option("deterministic", o.deterministic,
         "Refuse operations without a fixed order, and write a hash of the trained weights into every line of metrics.jsonl.");
  option("compute_dtype", o.compute_dtype,
         "What the decoder and the picture encoder compute in; weights that are trained stay fp32 and are rounded where they are "
         "used. auto: bf16 on a GPU, fp32 on a CPU, where bf16 is slower.");
  option("graphs", o.graphs,
         "Record the work of frozen encoders of frames, faces and pieces of sound on a GPU and replay it for the same number of "
         "them (CUDA graphs). Without effect on a CPU.");
  option("frozen_dtype", o.frozen_dtype,
         "How matrices that are not trained are kept: fp32, bf16, or those of the decoder's blocks in int8 or nf4 as "
         "bitsandbytes has them; auto is bf16 on a "
         "GPU and fp32 on a CPU. A choice that no matrix is left for is an error.");
  option(
      "recompute", o.recompute,
      "What is computed again in backward instead of kept: none, all, numbers of decoder blocks such as 0,2,5-9, with "
      "pictures for the ViT of whole frames, and image_qformer, video_qformer, audio_qformer and faces, or layers of these such "
      "as video_qformer.0-1; or auto, which takes as much of blocks and pictures as memory asks for. Results are the same to the "
      "bit.");
}

template <class Visitor>
void describe(Visitor& option, TrainOptions& o) {
  option("manifest", o.manifest, "Manifest of the clips to train on (JSONL).");
  option("split", o.split, "Train on the clips of this split; empty takes all. A manifest without any split is taken whole.");
  option("valid_manifest", o.valid_manifest, "Manifest of the clips to validate on; empty takes that of training.")
      .only_if(o.valid_every > 0, "train.valid_every is above 0");
  option("valid_split", o.valid_split, "Validate on the clips of this split.")
      .only_if(o.valid_every > 0, "train.valid_every is above 0");
  option("cache", o.cache, "Folder of prepared features, as microemo prepare wrote it.");
  option(
      "encoder_cache", o.encoder_cache,
      "Folder for what frozen encoders of frames (with the image Q-Former, where that is frozen too) and of pieces of sound give "
      "for each clip: they run once for each, before the first step, and not in the steps. Runs with the same encoders share "
      "it. Empty: they run in every step.");
  option("tokenizer", o.tokenizer, "SentencePiece model.");
  option("out", o.out, "Run folder: configuration, metrics, checkpoints.");
  option("init_from", o.init_from,
         "Run or checkpoint folders, or public files and folders of weights, that are the start, the later ones over the "
         "earlier; what "
         "none holds is drawn from the seed.");
  option("init_partial", o.init_partial,
         "Accept that a run of init_from lacks parameters (they stay as they are), and that it or a public file has others (they "
         "are left aside).")
      .only_if(!o.init_from.empty(), "train.init_from is set");
  option("seed", o.seed, "Seed of weights, data order and augmentation.").min(0);
  option("steps", o.steps, "Updates of the weights.").min(1).max(1e9);
  option("batch", o.batch, "Clips of one update.").min(1).max(1 << 16);
  option("micro_batch", o.micro_batch,
         "Clips of one forward pass; gradients add up to the whole batch. 0 takes the batch at once.")
      .min(0)
      .max(1 << 16);
  option(
      "length_buckets", o.length_buckets,
      "Clips of similar length stand in one step, so that less is padded: those of so many steps are sorted by length and dealt "
      "out, in an order that is drawn. 1: clips come as they are drawn.")
      .min(1)
      .max(8);
  option("normalise", o.normalise,
         "What the loss is divided by. tokens: the label tokens of the whole step, however it is cut; micro_batch: those of each "
         "micro-batch, whose means are averaged; sum: the means are added, as LAVIS' runner does, which does not divide what it "
         "accumulates.");
  option("questions_per_clip", o.questions_per_clip, "Utterances of a clip that are asked about in a step; 0 asks about all.")
      .min(0)
      .max(1 << 16);
  describe_optimizer(option, o);
  option("trainable", o.trainable, "Patterns (* and ?) of parameter names that are trained.");
  option("frozen", o.frozen, "Patterns of those that are not, though trainable names them.");
  describe_saving(option, o);
  describe_machine(option, o);
  option("allow_missing", o.allow_missing, "Leave out clips that are not in the cache, and list them, instead of stopping.");
  option("augment", o.augment, "Random changes of the training clips.");
  option("ranks", o.ranks, "Several processes that train together (docs/parallel.md); without effect for one.");
}

/// Everything that decides a run: what its configuration file holds.
struct RunOptions {
  TrainOptions train;
  data::PrepareOptions prepare;
  data::PromptOptions prompt;
  model::ModelOptions model;
};
template <class Visitor>
void describe(Visitor& option, RunOptions& o) {
  option("train", o.train, "Data, optimizer, schedule and checkpoints.")
      .only_if("augment", o.model.visual.enabled, "model.visual.enabled is true")
      .only_if("valid_every", o.model.alignment.answer > 0, "model.alignment.answer is above 0")
      .only_if("augment.face_shift", o.model.local.enabled, "model.local.enabled is true");
  option("prepare", o.prepare, "What was taken from the clips; has to be that of microemo prepare.");
  option("prompt", o.prompt, "How a row of the decoder is written.")
      .only_if("time_tokenizer", o.model.visual.enabled && o.model.image_qformer.timestamp_text,
               "model.image_qformer.timestamp_text is true")
      .only_if("time_special", o.model.visual.enabled && o.model.image_qformer.timestamp_text,
               "model.image_qformer.timestamp_text is true");
  option("model", o.model, "The model.");
}

/// What no single key can say: the face windows have to tile the clip, parts have to fit each other, rows and what is prepared.
/// Throws Error(config). Needs no data and no memory for weights; `train` and `config check` ask it.
void check_options(const RunOptions& options);

}  // namespace microemo::train
