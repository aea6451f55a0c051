#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

#include "microemo/base/device.h"
#include "microemo/base/files.h"
#include "microemo/base/freed_memory.h"
#include "microemo/base/hash.h"
#include "microemo/base/lock.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/cli/commands.h"
#include "microemo/parallel/group.h"
#include "microemo/parallel/same.h"
#include "microemo/parallel/side_watch.h"
#include "microemo/train/cost.h"
#include "microemo/train/device.h"
#include "microemo/train/encode_clips.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "microemo/train/run_folder.h"
#include "microemo/train/trainer.h"
#include "out_of_memory.h"
#include "rank_device.h"
#include "time_limit.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* fewer_clips_at_once = "lower train.micro_batch (clips of one forward pass), or the model's size (model.*)";

struct Words {
  std::vector<std::string> arguments;  ///< configuration files, and key=value
  std::string out, resume;
  int64_t stop_after_steps = 0;
  std::string stop_after;
  bool go_on = false, dry_run = false, encode = false, allow_change = false, quiet = false;

  /// Whether it is trained, so that there is a run folder.
  bool trains() const { return !dry_run && !encode; }
};

/// A run as the words ask for it.
struct Plan {
  train::RunOptions options;
  ResolvedConfig config;
  fs::path run;
  fs::path checkpoint;                     ///< to go on from; empty for a new run
  std::unique_ptr<const FolderLock> lock;  ///< of the run; a dry run takes none

  bool resumed() const { return !checkpoint.empty(); }
};

std::vector<std::string> command_line() {
  std::vector<std::string> words;
  const std::string all = read_file("/proc/self/cmdline");
  for (size_t begin = 0; begin < all.size(); begin = all.find('\0', begin) + 1) words.emplace_back(all.c_str() + begin);
  return words;
}

void check_run_folder(const fs::path& run) {
  if (checkpoint::list_checkpoints(run).empty() && checkpoint::find_checkpoint(run) == run)
    throw ConfigError("this is a checkpoint, and a run folder is needed")
        .where(run)
        .hint("name the folder that holds checkpoints/");
}

/// --resume auto is --continue: for a job that is started by the same words again and again.
void settle_resume(Words& words) {
  if (words.resume == "auto") {
    words.go_on = true;
    words.resume.clear();
  } else if (!words.resume.empty() && !words.out.empty()) {
    throw ConfigError("--resume {} names the run folder, and --out {} another one", words.resume, words.out)
        .at("command line")
        .hint("leave out --out, or give --resume auto");
  }
}

Plan make_plan(const Words& words) {
  Plan plan;
  std::vector<fs::path> files;
  std::vector<std::string> overrides;
  for (const std::string& word : words.arguments)
    if (word.find('=') != std::string::npos)
      overrides.push_back(word);
    else
      files.emplace_back(word);
  const std::string out = words.resume.empty() ? words.out : words.resume;
  if (!out.empty()) overrides.push_back("train.out=" + out);
  if (!words.resume.empty()) check_run_folder(words.resume);
  if (!words.resume.empty() && files.empty()) files.emplace_back(fs::path(words.resume) / "config.json");
  plan.config = load_config(plan.options, files, overrides);
  train::check_options(plan.options);
  if (words.encode && plan.options.train.encoder_cache.empty())
    throw ConfigError("there is no folder to encode the clips into").hint("give train.encoder_cache=FOLDER");
  if (plan.options.train.out.empty() && words.trains())
    throw ConfigError("the run has no folder").hint("give --out FOLDER, or set train.out in the configuration");
  plan.run = plan.options.train.out;
  return plan;
}

fs::path checkpoint_to_resume(const Words& words, const fs::path& run, bool go_on) {
  if (!words.resume.empty()) return checkpoint::find_checkpoint(words.resume);
  // Without a run folder it would be that of the current folder.
  if (go_on && !run.empty())
    if (const auto latest = checkpoint::find_latest(run)) return latest->path;
  return {};
}

