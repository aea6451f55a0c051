#include "import_command.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "json_text.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/eval/label_writer.h"
#include "microemo/eval/provenance.h"
#include "microemo/eval/wheel_release.h"
#include "overwritten.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

struct Words {
  std::string source, out;
  bool json = false;
};

std::string releases(const eval::KnownWheelFile& file) {
  return file.releases.empty() ? "no known release" : fmt::format("{}", fmt::join(file.releases, " and "));
}

void print_wheels(const std::vector<eval::KnownWheelFile>& files, const std::string& release) {
  for (const eval::KnownWheelFile& file : files)
    std::printf("%s\n", fmt::format("{:<13} {}  {}", file.name, file.hash, releases(file)).c_str());
  std::printf("%s\n", release.empty() ? "the folder is no known release" : ("all seven files are those of " + release).c_str());
}

Json wheels_json(const std::vector<eval::KnownWheelFile>& files, const std::string& release) {
  Json json = {{"release", release.empty() ? Json(nullptr) : Json(release)}, {"files", Json::array()}};
  for (const eval::KnownWheelFile& file : files)
    json["files"].push_back({{"name", file.name}, {"sha256", file.hash}, {"releases", file.releases}});
  return json;
}

/// Exit code 3 when a file is of no release, so that scripts see it; nothing is copied then.
int import_wheels(const Words& words) {
  const fs::path folder = words.source;
  const auto files = eval::identify_wheel_files(folder);
  const std::string release = eval::release_of(files);
  if (!release.empty() && !words.out.empty())
    for (const eval::KnownWheelFile& file : files)
      write_file_atomic(fs::path(words.out) / ("wheel" + release) / file.name, read_file(folder / file.name));
  if (words.json)
    std::printf("%s\n", json_text(wheels_json(files, release)).c_str());
  else
    print_wheels(files, release);
  return release.empty() ? exit_code(ErrorKind::data) : 0;
}

void import_labels(const Words& words) {
  refuse_to_overwrite("--out", words.out, {words.source});
  const eval::LabelFile file = eval::read_label_file(words.source);
  if (file.names_clusters || !file.splits.empty())
    log_warning("the new file has ids, labels and extractors: dialogues, speakers and splits are not kept");
  eval::write_label_file(words.out, file.items);
  const auto empty = std::ranges::count_if(file.items, [](const auto& item) { return item.labels.empty(); });
  std::printf("%s\n", fmt::format("{} items, {} of them without labels; extractor {}: {}", file.items.size(), empty,
                                  eval::names_of(file.extractors), words.out)
                          .c_str());
}

}  // namespace

void add_import_command(CLI::App& data, int& status) {
  CLI::App* command = data.add_subcommand("import", "Check files of the public benchmarks and take them over");
  command->require_subcommand(1);
  auto words = std::make_shared<Words>();
  CLI::App* wheels = command->add_subcommand(
      "wheels", "MERTools' emotion wheels: hash of every file and the releases that have it; exit code 3 when one is of none");
  wheels->add_option("DIR", words->source, "Folder with wheel1.xlsx to wheel5.xlsx, synonym.xlsx and format.csv")->required();
  wheels->add_option("--out", words->out, "Also copy a known release to DIR/wheel2025 or DIR/wheel2026")->type_name("DIR");
  wheels->add_flag("--json", words->json, "Print JSON");
  wheels->footer("Example:\n  microemo data import wheels MERTools/MER2026/MER2026_Track2/emotion_wheel --out data/wheels");
  wheels->callback([words, &status] { status = import_wheels(*words); });
  CLI::App* labels = command->add_subcommand("labels", "Labels from one form to another: .npz (as -openset.npz), .csv, .jsonl");
  labels->add_option("FILE", words->source, "Labels, in any form that microemo score reads")->required();
  labels->add_option("--out", words->out, "File to write; the end of its name says the form")->required()->type_name("FILE");
  labels->footer("Example:\n  microemo data import labels runs/full/eval/labels.jsonl --out model-openset.npz");
  labels->callback([words] { import_labels(*words); });
}

}  // namespace microemo::cli
