#pragma once
#include <cstdint>
#include <vector>

namespace microemo::train {

/// Clips of a step, as indices in [0, clip_count): a pure function of its arguments. Step s takes places s*batch … of the endless
/// row of epochs, and every epoch is a shuffle of all clips of its own, so each clip comes once an epoch and none is dropped at
/// its end.
std::vector<int64_t> clips_of_step(uint64_t seed, int64_t clip_count, int64_t batch, int64_t step);

/// The same with clips of similar length in one step: the clips of `buckets` steps are sorted by length, and each of these steps
/// gets a batch of neighbours, in an order drawn for (seed, the first of them). Still each clip comes once an epoch. `lengths`
/// are those of all clips, in any unit; 1 bucket leaves the order as it is. A pure function of its arguments.
std::vector<int64_t> bucketed_clips_of_step(uint64_t seed, const std::vector<double>& lengths, int64_t batch, int64_t buckets,
                                            int64_t step);

/// Which of a clip's questions are asked in a step, ascending: all when `cap` is 0 or large enough, else `cap` of them drawn for
/// (seed, step, clip).
std::vector<int64_t> questions_of_step(uint64_t seed, int64_t step, int64_t clip, const std::vector<int64_t>& questions,
                                       int64_t cap);

/// Seed of the augmentation of a step, the same for all its micro-batches.
uint64_t augmentation_draw(uint64_t seed, int64_t step);

/// One of the processes that share a step.
struct Share {
  int64_t rank = 0, world = 1;
};

/// A rank's part of a step's clips: neighbours, as many on every rank or one fewer on the last ones; none where there are more
/// ranks than clips.
std::vector<int64_t> share_of(const std::vector<int64_t>& items, Share share);

/// Cuts a list into pieces of at most `size`, in order; 0 gives one piece. An empty list gives none.
std::vector<std::vector<int64_t>> cut(const std::vector<int64_t>& items, int64_t size);

}  // namespace microemo::train