/// Rank 0 alone holds the folder, and says where the run goes on.
void take_run_folder(Plan& plan, const Words& words, const parallel::LaunchContext& context, parallel::Group& group) {
  std::string found;
  if (group.first()) {
    if (words.trains()) plan.lock = std::make_unique<const FolderLock>(plan.run);
    // Behind the lock: another process would replace what is found here. A launcher that starts the job again means to go on.
    found = checkpoint_to_resume(words, plan.run, words.go_on || context.attempt > 0).string();
    if (!plan.run.empty()) group.publish("run", fs::absolute(plan.run).string());
  }
  plan.checkpoint = group.from_first(found);
}

/// The main thread may be in a call that never returns, so the process ends here. Checkpoints are whole or absent: one that is
/// being written gets a little less time than the launcher's --grace.
void end_by_verdict(const std::string& verdict) {
  constexpr double patience_s = 4;
  const bool written = train::checkpoints_are_written(patience_s);
  const std::string text =
      fmt::format("error (environment): the job was ended: {}{}\n", verdict,
                  written ? "" : "; a checkpoint that was being written is given up, the one before it is whole");
  if (::write(STDERR_FILENO, text.data(), text.size()) >= 0) ::_exit(exit_code(ErrorKind::environment));
  ::_exit(exit_code(ErrorKind::environment));
}

std::shared_ptr<parallel::Group> meet(const parallel::LaunchContext& context, const Plan& plan) {
  if (context.rank > 0) {
    show_progress(false);
    open_log(LogLevel::warning);
  }
  // Gloo writes to connections that a rank which has ended has closed: an error that can be told, and not the end of this one.
  if (context.world > 1) ::signal(SIGPIPE, SIG_IGN);
  const parallel::RankOptions& ranks = plan.options.train.ranks;
  const auto watched = parallel::with_side_watch(context, {"/proc/self/exe", "watch-ranks"}, ranks.start_limit_s);
  return std::make_shared<parallel::Group>(watched, ranks, end_by_verdict);
}

Device settle_device(const train::TrainOptions& options, const parallel::LaunchContext& context) {
  Device device = choose_device(device_of_rank(options.device, context));
  if (!device.cuda || options.device != "auto" || context.local_world == 1) return device;
  throw ConfigError("train.device=auto took {}, and {} ranks of this machine would share it", device.reason, context.local_world)
      .at("train.device")
      .hint("give train.device=cuda for a GPU each, or train.device=cpu");
}

/// Settles threads and how exact a device is, before anything is computed; says why.
train::RunEnvironment prepare_machine(const train::TrainOptions& options, const parallel::LaunchContext& context,
                                      const Device& device) {
  ThreadBudget threads{static_cast<int>(options.threads), "train.threads"};
  if (options.threads == 0) threads = thread_budget();
  if (options.threads == 0) threads.threads = std::max(1, threads.threads / static_cast<int>(context.local_world));
  at::set_num_threads(threads.threads);
  at::globalContext().setDeterministicAlgorithms(options.deterministic, /*warn_only=*/false);
  // cuBLAS sums in an order of its own choice without this workspace.
  if (device.cuda && options.deterministic) ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*replace=*/0);
  log_info(fmt::format("device {} ({}), {} threads ({})", device.cuda ? fmt::format("cuda:{}", device.index) : "cpu",
                       device.reason, threads.threads, threads.reason));
  train::RunEnvironment environment;
  environment.threads = threads.threads;
  environment.ranks = context.world;
  environment.device = device_text(device);
  return environment;
}

void print_cost(const train::StepCost& cost, const train::RunOptions& options) {
  const bool prepared = !options.train.manifest.empty();
  std::printf("one step: %lld %sclips, %lld questions, %.2f GFLOP a clip, %.2f s, %.0f MB of memory\n", (long long)cost.clips,
              prepared ? "" : "made-up ", (long long)cost.rows, cost.flop_per_clip / 1e9, cost.seconds, cost.peak_memory_mb);
  std::printf("%lld steps would take about %s; nothing was written\n", (long long)options.train.steps,
              duration_text(cost.seconds * static_cast<double>(options.train.steps)).c_str());
  if (!prepared)
    std::printf("train.manifest is not set: the clips are patterns of 10 s with %zu utterances\n",
                size_t(std::min<int64_t>(3, options.model.decoder.utterances)));
}

