#include "microemo/cli/main.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/write_error.h"
#include "microemo/cli/commands.h"
#include "microemo/cli/shortened_files.h"
#include "out_of_memory.h"

namespace microemo::cli {
namespace {

void add_commands(CLI::App& app, int& status) {
  add_synth_command(app, status);
  add_data_command(app, status);
  add_tokenize_command(app, status);
  add_prepare_command(app, status);
  add_cache_command(app, status);
  add_train_command(app, status);
  add_launch_command(app, status);
  add_eval_command(app, status);
  add_compare_command(app, status);
  add_predict_command(app, status);
  add_extract_command(app, status);
  add_score_command(app, status);
  add_unibench_command(app, status);
  add_generate_command(app, status);
  add_media_command(app, status);
  add_config_command(app, status);
  add_inspect_command(app, status);
  add_convert_command(app, status);
  add_verify_command(app, status);
  add_watch_ranks_command(app, status);
}

/// "microemo media frames": the command that the words lead to.
std::string command_of(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* inner : app.get_subcommands()) name += " " + command_of(*inner);
  return name;
}

/// Wrong words on the command line are the user's configuration, like a wrong key in a file.
Error wrong_words(const CLI::App& app, const std::string& message) {
  return ConfigError("{}", message).at("command line").hint(fmt::format("see {} --help", command_of(app)));
}

/// CLI11 ends a subcommand at "--"; what launch starts begins with a name, and needs no such mark.
std::vector<char*> without_mark_of_launch(int argument_count, char** arguments) {
  std::vector<char*> words(arguments, arguments + argument_count);
  const auto is = [](std::string_view wanted) { return [wanted](const char* word) { return wanted == word; }; };
  const auto launch = std::find_if(words.begin(), words.end(), is("launch"));
  if (const auto mark = std::find_if(launch, words.end(), is("--")); mark != words.end()) words.erase(mark);
  return words;
}

void parse_and_run(CLI::App& app, int argument_count, char** arguments) {
  std::vector<char*> words = without_mark_of_launch(argument_count, arguments);
  try {
    app.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw wrong_words(app, error.what());
    app.exit(error);  // prints help or the version
  }
}

/// A full disk may show itself only when the last of the output is written.
void finish_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  // An earlier part was lost, and with it the reason: ask for it again.
  if (errno == 0 && std::fputc('\n', stdout) != EOF) std::fflush(stdout);
  const int code = errno;
  throw EnvironmentError("the output cannot be written: {}", code != 0 ? std::strerror(code) : "a part of it is lost")
      .at("standard output")
      .hint(step_after(code));
}

}  // namespace

int run(int argument_count, char** arguments) {
  end_with_message_when_a_mapped_file_is_shortened();
  CLI::App app{"MicroEmo: train, fine-tune and evaluate a time-sensitive multimodal LLM for emotion in video dialogue.",
               "microemo"};
  app.set_version_flag("--version", "microemo " MICROEMO_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  bool quiet = false;
  app.add_flag("--quiet", quiet, "No progress and no log lines; errors are still printed");
  int status = 0;
  add_commands(app, status);
  app.parse_complete_callback([&quiet] {
    show_progress(!quiet);
    open_log(quiet ? LogLevel::warning : LogLevel::info);
  });
  try {
    parse_and_run(app, argument_count, arguments);
    finish_output();
    return status;
  } catch (...) {
    return report_current_exception();
  }
}

}  // namespace microemo::cli
