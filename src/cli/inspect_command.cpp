#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/tensor_source.h"
#include "microemo/cli/commands.h"
#include "name_tree.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using checkpoint::TensorEntry;
using checkpoint::TensorSource;

struct Words {
  std::string path, part;
  bool json = false;
};

void print(const std::string& text) { std::printf("%s\n", text.c_str()); }

std::vector<std::string> names_of(const TensorSource& source) {
  std::vector<std::string> names;
  for (const TensorEntry& entry : source.entries()) names.push_back(entry.name);
  return names;
}

/// The names of the sub-dict "model", where the weights of a training state are.
std::vector<std::string> weights_of(const std::vector<std::string>& names) {
  constexpr std::string_view part = "model/";
  std::vector<std::string> weights;
  for (const std::string& name : names)
    if (name.starts_with(part)) weights.push_back(name.substr(part.size()));
  return weights.empty() ? names : weights;
}

/// A public family, or "microemo" with the parts of our model that are there, or nothing.
struct Family {
  std::string name;
  std::vector<std::string> parts;
};

Family family_of(const TensorSource& source) {
  const std::vector<std::string> weights = weights_of(names_of(source));
  if (const checkpoint::KeyFamily* family = checkpoint::detect_family(weights)) return {family->name, {}};
  std::vector<std::string> parts = checkpoint::parts_of_ours(weights);
  return {parts.empty() ? "" : "microemo", std::move(parts)};
}

std::string to_text(const Family& family) {
  if (family.name.empty()) return "names: of no family that can be converted";
  if (family.parts.empty()) return fmt::format("names: {}", family.name);
  return fmt::format("names: {} ({})", family.name, fmt::join(family.parts, ", "));
}

/// What config.json says, or what is wrong with it: a folder of an unknown model can be looked at too.
std::string model_type_of(const fs::path& path, std::string& mistake) {
  const bool our_checkpoint = fs::exists(path / "manifest.json");
  if (!fs::is_directory(path) || !fs::exists(path / "config.json") || our_checkpoint) return {};
  try {
    return checkpoint::read_hf_config(path).model_type;
  } catch (const Error& error) {
    mistake = error.message();
    return {};
  }
}

void print_text(const Words& words, const TensorSource& source) {
  const NameNode tree = name_tree(source.entries());
  std::string mistake;
  const std::string type = model_type_of(words.path, mistake);
  print(fmt::format("{}: {}, {} {}", words.path, source.format(), source.files().size(),
                    source.files().size() == 1 ? "file" : "files"));
  print(fmt::format("{} tensors, {} parameters, {}", tree.tensors, count_text(double(tree.parameters)), bytes_text(tree.bytes)));
  if (!type.empty()) print(fmt::format("config.json: {}", type));
  if (!mistake.empty()) print(fmt::format("config.json: {}", mistake));
  print(to_text(family_of(source)));
  print("\n" + tree_text(tree));
  for (const auto& [key, value] : source.metadata()) print(fmt::format("{} = {}", key, value));
  for (const checkpoint::SkippedValue& skipped : source.skipped())
    print(fmt::format("not read: {} ({})", skipped.path, skipped.global));
}

Json to_json(const Words& words, const TensorSource& source) {
  Json tensors = Json::array(), files = Json::array(), skipped = Json::array();
  int64_t parameters = 0;
  uint64_t bytes = 0;
  for (const TensorEntry& entry : source.entries()) {
    int64_t elements = 1;
    for (const int64_t length : entry.shape) elements *= length;
    parameters += elements;
    bytes += entry.bytes;
    tensors.push_back(
        {{"name", entry.name}, {"dtype", entry.dtype}, {"shape", entry.shape}, {"bytes", entry.bytes}, {"file", entry.file}});
  }
  for (const fs::path& file : source.files()) files.push_back(file.string());
  for (const checkpoint::SkippedValue& value : source.skipped())
    skipped.push_back({{"path", value.path}, {"global", value.global}});
  std::string mistake;
  const std::string type = model_type_of(words.path, mistake);
  const Family family = family_of(source);
  Json json = {{"path", words.path}, {"format", source.format()}, {"files", files}, {"parameters", parameters}, {"bytes", bytes}};
  json["family"] = family.name.empty() ? Json() : Json(family.name);
  if (!family.parts.empty()) json["parts"] = family.parts;
  json["model_type"] = type.empty() ? Json() : Json(type);
  if (!mistake.empty()) json["config_error"] = mistake;
  json["metadata"] = source.metadata();
  json["skipped"] = skipped;
  json["tensors"] = tensors;
  return json;
}

void run(Words words) {
  // Of a run the newest checkpoint that is whole.
  if (fs::is_directory(fs::path(words.path) / "checkpoints")) words.path = checkpoint::find_checkpoint(words.path);
  const TensorSource source(words.path, {.sub_dict = words.part});
  if (words.json)
    print(to_json(words, source).dump(2));
  else
    print_text(words, source);
}

}  // namespace

void add_inspect_command(CLI::App& app, int& /*status*/) {
  auto words = std::make_shared<Words>();
  CLI::App* command =
      app.add_subcommand("inspect", "Show what a checkpoint holds: names, types, shapes and sizes; nothing in it is run");
  command->add_option("PATH", words->path, "A safetensors, .pth or .bin file, or a folder of a model, an adapter or a run")
      ->required()
      ->type_name("");
  command->add_option("--part", words->part, "Only this sub-dict of a .pth, such as model")->type_name("NAME");
  command->add_flag("--json", words->json, "Print JSON, with every tensor");
  command->footer("Examples:\n  microemo inspect models/Llama-2-7b-chat-hf\n  microemo inspect timechat_7b.pth --part model");
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
