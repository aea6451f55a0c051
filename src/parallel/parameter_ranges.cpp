#include "microemo/parallel/parameter_ranges.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

/// Elements of all parameters from `first` on, as many as `flat` has; those behind the last parameter are left.
template <class Copy>
void with_pieces(const std::vector<at::Tensor>& parameters, int64_t first, const at::Tensor& flat, Copy copy) {
  const int64_t last = first + flat.numel();
  int64_t offset = 0;
  for (const at::Tensor& parameter : parameters) {
    const int64_t begin = std::max(first, offset), end = std::min(last, offset + parameter.numel());
    if (begin < end)
      copy(parameter.detach().view(-1).narrow(0, begin - offset, end - begin), flat.narrow(0, begin - first, end - begin));
    offset += parameter.numel();
  }
}

}  // namespace

ParameterRanges::ParameterRanges(const std::vector<int64_t>& sizes, int64_t world) : offsets_{0} {
  constexpr int64_t piece = 16;
  for (const int64_t size : sizes) offsets_.push_back(offsets_.back() + size);
  size_t parameter = 0;
  for (int64_t rank = 0; rank < world; ++rank) {
    const int64_t wanted = elements() * rank / world;
    while (parameter + 1 < sizes.size() && offsets_[parameter + 1] <= wanted) ++parameter;
    const int64_t rounded = (wanted - offsets_[parameter] + piece / 2) / piece * piece;
    bounds_.push_back(std::min(offsets_[parameter] + rounded, sizes.empty() ? 0 : offsets_[parameter + 1]));
  }
  bounds_.push_back(elements());
}

ElementRange ParameterRanges::of(int64_t rank, size_t parameter) const {
  const int64_t first = offsets_.at(parameter), last = offsets_.at(parameter + 1);
  const ElementRange range = of(rank);
  const int64_t begin = std::max(first, range.begin), end = std::min(last, range.end);
  return begin < end ? ElementRange{begin - first, end - first} : ElementRange{};
}

int64_t ParameterRanges::longest() const {
  int64_t most = 0;
  for (size_t rank = 0; rank + 1 < bounds_.size(); ++rank) most = std::max(most, of(int64_t(rank)).size());
  return most;
}

void share_ranges(const Group& group, const std::vector<at::Tensor>& parameters, const ParameterRanges& ranges, double piece_mb) {
  if (group.alone()) return;
  const at::NoGradGuard no_grad;
  for (const at::Tensor& parameter : parameters)
    MICROEMO_CHECK(parameter.is_contiguous() && parameter.scalar_type() == at::kFloat, "ranges of contiguous fp32 are shared");
  const auto most = std::max<int64_t>(1, static_cast<int64_t>(piece_mb * (1 << 20)) / 4 / group.world());
  const auto options = at::TensorOptions(at::kFloat).device(parameters.empty() ? at::Device(at::kCPU) : parameters[0].device());
  for (int64_t done = 0; done < ranges.longest(); done += most) {
    const int64_t piece = std::min(most, ranges.longest() - done);
    const at::Tensor all = at::zeros({group.world() * piece}, options), own = at::zeros({piece}, options);
    // Where a range is shorter than the longest, what follows is sent and nobody takes it.
    with_pieces(parameters, ranges.of(group.rank()).begin + done, own,
                [](const at::Tensor& values, const at::Tensor& flat) { flat.copy_(values); });
    group.gather(all, own);
    for (int64_t rank = 0; rank < group.world(); ++rank) {
      const int64_t taken = std::min(piece, ranges.of(rank).size() - done);
      if (rank == group.rank() || taken <= 0) continue;
      with_pieces(parameters, ranges.of(rank).begin + done, all.narrow(0, rank * piece, taken),
                  [](const at::Tensor& values, const at::Tensor& flat) { values.copy_(flat); });
    }
  }
}

double bytes_sent_per_step(const ParameterRanges& ranges, int64_t world, bool with_ranges) {
  const double others = static_cast<double>(world - 1);
  const double gradients = 2 * others / static_cast<double>(world) * static_cast<double>(ranges.elements());
  return 4 * (gradients + (with_ranges ? others * static_cast<double>(ranges.longest()) : 0));
}

}  // namespace microemo::parallel
