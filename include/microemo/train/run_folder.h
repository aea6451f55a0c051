#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/base/json.h"

// A run folder holds
//   config.yaml        every value with its origin          config.json    the same, to be read back
//   environment.json   what else decides the result: versions, threads, processor, hashes of manifest and tokenizer
//   tokenizer.model    a copy; a folder tokenizer/ where it is of another kind
//   time_tokenizer/    a copy where the frames' times have a tokenizer of their own
//   metrics.jsonl      one line a step                     tensorboard/   the same for TensorBoard
//   checkpoints/       see checkpoint/folder.h              outcome.json   how the last process ended
// Each checkpoint holds copies of config.json, environment.json and the tokenizers, so that it can be moved alone.

namespace microemo::train {

/// What a run depends on besides its configuration. Everything here has to be the same for a resumed run to give the same bits.
struct RunEnvironment {
  int64_t threads = 1;
  int64_t ranks = 1;  ///< another number goes on with a warning
  std::string device = "cpu";
  std::string manifest_hash, valid_manifest_hash, tokenizer_hash;
  std::vector<std::string> missing_clips;
};

/// {"exact": {…, with the LibTorch version and CPU capability found here}, "microemo": version, "command": words}.
Json environment_json(const RunEnvironment& environment, const std::vector<std::string>& command_line);

/// Files or folders of tokenizers; empty where there is none to copy.
struct RunTokenizers {
  std::filesystem::path decoder, times;
};

/// A hash of all files that decide their ids: that of its contents where it is one file. Throws as text::tokenizer_files does.
std::string hash_of(const RunTokenizers& tokenizers);

/// Where the copy of a tokenizer of that name ("tokenizer", "time_tokenizer") lies in a run or checkpoint; empty when there is
/// none.
std::filesystem::path copied_tokenizer(const std::filesystem::path& run_or_checkpoint, const std::string& name);

/// Refuses a folder that holds a run already (Error(config): resume it or choose another), then writes all of the above but
/// metrics and checkpoints. Throws Error(environment) when it cannot be written.
void start_run_folder(const std::filesystem::path& run, const ResolvedConfig& config, const Json& environment,
                      const RunTokenizers& tokenizers);

/// What differs between a recorded run and the one that would continue it, one text each: values of the configuration that change
/// the result (not: where files lie, what is logged, when is saved) and the exact part of the environment.
std::vector<std::string> differences(const Json& recorded_config, const Json& config, const Json& recorded_environment,
                                     const Json& environment);

/// Makes a run folder ready to be continued: throws Error(config) when there are differences, or, when they are allowed, warns of
/// each and records the new configuration and environment.
void continue_run_folder(const std::filesystem::path& run, const ResolvedConfig& config, const Json& environment,
                         const RunTokenizers& tokenizers, bool allow_change);

/// Copies what describes the run into a checkpoint.
void copy_description(const std::filesystem::path& run, const std::filesystem::path& checkpoint);

/// outcome.json: {"outcome": "finished", "stopped" or "failed", "step", "reason"}.
void write_outcome(const std::filesystem::path& run, const std::string& outcome, int64_t step, const std::string& reason);

}  // namespace microemo::train
