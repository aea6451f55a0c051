#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "microemo/base/config.h"
#include "microemo/base/workers.h"
#include "microemo/cli/commands.h"
#include "microemo/data/synth.h"

namespace microemo::cli {
namespace {

struct Words {
  std::string folder, preview;
  std::vector<std::string> files, overrides;
  int workers = 0;
};

int run(const Words& words) {
  data::SynthOptions options;
  load_config(options, {words.files.begin(), words.files.end()}, words.overrides);
  const data::SynthReport report = data::make_synth(words.folder, options, words.workers);
  if (report.stopped) {
    std::printf("stopped after %lld of %lld clips; the same command goes on\n", (long long)(report.made + report.already_there),
                (long long)report.clips);
    return exit_code_resumable;
  }
  std::printf("%lld clips in %s: %lld made, %lld already there\n", (long long)report.clips, words.folder.c_str(),
              (long long)report.made, (long long)report.already_there);
  if (words.preview.empty()) return 0;
  if (stop_requested()) {
    std::printf("stopped before the contact sheet; the same command goes on\n");
    return exit_code_resumable;
  }
  data::write_synth_preview(words.folder, options, words.preview);
  std::printf("contact sheet: %s\n", words.preview.c_str());
  return 0;
}

}  // namespace

void add_synth_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("synth", "Make the synthetic dialogue benchmark: clips, transcripts, manifests");
  command->add_option("OUT", words->folder, "Folder to make; a set that was begun there is finished")->required();
  command->add_option("key=value", words->overrides, "Options, for instance train_clips=40 (see below)");
  command->add_option("--config", words->files, "YAML or JSON file with options; given again, the later file wins")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command->add_option("--preview", words->preview, "Also write a contact sheet of some clips")->type_name("PNG");
  command->add_option("--workers", words->workers, "Threads; 0 takes as many as the machine allows")
      ->check(CLI::NonNegativeNumber);
  command->footer([] {
    data::SynthOptions defaults;
    return "Configuration:\n" + help_text(schema_of(defaults)) +
           "\nExample:\n  microemo synth data/synth train_clips=520 test_clips=120 --preview sheet.png";
  });
  command->callback([words, &status] {
    install_stop_signals();
    status = run(*words);
  });
}

}  // namespace microemo::cli
