#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "import_command.h"
#include "json_text.h"
#include "microemo/base/error.h"
#include "microemo/cli/commands.h"
#include "microemo/data/check.h"

namespace microemo::cli {
namespace {

constexpr size_t most_labels = 20, most_findings = 50;

struct Words {
  std::vector<std::string> manifests;
  int workers = 0;
  bool json = false, partial = false;

  std::vector<std::filesystem::path> paths() const { return {manifests.begin(), manifests.end()}; }
};

void print(const std::string& line) { std::printf("%s\n", line.c_str()); }

std::string counted(int64_t count, const std::string& noun) { return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s"); }

void print_finding(const data::Finding& finding) {
  print(fmt::format("{}: {}", name_of(finding.severity), finding.message));
  print(fmt::format("  where  {}, line {}{}", finding.manifest.string(), finding.line,
                    finding.id.empty() ? "" : ", clip " + finding.id));
  const bool elsewhere = !finding.place.starts_with(finding.manifest.string());
  if (elsewhere && !finding.place.empty()) print("         " + finding.place);
  if (!finding.next_step.empty()) print("  next   " + finding.next_step);
}

/// Errors stand before warnings where not all are shown.
void print_findings(std::vector<data::Finding> findings) {
  if (findings.size() > most_findings)
    std::stable_partition(findings.begin(), findings.end(),
                          [](const data::Finding& finding) { return finding.severity == data::Severity::error; });
  for (size_t i = 0; i < std::min(findings.size(), most_findings); ++i) print_finding(findings[i]);
  if (findings.size() > most_findings) print(fmt::format("and {} more; --json lists all", findings.size() - most_findings));
}

int check(const Words& words) {
  const data::CheckReport report =
      data::check_manifests(words.paths(), words.workers, words.partial ? data::Partial::allow : data::Partial::refuse);
  if (words.json) {
    print(json_text(to_json(report)));
  } else {
    print_findings(report.findings);
    print(fmt::format("{}: {}, {}", counted(report.lines, "clip"), counted(report.errors(), "error"),
                      counted(report.warnings(), "warning")));
    if (report.stopped) print("stopped before every clip was opened");
  }
  if (report.stopped) return exit_code_resumable;
  return report.errors() > 0 ? exit_code(ErrorKind::data) : 0;
}

void print_counts(const std::string& title, const std::map<std::string, int64_t>& counts) {
  if (counts.empty()) return;
  std::vector<std::pair<std::string, int64_t>> ranked(counts.begin(), counts.end());
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  print(fmt::format("\n{} ({})", title, ranked.size()));
  for (size_t i = 0; i < std::min(ranked.size(), most_labels); ++i)
    print(fmt::format("  {:>7}  {}", ranked[i].second, ranked[i].first));
  if (ranked.size() > most_labels) print(fmt::format("  and {} more; --json lists all", ranked.size() - most_labels));
}

void print_stats(const data::ManifestStats& stats) {
  print(fmt::format("{:<12}{:>8}{:>12}{:>10}{:>12}{:>10}{:>11}{:>12}", "split", "clips", "utterances", "labelled", "identities",
                    "speakers", "dialogues", "speech min"));
  for (const auto& [name, split] : stats.splits)
    print(fmt::format("{:<12}{:>8}{:>12}{:>10}{:>12}{:>10}{:>11}{:>12.1f}", name.empty() ? "(none)" : name, split.clips,
                      split.utterances, split.labelled, split.identities, split.speakers, split.dialogues, split.speech_s / 60));
  print(fmt::format("\n{:.1f} minutes of media by the containers' claim", stats.media_s / 60));
  print(fmt::format("utterances of {:.2f} to {:.2f} s, median {:.2f} s", stats.utterance_min_s, stats.utterance_max_s,
                    stats.utterance_median_s));
  print(fmt::format("{} without sound, {} without a picture", counted(stats.without_sound, "clip"), stats.without_picture));
  if (stats.words_alone > 0) print(fmt::format("{} of words alone", counted(stats.words_alone, "clip")));
  print_counts("pictures", stats.pictures);
  print_counts("codecs", stats.codecs);
  print_counts("labels", stats.labels);
  print_counts("movements", stats.movements);
}

void show_stats(const Words& words) {
  const data::ManifestStats stats = data::manifest_stats(words.paths(), words.workers);
  if (words.json)
    print(json_text(to_json(stats)));
  else
    print_stats(stats);
}

CLI::App* add(CLI::App& parent, const char* name, const char* description, Words& words) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->add_option("MANIFEST", words.manifests, "JSONL manifests; several are looked at together")->required();
  command->add_option("--workers", words.workers, "Threads; 0 takes as many as the machine allows")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--json", words.json, "Print JSON");
  return command;
}

}  // namespace

void add_data_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("data", "Audit manifests, take over public files");
  command->require_subcommand(1);
  CLI::App* checking = add(
      *command, "check",
      "List everything that is wrong with manifests and their clips, with line and remedy; exit code 3 when there is an error",
      *words);
  checking->add_flag("--partial", words->partial,
                     "Files that break off are warnings, for a preparation with prepare.partial=allow");
  checking->footer("Example:\n  microemo data check data/train.jsonl data/test.jsonl")->callback([words, &status] {
    status = check(*words);
  });
  add(*command, "stats", "Count clips, utterances, labels, people and formats", *words)
      ->footer("Example:\n  microemo data stats data/train.jsonl --json")
      ->callback([words] { show_stats(*words); });
  add_import_command(*command, status);
}

}  // namespace microemo::cli
