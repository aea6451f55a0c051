#include "microemo/model/public_weights.h"

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/part.h"
#include "microemo/checkpoint/peft.h"
#include "microemo/model/hf_decoder.h"
#include "microemo/model/window_qformer.h"

namespace microemo::model {
namespace {

/// A table of positions [1 + s s, C], the class token's first, as one of another square grid: bicubic, as the public loaders of
/// EVA do.
at::Tensor stretched_grid(const at::Tensor& table, int64_t rows) {
  const auto side_of = [](int64_t count) { return std::llround(std::sqrt(double(count - 1))); };
  const int64_t from = side_of(table.size(0)), to = side_of(rows);
  if (from * from + 1 != table.size(0) || to * to + 1 != rows) return table;
  const at::Tensor grid_1Css = table.slice(0, 1).to(at::kFloat).t().reshape({1, -1, from, from});
  const at::Tensor wider_1Css = at::upsample_bicubic2d(grid_1Css, {to, to}, /*align_corners=*/false);
  return at::cat({table.slice(0, 0, 1), wider_1Css.flatten(2).squeeze(0).t().to(table.scalar_type())});
}

/// Positions of frames, pieces and patches are the only tables whose length is a choice of the model that reads them.
void stretch_positions(checkpoint::NamedTensors& tensors, const MicroEmo& model) {
  const auto parameters = model.named_parameters();
  for (const char* name : {"video_qformer.position", "audio_qformer.position"}) {
    const auto found = tensors.find(name);
    const at::Tensor* ours = parameters.find(name);
    if (found == tensors.end() || !ours || found->second.dim() != 2) continue;
    if (found->second.size(0) != ours->size(0)) found->second = nearest_positions(found->second, ours->size(0));
  }
  const auto patches = tensors.find("visual_encoder.position");
  const at::Tensor* ours = parameters.find("visual_encoder.position");
  if (patches == tensors.end() || !ours || patches->second.dim() != 2 || patches->second.size(0) == ours->size(0)) return;
  patches->second = stretched_grid(patches->second, ours->size(0));
}

/// An adapter's scale stands in its config alone: in no tensor. Of another rank it does not fit anyway.
void check_scales(const std::filesystem::path& path, const LoraOptions& lora) {
  if (lora.rank == 0 || !std::filesystem::exists(path / "adapter_config.json")) return;
  const checkpoint::PeftAdapter adapter = checkpoint::read_adapter(path);
  const double ours = lora.alpha / double(lora.rank);
  for (const auto& [module, pair] : adapter.pairs) {
    const double theirs = adapter.scale(module);
    if (pair.a.size(0) != lora.rank || std::abs(theirs - ours) <= 1e-6 * theirs) continue;
    throw ConfigError("the adapter of '{}' is scaled by {:.6g}, and the model's adapters by {:.6g}", module, theirs, ours)
        .at("model.decoder.lora.alpha")
        .hint(fmt::format("set model.decoder.lora.alpha={:.6g}, as {} says", theirs * double(lora.rank),
                          (path / "adapter_config.json").string()));
  }
}

struct Choice {
  std::string key;  ///< below model.decoder
  double theirs = 0, ours = 0;
};

std::vector<Choice> choices(const DecoderOptions& theirs, const DecoderOptions& ours) {
  const auto head_width = [](const DecoderOptions& o) { return double(o.head_width > 0 ? o.head_width : o.width / o.heads); };
  std::vector<Choice> found{{"heads", double(theirs.heads), double(ours.heads)},
                            {"key_value_heads", double(theirs.key_value_heads), double(ours.key_value_heads)},
                            {"head_width", head_width(theirs), head_width(ours)},
                            {"rope_theta", theirs.rope_theta, ours.rope_theta},
                            {"norm_epsilon", theirs.norm_epsilon, ours.norm_epsilon},
                            {"tied_output", double(theirs.tied_output), double(ours.tied_output)}};
  const nn::RotaryScaling &a = theirs.rope_scaling, &b = ours.rope_scaling;
  if (a.kind != nn::RotaryScalingKind::none && a.kind == b.kind) found.push_back({"rope_scaling.factor", a.factor, b.factor});
  if (a.kind == nn::RotaryScalingKind::llama3 && a.kind == b.kind)
    found.insert(found.end(), {{"rope_scaling.low", a.low, b.low},
                               {"rope_scaling.high", a.high, b.high},
                               {"rope_scaling.original_tokens", double(a.original_tokens), double(b.original_tokens)}});
  std::erase_if(found, [](const Choice& one) { return std::abs(one.theirs - one.ours) <= 1e-9 * std::abs(one.theirs); });
  return found;
}

std::string name_of(nn::RotaryScalingKind kind) {
  for (const auto& [value, name] : nn::names_of(kind))
    if (value == kind) return name;
  return "";
}

bool holds_decoder(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  if (!std::filesystem::exists(file)) return false;
  const Json config = read_json(file);
  const std::string type = config.is_object() && config.contains("model_type") && config["model_type"].is_string()
                               ? config["model_type"].get<std::string>()
                               : std::string();
  return type == "llama" || type == "mistral" || type == "qwen2";
}

/// What a decoder's config.json says and none of its tensors shows. Of another size it does not fit anyway.
void check_decoder(const std::filesystem::path& path, const DecoderOptions& ours) {
  if (!holds_decoder(path)) return;
  const checkpoint::HfDecoderConfig config = checkpoint::read_hf_decoder_config(path);
  const DecoderOptions theirs = decoder_options(config);
  if (theirs.width != ours.width || theirs.hidden != ours.hidden || theirs.layers != ours.layers) return;
  std::vector<std::string> differences, settings;
  const auto add = [&](const std::string& key, const std::string& wanted, const std::string& is) {
    differences.push_back(fmt::format("{} {} (the model's: {})", key, wanted, is));
    settings.push_back(fmt::format("model.decoder.{}={}", key, wanted));
  };
  for (const Choice& one : choices(theirs, ours))
    if (one.key == "tied_output")
      add(one.key, one.theirs > 0 ? "true" : "false", one.ours > 0 ? "true" : "false");
    else
      add(one.key, fmt::format("{:.12g}", one.theirs), fmt::format("{:.12g}", one.ours));
  if (theirs.rope_scaling.kind != ours.rope_scaling.kind)
    add("rope_scaling.kind", name_of(theirs.rope_scaling.kind), name_of(ours.rope_scaling.kind));
  if (config.sliding_window > 0 && ours.max_tokens > config.max_tokens())
    add("max_tokens", std::to_string(config.max_tokens()), std::to_string(ours.max_tokens));
  if (differences.empty()) return;
  throw ConfigError("the decoder differs from model.decoder: {}", fmt::join(differences, ", "))
      .at((path / "config.json").string())
      .hint(fmt::format("set {}", fmt::join(settings, " ")));
}

}  // namespace

checkpoint::LoadReport load_public_weights(MicroEmo& model, const std::filesystem::path& path, bool allow_unexpected,
                                           const std::map<std::string, checkpoint::OtherTarget>& instead) {
  check_decoder(path, model.options().decoder);
  check_scales(path, model.options().decoder.lora);
  checkpoint::NamedTensors tensors = checkpoint::read_all_parts(path);
  stretch_positions(tensors, model);
  return checkpoint::load_into(model, tensors,
                               {.source = path, .allow_missing = true, .allow_unexpected = allow_unexpected, .instead = instead});
}

}  // namespace microemo::model
