#include "side_link.h"

#include <exception>
#include <vector>

#include <ATen/ops/full.h>

namespace microemo::parallel {

void end_nccl(c10::intrusive_ptr<c10d::Backend>& nccl, bool failed) {
  if (!nccl) return;
  try {
    failed ? nccl->abort() : nccl->shutdown();
  } catch (const std::exception&) {  // the job ends either way
  }
  nccl.reset();
}

SideLink::~SideLink() { end_nccl(nccl_, group_.lost() || std::uncaught_exceptions() > 0); }

double SideLink::sum(double value) const {
  std::vector<at::Tensor> values{at::full({1}, value, at::kDouble)};
  group_.waiting([&] { gloo_->allreduce(values)->wait(); });
  return values[0].const_data_ptr<double>()[0];
}

std::function<void()> SideLink::gather_later(const at::Tensor& all, const at::Tensor& own) const {
  at::Tensor to = all, from = own;
  c10::intrusive_ptr<c10d::Work> work;
  // Beginning does not wait, but fails where a connection is known to be broken.
  group_.waiting([&] { work = (all.is_cpu() ? gloo_ : nccl_)->_allgather_base(to, from); });
  return [this, work, to, from] { group_.waiting([&] { work->wait(); }); };
}

}  // namespace microemo::parallel
