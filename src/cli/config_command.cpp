#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <CLI/CLI.hpp>

#include "microemo/base/config.h"
#include "microemo/base/files.h"
#include "microemo/cli/commands.h"
#include "microemo/data/synth.h"
#include "microemo/train/options.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

struct Words {
  std::string command = "train", output, left, right;
  std::vector<std::string> arguments;  ///< configuration files, and key=value
  bool json = false;
};

/// The configuration of one command, whatever its type.
struct Kind {
  std::function<ResolvedConfig(const std::vector<fs::path>&, const std::vector<std::string>&)> load;
  std::function<std::string()> reference;
};

template <class Options>
Kind kind() {
  return {[](const std::vector<fs::path>& files, const std::vector<std::string>& overrides) {
            Options options;
            ResolvedConfig config = load_config(options, files, overrides);
            if constexpr (std::is_same_v<Options, train::RunOptions>) train::check_options(options);
            return config;
          },
          [] {
            Options defaults;
            return reference_page(schema_of(defaults));
          }};
}

Kind kind_for(const std::string& command) { return command == "synth" ? kind<data::SynthOptions>() : kind<train::RunOptions>(); }

ResolvedConfig load(const Words& words) {
  std::vector<fs::path> files;
  std::vector<std::string> overrides;
  for (const std::string& word : words.arguments)
    if (word.find('=') != std::string::npos)
      overrides.push_back(word);
    else
      files.emplace_back(word);
  return kind_for(words.command).load(files, overrides);
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (!text.ends_with('\n')) std::fputc('\n', stdout);
}

void check(const Words& words) {
  const ResolvedConfig config = load(words);
  int64_t set = 0;
  for (const ConfigEntry& entry : config.entries) set += entry.origin != "default" ? 1 : 0;
  print(fmt::format("the configuration is right: {} keys, {} of them set", config.entries.size(), set));
}

void show(const Words& words) {
  const ResolvedConfig config = load(words);
  print(words.json ? config.values.dump(2) : config.yaml());
}

/// A file, or a run folder with what it recorded.
Json resolved_values(const Words& words, const fs::path& path) {
  return kind_for(words.command).load({fs::is_directory(path) ? path / "config.json" : path}, {}).values;
}

std::string side(const Json& value) { return value.is_null() ? "(no effect)" : value.dump(); }

void show_difference(const Words& words) {
  Json rows = Json::array();
  std::string text;
  for (const ConfigDifference& row : diff_configs(resolved_values(words, words.left), resolved_values(words, words.right))) {
    rows.push_back({{"key", row.key}, {"left", row.left}, {"right", row.right}});
    text += fmt::format("{}: {} -> {}\n", row.key, side(row.left), side(row.right));
  }
  print(words.json ? rows.dump(2) : text.empty() ? "no difference" : text);
}

void write_reference(const Words& words) {
  const std::string page =
      fmt::format("# Configuration of `microemo {}`\n\n{}", words.command, kind_for(words.command).reference());
  if (words.output.empty())
    print(page);
  else
    write_file_atomic(words.output, page);
}

CLI::App* add(CLI::App& parent, const std::string& name, const std::string& description, Words& words) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->add_option("--for", words.command, "The command whose configuration it is: train (also prepare's) or synth")
      ->check(CLI::IsMember({"train", "synth"}))
      ->capture_default_str();
  return command;
}

CLI::App* add_with_config(CLI::App& parent, const std::string& name, const std::string& description, Words& words) {
  CLI::App* command = add(parent, name, description, words);
  command->add_option("CONFIG", words.arguments, "YAML or JSON files, read from left to right, and key=value");
  return command;
}

}  // namespace

void add_config_command(CLI::App& app, int& /*status*/) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("config", "Check, print, compare and document configurations");
  command->require_subcommand(1);
  add_with_config(*command, "check", "Say whether a configuration is right, without running it", *words)
      ->footer("Example:\n  microemo config check train.yaml model.local.enabled=false")
      ->callback([words] { check(*words); });
  CLI::App* shown =
      add_with_config(*command, "print", "Print every value with its origin; the output can be loaded again", *words);
  shown->add_flag("--json", words->json, "Print JSON");
  shown->footer("Example:\n  microemo config print train.yaml train.seed=1")->callback([words] { show(*words); });
  CLI::App* difference = add(*command, "diff", "List the keys whose values differ", *words);
  difference->add_option("LEFT", words->left, "Configuration file or run folder")->required();
  difference->add_option("RIGHT", words->right, "Configuration file or run folder")->required();
  difference->add_flag("--json", words->json, "Print JSON");
  difference->footer("Example:\n  microemo config diff runs/one runs/two")->callback([words] { show_difference(*words); });
  CLI::App* reference = add(*command, "reference", "Write a page with every key: type, default, limits, meaning", *words);
  reference->add_option("--output", words->output, "File to write (Markdown); standard output without it");
  reference->footer("Example:\n  microemo config reference --output docs/configuration.md")->callback([words] {
    write_reference(*words);
  });
}

}  // namespace microemo::cli