int try_one_step(train::Trainer& trainer, const train::Task& task, const train::RunOptions& options,
                 const parallel::Group& group) {
  const std::vector<model::ClipBatch> batches = task.batches(0);
  const train::StepCost cost = trainer.try_step(batches);
  // Until rank 0 is done the others give what they hold of the weights.
  std::string table;
  if (group.first()) table = train::cost_table(train::cost_of_parts(task, batches));
  if (task.shards && !group.alone()) task.shards->join_passes(/*backward=*/true);
  group.barrier();
  if (!group.first()) return 0;
  std::printf("%s\n\n", table.c_str());
  print_cost(cost, options);
  return 0;
}

int report(const train::RunOutcome& outcome, const Plan& plan, const parallel::Group& group) {
  if (!group.first()) return outcome.finished ? 0 : exit_code_resumable;
  const std::string run = plan.run.string();
  if (outcome.finished) {
    const std::string why =
        outcome.early ? fmt::format("no validation was better than that of step {}", outcome.best_step) : "all steps are done";
    train::write_outcome(plan.run, "finished", outcome.step, why);
    std::printf("finished %lld steps%s: %s\n", (long long)outcome.step, outcome.early ? (", as " + why).c_str() : "",
                outcome.checkpoint.c_str());
    if (plan.options.train.keep_best && outcome.best_step >= 0)
      std::printf("best by validation: %s\n", checkpoint::step_folder(plan.run, outcome.best_step).c_str());
    return 0;
  }
  train::write_outcome(plan.run, "stopped", outcome.step, stop_requested() ? "a signal" : "--stop-after or --stop-after-steps");
  std::printf("stopped after step %lld of %lld, resume with: microemo train --resume %s\n", (long long)outcome.step,
              (long long)plan.options.train.steps, run.c_str());
  return exit_code_resumable;
}

/// Rank 0 of a run records an error of the work; `step` tells how many steps are done then.
template <class Work>
auto recorded(const Plan& plan, const Words& words, const parallel::Group& group, const std::function<int64_t()>& step,
              Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (!group.first() || !words.trains()) throw;
    try {
      train::write_outcome(plan.run, "failed", step(), error.message());
    } catch (const Error&) {
      log_warning("outcome.json could not be written");  // a full disk may be what ended the run: that error is the one to show
    }
    throw;
  }
}

train::RunOutcome run_and_record(train::Trainer& trainer, const Plan& plan, const Words& words, const TimeLimit& limit,
                                 const parallel::Group& group) {
  return recorded(
      plan, words, group, [&] { return trainer.state().step; },
      [&] { return trainer.run(words.stop_after_steps, limit.left_s()); });
}

train::RunTokenizers tokenizers_of(const train::RunOptions& options) {
  return {options.train.tokenizer, options.prompt.time_tokenizer};
}

void open_run(const Plan& plan, const Json& environment, const Words& words, const parallel::Group& group) {
  if (!group.first()) return;
  const train::RunTokenizers tokenizers = tokenizers_of(plan.options);
  if (plan.resumed())
    train::continue_run_folder(plan.run, plan.config, environment, tokenizers, words.allow_change);
  else
    train::start_run_folder(plan.run, plan.config, environment, tokenizers);
  open_log(words.quiet ? LogLevel::warning : LogLevel::info, plan.run / "log.jsonl");
}

std::shared_ptr<const text::Tokenizer> open_tokenizer(const train::TrainOptions& options) {
  if (options.tokenizer.empty())
    throw ConfigError("train.tokenizer is not set").hint("give train.tokenizer=FILE; microemo tokenize --train makes one");
  return std::make_shared<const text::Tokenizer>(options.tokenizer);
}

