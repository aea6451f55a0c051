#include "microemo/nn/recompute.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace microemo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

using Block = std::function<at::Tensor(const at::Tensor&)>;

struct HeldBlock : torch::CustomClassHolder {
  explicit HeldBlock(Block b) : block(std::move(b)) {}
  Block block;
};

/// The parameters are inputs, so that the engine hands out their gradients as for any other step; a block whose x needs no
/// gradient still gives them theirs.
class Recomputed : public torch::autograd::Function<Recomputed> {
 public:
  static at::Tensor forward(AutogradContext* context, const Block& block, const at::Tensor& x, at::TensorList trained) {
    tensor_list kept{x};
    kept.insert(kept.end(), trained.begin(), trained.end());
    context->save_for_backward(std::move(kept));
    context->saved_data["block"] = c10::IValue::make_capsule(c10::make_intrusive<HeldBlock>(block));
    context->saved_data["x needs it"] = x.requires_grad();
    return block(x);
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradient) {
    tensor_list kept = context->get_saved_variables();
    const bool x_needs_it = context->saved_data["x needs it"].toBool();
    const auto held = c10::static_intrusive_pointer_cast<HeldBlock>(context->saved_data["block"].toCapsule());
    const at::Tensor x = kept[0].detach().requires_grad_(x_needs_it);
    tensor_list wanted(kept.begin() + 1, kept.end()), result{at::Tensor()};
    if (x_needs_it) wanted.insert(wanted.begin(), x);
    {
      const at::AutoGradMode with_gradients(true);
      const tensor_list found = torch::autograd::grad({held->block(x)}, wanted, gradient, /*retain_graph=*/false,
                                                      /*create_graph=*/false, /*allow_unused=*/true);
      if (!x_needs_it) result.emplace_back();
      result.insert(result.end(), found.begin(), found.end());
    }
    return result;
  }
};

}  // namespace

at::Tensor recomputed(const Block& block, const at::Tensor& x, const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> trained;
  std::copy_if(parameters.begin(), parameters.end(), std::back_inserter(trained),
               [](const at::Tensor& parameter) { return parameter.requires_grad(); });
  if (!at::GradMode::is_enabled() || (!x.requires_grad() && trained.empty())) return block(x);
  return Recomputed::apply(block, x, at::TensorList(trained));
}

}  // namespace microemo::nn
