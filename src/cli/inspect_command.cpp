#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/finite.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/meta_llama.h"
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
  bool json = false, check_finite = false;
};

void print(const std::string& text) { std::printf("%s\n", text.c_str()); }

/// What can be said of a path, whatever its form.
struct Contents {
  std::string format;
  std::vector<fs::path> files;
  std::vector<TensorEntry> tensors;
  std::map<std::string, std::string> metadata = {};
  std::vector<checkpoint::SkippedValue> skipped = {};
};

Contents contents_of(const Words& words) {
  if (words.part.empty() && checkpoint::is_meta_llama(words.path)) {
    checkpoint::MetaLlama model = checkpoint::read_meta_llama(words.path);
    return {"pth of Meta's LLaMA, put together", std::move(model.files), std::move(model.entries)};
  }
  const TensorSource source(words.path, {.sub_dict = words.part});
  return {std::string(source.format()), source.files(), source.entries(), source.metadata(), source.skipped()};
}

std::vector<std::string> names_of(const std::vector<TensorEntry>& tensors) {
  std::vector<std::string> names;
  for (const TensorEntry& entry : tensors) names.push_back(entry.name);
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

Family family_of(const Contents& contents) {
  const std::vector<std::string> weights = weights_of(names_of(contents.tensors));
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

void print_text(const Words& words, const Contents& contents) {
  const NameNode tree = name_tree(contents.tensors);
  std::string mistake;
  const std::string type = model_type_of(words.path, mistake);
  print(fmt::format("{}: {}, {} {}", words.path, contents.format, contents.files.size(),
                    contents.files.size() == 1 ? "file" : "files"));
  print(fmt::format("{} tensors, {} parameters, {}", tree.tensors, count_text(double(tree.parameters)), bytes_text(tree.bytes)));
  if (!type.empty()) print(fmt::format("config.json: {}", type));
  if (!mistake.empty()) print(fmt::format("config.json: {}", mistake));
  print(to_text(family_of(contents)));
  print("\n" + tree_text(tree));
  for (const auto& [key, value] : contents.metadata) print(fmt::format("{} = {}", key, value));
  for (const checkpoint::SkippedValue& skipped : contents.skipped)
    print(fmt::format("not read: {} ({})", skipped.path, skipped.global));
}

Json to_json(const Words& words, const Contents& contents) {
  Json tensors = Json::array(), files = Json::array(), skipped = Json::array();
  int64_t parameters = 0;
  uint64_t bytes = 0;
  for (const TensorEntry& entry : contents.tensors) {
    int64_t elements = 1;
    for (const int64_t length : entry.shape) elements *= length;
    parameters += elements;
    bytes += entry.bytes;
    tensors.push_back(
        {{"name", entry.name}, {"dtype", entry.dtype}, {"shape", entry.shape}, {"bytes", entry.bytes}, {"file", entry.file}});
  }
  for (const fs::path& file : contents.files) files.push_back(file.string());
  for (const checkpoint::SkippedValue& value : contents.skipped)
    skipped.push_back({{"path", value.path}, {"global", value.global}});
  std::string mistake;
  const std::string type = model_type_of(words.path, mistake);
  const Family family = family_of(contents);
  Json json = {{"path", words.path}, {"format", contents.format}, {"files", files}, {"parameters", parameters}, {"bytes", bytes}};
  json["family"] = family.name.empty() ? Json() : Json(family.name);
  if (!family.parts.empty()) json["parts"] = family.parts;
  json["model_type"] = type.empty() ? Json() : Json(type);
  if (!mistake.empty()) json["config_error"] = mistake;
  json["metadata"] = contents.metadata;
  json["skipped"] = skipped;
  json["tensors"] = tensors;
  return json;
}

void run(Words words) {
  // Of a run the newest checkpoint that is whole.
  if (fs::is_directory(fs::path(words.path) / "checkpoints")) words.path = checkpoint::find_checkpoint(words.path);
  const Contents contents = contents_of(words);
  if (words.check_finite) checkpoint::require_finite(TensorSource(words.path, {.sub_dict = words.part}));
  if (words.json)
    print(to_json(words, contents).dump(2));
  else
    print_text(words, contents);
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
  command->add_flag("--check-finite", words->check_finite, "Read all weights; NaN or infinite ones are an error (exit code 4)");
  command->add_flag("--json", words->json, "Print JSON, with every tensor");
  command->footer("Examples:\n  microemo inspect models/Llama-2-7b-chat-hf\n  microemo inspect timechat_7b.pth --part model");
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
