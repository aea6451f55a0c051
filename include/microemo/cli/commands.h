#pragma once

namespace CLI {
class App;
}

namespace microemo::cli {

/// Each adds one command to the program, with its options, help and examples, and the callback that runs it. A callback prints results to standard output
/// (JSON alone with --json), lets microemo::Error through, and sets `status` when it ends other than by success (75: stopped, can be resumed).
void add_cache_command(CLI::App& app, int& status);
void add_compare_command(CLI::App& app, int& status);
void add_config_command(CLI::App& app, int& status);
void add_convert_command(CLI::App& app, int& status);
void add_data_command(CLI::App& app, int& status);
void add_eval_command(CLI::App& app, int& status);
void add_generate_command(CLI::App& app, int& status);
void add_inspect_command(CLI::App& app, int& status);
void add_launch_command(CLI::App& app, int& status);
void add_media_command(CLI::App& app, int& status);
void add_predict_command(CLI::App& app, int& status);
void add_prepare_command(CLI::App& app, int& status);
void add_score_command(CLI::App& app, int& status);
void add_extract_command(CLI::App& app, int& status);
void add_synth_command(CLI::App& app, int& status);
void add_tokenize_command(CLI::App& app, int& status);
void add_train_command(CLI::App& app, int& status);
void add_unibench_command(CLI::App& app, int& status);
void add_verify_command(CLI::App& app, int& status);
/// For rank 0 of a training, which starts it: not in the help.
void add_watch_ranks_command(CLI::App& app, int& status);

}  // namespace microemo::cli
