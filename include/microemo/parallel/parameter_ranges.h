#pragma once
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/parallel/group.h"

// ZeRO-1 (Rajbhandari et al. 2020): each rank updates a range of the parameters and sends it to the others.

namespace microemo::parallel {

/// Elements [begin, end) of a parameter in its row-major order.
struct ElementRange {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

/// Parameters laid one behind the other and cut into one range for each rank, as equal as whole pieces of 16 elements of a
/// parameter allow: an update in vectors of up to 16 numbers then rounds every element as that of the whole parameter does. A
/// parameter may lie in several ranges, and a rank may have nothing.
class ParameterRanges {
 public:
  /// `sizes`: elements of each parameter.
  ParameterRanges(const std::vector<int64_t>& sizes, int64_t world);

  /// What a rank has of a parameter; of size 0 when it has nothing.
  ElementRange of(int64_t rank, size_t parameter) const;
  /// What a rank has of all of them.
  ElementRange of(int64_t rank) const { return {bounds_.at(size_t(rank)), bounds_.at(size_t(rank) + 1)}; }
  /// Elements of the longest range.
  int64_t longest() const;
  int64_t elements() const { return offsets_.back(); }

 private:
  std::vector<int64_t> offsets_;  ///< of each parameter, and the end of the last
  std::vector<int64_t> bounds_;   ///< where each range begins, and the end of the last
};

/// Every rank gets the others' ranges of the parameters, in place, in messages of at most piece_mb MiB. `parameters`: contiguous
/// fp32 of the CPU, the same sizes in the same order on every rank.
void share_ranges(const Group& group, const std::vector<at::Tensor>& parameters, const ParameterRanges& ranges, double piece_mb);

/// Bytes of gradients and parameters that each rank sends in a step: 2 (w-1)/w of all gradients (a ring), and with ranges w-1
/// times the longest one. fp32.
double bytes_sent_per_step(const ParameterRanges& ranges, int64_t world, bool with_ranges);

}  // namespace microemo::parallel
