#include "microemo/model/public_weights.h"

#include "microemo/checkpoint/part.h"
#include "microemo/model/window_qformer.h"

namespace microemo::model {
namespace {

/// The positions of frames and pieces are the only tables whose length is a choice of the model that reads them.
void stretch_positions(checkpoint::NamedTensors& tensors, const MicroEmo& model) {
  const auto parameters = model.named_parameters();
  for (const char* name : {"video_qformer.position", "audio_qformer.position"}) {
    const auto found = tensors.find(name);
    const at::Tensor* ours = parameters.find(name);
    if (found == tensors.end() || !ours || found->second.dim() != 2) continue;
    if (found->second.size(0) != ours->size(0)) found->second = nearest_positions(found->second, ours->size(0));
  }
}

}  // namespace

checkpoint::LoadReport load_public_weights(MicroEmo& model, const std::filesystem::path& path, bool allow_unexpected) {
  checkpoint::NamedTensors tensors = checkpoint::read_all_parts(path);
  stretch_positions(tensors, model);
  return checkpoint::load_into(model, tensors, {.source = path, .allow_missing = true, .allow_unexpected = allow_unexpected});
}

}  // namespace microemo::model
