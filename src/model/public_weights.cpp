#include "microemo/model/public_weights.h"

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/upsample_bicubic2d.h>

#include "microemo/checkpoint/part.h"
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

}  // namespace

checkpoint::LoadReport load_public_weights(MicroEmo& model, const std::filesystem::path& path, bool allow_unexpected) {
  checkpoint::NamedTensors tensors = checkpoint::read_all_parts(path);
  stretch_positions(tensors, model);
  return checkpoint::load_into(model, tensors, {.source = path, .allow_missing = true, .allow_unexpected = allow_unexpected});
}

}  // namespace microemo::model
