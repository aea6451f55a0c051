#include "microemo/model/pictures.h"

#include <ATen/ops/tensor.h>

#include "microemo/model/hf_vision.h"
#include "microemo/nn/sent.h"

namespace microemo::model {
namespace {

constexpr float mean[] = {0.48145466f, 0.4578275f, 0.40821073f}, deviation[] = {0.26862954f, 0.26130258f, 0.27577711f};

at::Tensor channels(const float (&values)[3], const at::TensorOptions& options) {
  return nn::sent(at::tensor({values[0], values[1], values[2]}, at::kFloat), options.device()).view({3, 1, 1});
}

VitShape style_of(const VisualEncoderOptions& o) {
  if (o.style == VisualStyle::plain) return {};
  VitShape shape = o.style == VisualStyle::eva ? eva_vit_giant() : clip_vit_large();
  if (o.style == VisualStyle::clip) shape.projection = o.projection;
  return shape;
}

}  // namespace

VitShape frame_vit(const VisualEncoderOptions& o, int64_t height, int64_t width) {
  VitShape shape = style_of(o);
  shape.channels = 3;
  shape.picture_height = height;
  shape.picture_width = width;
  shape.patch = o.patch;
  shape.width = o.width;
  shape.layers = o.layers;
  shape.heads = o.heads;
  shape.hidden = o.hidden;
  return shape;
}

at::Tensor normalised_pictures(VisualStyle style, const at::Tensor& bytes_n3HW) {
  const at::Tensor values = bytes_n3HW.to(at::kFloat);
  if (style == VisualStyle::plain) return values / 127.5 - 1;
  return (values / 255 - channels(mean, values.options())) / channels(deviation, values.options());
}

}  // namespace microemo::model
