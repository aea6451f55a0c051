#include "microemo/nn/loss.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "device.h"
#include "microemo/base/error.h"

namespace microemo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

struct Chunk {
  at::Tensor losses, logit_gradient_rV;  ///< the gradient in the type of the logits
};

Chunk on_device(const MicroEmoKernels& kernels, const at::Tensor& logits_rV, const at::Tensor& labels_r1) {
  const at::Tensor losses_r = at::empty({logits_rV.size(0)}, logits_rV.options().dtype(at::kFloat)),
                   labels_r = labels_r1.contiguous();
  const MicroEmoCrossEntropy work{.logits = logits_rV.mutable_data_ptr(),
                                  .type = number_type(logits_rV),
                                  .rows = logits_rV.size(0),
                                  .vocabulary = logits_rV.size(1),
                                  .labels = labels_r.const_data_ptr<int64_t>(),
                                  .losses = losses_r.mutable_data_ptr<float>()};
  launched(kernels.cross_entropy(&work), "cross-entropy");
  return {losses_r, logits_rV};
}

/// The logits may be overwritten.
Chunk losses_and_gradient(const at::Tensor& logits_rV, const at::Tensor& labels_r1) {
  if (const MicroEmoKernels* kernels = kernels_for(logits_rV)) return on_device(*kernels, logits_rV, labels_r1);
  const at::Tensor log_p_rV = at::log_softmax(logits_rV.to(at::kFloat), 1);
  at::Tensor gradient_rV = log_p_rV.exp();
  gradient_rV.scatter_add_(1, labels_r1, at::zeros(labels_r1.sizes(), gradient_rV.options()).fill_(-1));
  return {log_p_rV.gather(1, labels_r1).neg(), gradient_rV.to(logits_rV.scalar_type())};
}

/// Loss and both gradients in one pass over chunks of rows; backward only scales them.
class LinearCrossEntropySum : public torch::autograd::Function<LinearCrossEntropySum> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden_RC, const at::Tensor& weight_VC,
                            const at::Tensor& labels_R, int64_t chunk, bool weight_needs_gradient) {
    const at::Tensor table_VC = weight_VC.to(hidden_RC.scalar_type());
    at::Tensor loss = at::zeros({}, hidden_RC.options().dtype(at::kFloat));
    at::Tensor hidden_gradient = at::zeros_like(hidden_RC);
    at::Tensor weight_gradient = weight_needs_gradient ? at::zeros_like(weight_VC) : at::Tensor();
    for (int64_t first = 0; first < hidden_RC.size(0); first += chunk) {
      const int64_t last = std::min(first + chunk, hidden_RC.size(0));
      const at::Tensor rows_rC = hidden_RC.slice(0, first, last), labels_r1 = labels_R.slice(0, first, last).unsqueeze(1);
      const auto [losses, logit_gradient_rV] = losses_and_gradient(at::mm(rows_rC, table_VC.t()), labels_r1);
      loss += losses.sum();
      hidden_gradient.slice(0, first, last).copy_(at::mm(logit_gradient_rV, table_VC));
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
  const auto there = [&](const at::Tensor& t) { return t.to(hidden_RC.device(), t.scalar_type(), /*non_blocking=*/true); };
  return LinearCrossEntropySum::apply(hidden_RC.index_select(0, there(counted)), weight_VC,
                                      there(labels_R.index_select(0, counted)), chunk, weight_VC.requires_grad());
}

}  // namespace microemo::nn
