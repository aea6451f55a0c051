#include "microemo/nn/loss.h"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "microemo/base/error.h"

namespace microemo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Loss and both gradients in one pass over chunks of rows; backward only scales them.
class LinearCrossEntropySum : public torch::autograd::Function<LinearCrossEntropySum> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden_RC, const at::Tensor& weight_VC,
                            const at::Tensor& labels_R, int64_t chunk, bool weight_needs_gradient) {
    at::Tensor loss = at::zeros({}, hidden_RC.options().dtype(at::kFloat));
    at::Tensor hidden_gradient = at::zeros_like(hidden_RC);
    at::Tensor weight_gradient = weight_needs_gradient ? at::zeros_like(weight_VC) : at::Tensor();
    for (int64_t first = 0; first < hidden_RC.size(0); first += chunk) {
      const int64_t last = std::min(first + chunk, hidden_RC.size(0));
      const at::Tensor rows_rC = hidden_RC.slice(0, first, last), labels_r1 = labels_R.slice(0, first, last).unsqueeze(1);
      const at::Tensor log_p_rV = at::log_softmax(at::mm(rows_rC, weight_VC.t()).to(at::kFloat), 1);
      loss -= log_p_rV.gather(1, labels_r1).sum();
      at::Tensor logit_gradient_rV = log_p_rV.exp();
      logit_gradient_rV.scatter_add_(1, labels_r1, at::zeros(labels_r1.sizes(), logit_gradient_rV.options()).fill_(-1));
      logit_gradient_rV = logit_gradient_rV.to(hidden_RC.scalar_type());
      hidden_gradient.slice(0, first, last).copy_(at::mm(logit_gradient_rV, weight_VC));
      if (weight_needs_gradient) weight_gradient += at::mm(logit_gradient_rV.t(), rows_rC);
    }
    context->save_for_backward({hidden_gradient, weight_gradient});
    return loss;
  }

  static tensor_list backward(AutogradContext* context, tensor_list output_gradient) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor& scale = output_gradient[0];
    return {saved[0] * scale, saved[1].defined() ? saved[1] * scale : at::Tensor(), {}, {}, {}};
  }
};

}  // namespace

at::Tensor linear_cross_entropy_sum(const at::Tensor& hidden_RC, const at::Tensor& weight_VC, const at::Tensor& labels_R,
                                    int64_t chunk) {
  MICROEMO_CHECK(hidden_RC.dim() == 2 && labels_R.dim() == 1 && hidden_RC.size(0) == labels_R.size(0) &&
                     hidden_RC.size(1) == weight_VC.size(1),
                 "hidden, weight and labels do not fit each other");
  const at::Tensor counted = labels_R.ne(ignored_label).nonzero().squeeze(1);
  return LinearCrossEntropySum::apply(hidden_RC.index_select(0, counted), weight_VC, labels_R.index_select(0, counted), chunk,
                                      weight_VC.requires_grad());
}

}  // namespace microemo::nn
