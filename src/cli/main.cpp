#include "microemo/cli/main.h"

#include <cstdio>

#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/cli/commands.h"
#include "microemo/cli/shortened_files.h"

namespace microemo::cli {
namespace {

void add_commands(CLI::App& app, int& status) {
  add_synth_command(app, status);
  add_data_command(app, status);
  add_tokenize_command(app, status);
  add_prepare_command(app, status);
  add_train_command(app, status);
  add_eval_command(app, status);
  add_predict_command(app, status);
  add_score_command(app, status);
  add_media_command(app, status);
  add_config_command(app, status);
  add_inspect_command(app, status);
  add_convert_command(app, status);
  add_verify_command(app, status);
}

/// Wrong words on the command line are the user's configuration: exit code 2, like a wrong key in a file.
int parse_and_run(CLI::App& app, int argument_count, char** arguments) {
  try {
    app.parse(argument_count, arguments);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_code(ErrorKind::config);
  }
}

int report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return exit_code(error.kind());
}

}  // namespace

int run(int argument_count, char** arguments) {
  end_with_message_when_a_mapped_file_is_shortened();
  CLI::App app{"MicroEmo: train, fine-tune and evaluate a time-sensitive multimodal LLM for emotion in video dialogue.", "microemo"};
  app.set_version_flag("--version", "microemo " MICROEMO_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  bool quiet = false;
  app.add_flag("--quiet", quiet, "No progress and no log lines; errors are still printed");
  int status = 0;
  add_commands(app, status);
  app.parse_complete_callback([&quiet] {
    install_stop_signals();
    show_progress(!quiet);
    open_log(quiet ? LogLevel::warning : LogLevel::info);
  });
  try {
    const int parsed = parse_and_run(app, argument_count, arguments);
    return parsed != 0 ? parsed : status;
  } catch (const Error& error) {
    return report(error);
  } catch (const std::exception& error) {
    return report(InternalError("{}", error.what()).hint("this is a bug in MicroEmo: please report it with the command"));
  }
}

}  // namespace microemo::cli