/// Every rank reads files of its own machine.
void compare_ranks(const parallel::Group& group, const Plan& plan, const train::RunEnvironment& environment) {
  parallel::require_same(group, {{"the configuration", sha256(plan.config.values.dump())},
                                 {"the manifest", environment.manifest_hash},
                                 {"the manifest for validation", environment.valid_manifest_hash},
                                 {"the tokenizer", environment.tokenizer_hash},
                                 {"the version of microemo", MICROEMO_VERSION}});
}

/// Whether frozen encoders run before the first step instead of in the steps.
bool encodes(const Words& words, const train::RunOptions& options) {
  return !options.train.encoder_cache.empty() && !words.dry_run;
}

/// A dry run needs no clips.
std::shared_ptr<train::TrainingData> load_clips(const Words& words, const train::RunOptions& options) {
  return with_memory_for("loading the clips", "train on fewer clips, or prepare fewer frames of them (prepare.*)", [&] {
    const bool made_up = words.dry_run && options.train.manifest.empty();
    return std::make_shared<train::TrainingData>(made_up ? train::pattern_data(options)
                                                         : train::load_training_data(options, !encodes(words, options)));
  });
}

/// Those of the checkpoint to go on from.
int64_t steps_done(const Plan& plan) {
  const auto latest = plan.resumed() ? checkpoint::find_latest(plan.run) : std::nullopt;
  return latest ? latest->step : 0;
}

/// Nothing where the encoders run in the steps.
train::EncodedClips encode(const Words& words, const Plan& plan, train::TrainingData& data,
                           const std::shared_ptr<const text::Tokenizer>& tokenizer, model::MicroEmo& model,
                           const TimeLimit& limit, const at::Device& device, parallel::Group& group) {
  if (plan.options.train.encoder_cache.empty()) return {};
  if (words.dry_run) {
    log_info("train.encoder_cache is set: frozen encoders run in this step, and not in the steps of the run");
    return {};
  }
  const auto work = [&] {
    const auto stops = [&limit] { return stop_requested() || limit.is_over(); };
    return train::encode_clips(plan.options, data, tokenizer, model, plan.checkpoint, device, group, stops);
  };
  return with_memory_for("encoding the clips", "prepare fewer frames of them (prepare.*), or lower the model's size (model.*)",
                         [&] {
                           return recorded(
                               plan, words, group, [&] { return steps_done(plan); }, work);
                         });
}

int report_encoded(const train::EncodedClips& encoded, const Plan& plan, const Words& words, const parallel::Group& group) {
  if (group.first()) {
    if (words.trains())
      train::write_outcome(plan.run, "stopped", steps_done(plan), "a signal or --stop-after, before all clips were encoded");
    std::printf("%s: %lld entries of %lld clips were encoded into %s\n",
                encoded.stopped ? "stopped, the same command goes on" : "finished", (long long)encoded.encoded,
                (long long)encoded.clips, plan.options.train.encoder_cache.c_str());
  }
  return encoded.stopped ? exit_code_resumable : 0;
}

