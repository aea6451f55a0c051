#include "peft_config.h"

#include <type_traits>

#include "hf_reader.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"

namespace microemo::checkpoint {
namespace {

constexpr int64_t most = 1000000;

struct PeftKeys {
  PeftConfig& config;
  std::string peft_type = "LORA", bias = "none";
  bool use_dora = false;
};

template <class Visitor>
void describe(Visitor& option, PeftKeys& keys) {
  PeftConfig& o = keys.config;
  option("peft_type", keys.peft_type, "Kind of adapter.");
  option("r", o.r, "Rank.").min(1).max(most);
  option("lora_alpha", o.lora_alpha, "The product is scaled by it.").above(0).max(most);
  option("lora_dropout", o.lora_dropout, "Dropout before A in training.").min(0).below(1);
  option("use_rslora", o.use_rslora, "Scale by alpha / sqrt(r).");
  option("use_dora", keys.use_dora, "Not supported.");
  option("fan_in_fan_out", o.fan_in_fan_out, "The base's weights are [in, out].");
  option("bias", keys.bias, "Which biases were trained.");
  option("base_model_name_or_path", o.base_model_name_or_path, "What it was trained on.");
}

const std::vector<std::string>& own_keys() {
  static const std::vector<std::string> keys{"peft_type",
                                             "r",
                                             "lora_alpha",
                                             "lora_dropout",
                                             "use_rslora",
                                             "use_dora",
                                             "fan_in_fan_out",
                                             "bias",
                                             "base_model_name_or_path",
                                             "target_modules",
                                             "rank_pattern",
                                             "alpha_pattern"};
  return keys;
}

void refuse_unsupported(const PeftKeys& keys, const HfFile& file) {
  const auto refuse = [&](const char* key, const std::string& message) {
    throw file.refuse("", key, message, "merge the adapter with its own library, or train it as plain LoRA");
  };
  if (keys.peft_type != "LORA")
    refuse("peft_type", fmt::format("the adapter is of type {}, and only LORA is supported", keys.peft_type));
  if (keys.use_dora) refuse("use_dora", "the adapter uses DoRA, which is not supported");
  if (keys.bias != "none")
    refuse("bias", fmt::format("the adapter has trained biases ('{}'), which is not supported", keys.bias));
  if (file.root().contains("layer_replication") && !file.root().at("layer_replication").is_null())
    refuse("layer_replication", "the adapter replicates layers, which is not supported");
}

/// These take the product of their first A and B out of the base's weights, and an adapter holds no base.
void refuse_changed_base(const HfFile& file) {
  const auto start = file.root().find("init_lora_weights");
  if (start == file.root().end() || !start->is_string()) return;
  const auto name = start->get<std::string>();
  if (name.starts_with("pissa") || name == "olora" || name == "corda" || name == "loftq")
    throw file.refuse(
        "", "init_lora_weights",
        fmt::format("the adapter changed its base when it began ('{}'), and the public base is not that one", name),
        "save it with path_initial_model_for_weight_conversion, or, where the changed base is at hand, write true here");
}

/// Ranks and scales by the ends of names.
template <class T>
std::map<std::string, T> pattern(const HfFile& file, const std::string& key) {
  std::map<std::string, T> result;
  const Json section = file.section(key);
  for (const auto& [name, value] : section.items()) {
    const bool fits = std::is_integral_v<T> ? value.is_number_integer() : value.is_number();
    if (!fits || !(value.template get<double>() > 0 && value.template get<double>() <= most))
      throw file.refuse(key, name,
                        fmt::format("'{}' is {}; wanted: a {}number above 0, at most {}", name, value.dump(),
                                    std::is_integral_v<T> ? "whole " : "", most),
                        "mend the value");
    if (name.find_first_of("*+?()[]{}|$\\", 0) != std::string::npos)
      throw file.refuse(key, name, fmt::format("the pattern '{}' is more than the end of a name, which is not supported", name),
                        "write the names out");
    result[name] = value.template get<T>();
  }
  return result;
}

std::vector<std::string> targets(const HfFile& file) {
  const auto value = file.root().find("target_modules");
  if (value == file.root().end() || value->is_null()) return {};
  if (value->is_string()) return {value->get<std::string>()};
  try {
    return json_get<std::vector<std::string>>(file.root(), "target_modules", file.path());
  } catch (const Error& error) {
    throw file.refuse("", "target_modules", error.message(), error.next_step());
  }
}

}  // namespace

PeftConfig read_peft_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "adapter_config.json";
  if (!std::filesystem::exists(path))
    throw CheckpointError("there is no adapter_config.json").where(path).hint("name the folder of an adapter");
  const HfFile file(path);
  PeftConfig config;
  PeftKeys keys{.config = config};
  file.fill(keys, file.root(), "", {"r", "lora_alpha"});
  refuse_unsupported(keys, file);
  refuse_changed_base(file);
  config.target_modules = targets(file);
  config.rank_pattern = pattern<int64_t>(file, "rank_pattern");
  config.alpha_pattern = pattern<double>(file, "alpha_pattern");
  config.others = file.root();
  for (const std::string& key : own_keys()) config.others.erase(key);
  return config;
}

void write_peft_config(const std::filesystem::path& folder, const PeftConfig& config) {
  // The fields of PEFT 0.5, which every later version reads, and what the config held besides.
  nlohmann::json json = {{"auto_mapping", nullptr},   {"inference_mode", true},         {"init_lora_weights", true},
                         {"layers_pattern", nullptr}, {"layers_to_transform", nullptr}, {"modules_to_save", nullptr},
                         {"revision", nullptr},       {"task_type", "CAUSAL_LM"}};
  for (const auto& [key, value] : config.others.items()) json[key] = nlohmann::json::parse(value.dump());
  json["peft_type"] = "LORA";
  json["bias"] = "none";
  json["r"] = config.r;
  json["lora_alpha"] = config.lora_alpha;
  json["lora_dropout"] = config.lora_dropout;
  json["fan_in_fan_out"] = config.fan_in_fan_out;
  json["base_model_name_or_path"] = config.base_model_name_or_path;
  json["target_modules"] = config.target_modules;
  if (config.use_rslora) json["use_rslora"] = true;
  if (!config.rank_pattern.empty()) json["rank_pattern"] = config.rank_pattern;
  if (!config.alpha_pattern.empty()) json["alpha_pattern"] = config.alpha_pattern;
  write_file_atomic(folder / "adapter_config.json", json.dump(2) + "\n");
}

}  // namespace microemo::checkpoint