int run(const Words& words) {
  keep_freed_memory();
  const TimeLimit limit(words.stop_after);  // a mistake is told before anything is built
  const parallel::LaunchContext context = parallel::launch_context(parallel::environment_variables());
  Plan plan = make_plan(words);
  const Device device = settle_device(plan.options.train, context);
  const auto group = meet(context, plan);
  if (device.cuda) group->link_gpus(device.index);
  take_run_folder(plan, words, context, *group);
  train::RunEnvironment environment = prepare_machine(plan.options.train, context, device);
  const auto tokenizer = open_tokenizer(plan.options.train);
  const auto data = load_clips(words, plan.options);
  environment.manifest_hash = data->manifest_hash;
  environment.valid_manifest_hash = data->valid_manifest_hash;
  environment.tokenizer_hash = train::hash_of(tokenizers_of(plan.options));
  environment.missing_clips = data->missing;
  compare_ranks(*group, plan, environment);
  const train::Share share{group->rank(), group->world()};
  const auto built = with_memory_for("building the model", "lower the widths and layers of the model (model.*)", [&] {
    return train::build_for_training(plan.options, *tokenizer, {.gpu = device.cuda, .resumed = plan.resumed(), .share = share});
  });
  const auto model = built.model;
  // What refuses the run does so before hours of encoding.
  if (words.trains()) open_run(plan, train::environment_json(environment, command_line()), words, *group);
  const auto encoded = encode(words, plan, *data, tokenizer, *model, limit, train::torch_device(device), *group);
  if (encoded.stopped || words.encode) return report_encoded(encoded, plan, words, *group);
  train::Task task = train::microemo_task(plan.options, data, tokenizer, model, share, train::torch_device(device));
  task.shards = built.shards;
  task.on_host = encoded.kept.not_run;
  if (words.dry_run) {
    train::Trainer trainer(task, plan.options.train, plan.run, {}, group);
    return with_memory_for("trying a step", fewer_clips_at_once,
                           [&] { return try_one_step(trainer, task, plan.options, *group); });
  }
  train::Trainer trainer(task, plan.options.train, plan.run, plan.checkpoint, group);
  if (plan.resumed()) log_info(fmt::format("resumed from {}", plan.checkpoint.string()));
  log_info(fmt::format("{} clips to train on\n{}", data->samples.size(), train::parameter_table(*model)));
  if (const std::string adapters = model->decoder().adapters_text(); !adapters.empty()) log_info(adapters);
  return with_memory_for("training", fewer_clips_at_once,
                         [&] { return report(run_and_record(trainer, plan, words, limit, *group), plan, *group); });
}

}  // namespace

void add_train_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("train", "Train or fine-tune a model; a stopped run continues exactly");
  command->add_option("CONFIG", words->arguments, "YAML or JSON files, read from left to right, and key=value (see below)");
  command->add_option("--out", words->out, "Run folder; the same as train.out=FOLDER");
  command
      ->add_option("--resume", words->resume,
                   "Continue the run in this folder, bit for bit; without CONFIG as it was configured. auto: continue the run in "
                   "--out or train.out if it has a checkpoint, else start it")
      ->type_name("RUN|auto");
  command->add_flag("--continue", words->go_on, "The same as --resume auto");
  command->add_flag("--allow-change", words->allow_change,
                    "Continue though configuration, data or machine changed; every change is named");
  command
      ->add_option("--stop-after", words->stop_after,
                   "Save and stop before so much time of this call is over, such as 90s, 45m, 23h or 2d; exit code 75")
      ->type_name("DURATION");
  command
      ->add_option("--stop-after-steps", words->stop_after_steps, "Save and stop after so many steps of this call, exit code 75")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--dry-run", words->dry_run,
                    "Build everything, try one step, print its time and memory by part, write nothing; without train.manifest on "
                    "made-up clips, so that nothing has to be prepared");
  command
      ->add_flag("--encode", words->encode,
                 "Fill train.encoder_cache with what frozen encoders give for the clips, and end; with microemo launch the ranks "
                 "share the clips")
      ->excludes("--dry-run");
  command->footer([] {
    train::RunOptions defaults;
    return "SIGTERM, SIGUSR1 and Ctrl-C save, stop and exit with code 75.\n\nOptions:\n" + help_text(schema_of(defaults)) +
           "\nExamples:\n"
           "  microemo train train.yaml train.seed=1 model.local.enabled=false --out runs/one\n"
           "  microemo train --resume runs/one\n"
           "  microemo train train.yaml --out runs/one --resume auto\n"
           "  microemo train train.yaml --out runs/one --dry-run\n"
           "  microemo train train.yaml train.encoder_cache=encoded --encode";
  });
  command->callback([&app, words, &status] {
    install_stop_signals();
    settle_resume(*words);
    words->quiet = app.get_option("--quiet")->count() > 0;
    status = run(*words);
  });
}

}  // namespace microemo::cli
