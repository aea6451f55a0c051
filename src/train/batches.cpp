#include "microemo/train/batches.h"

#include <algorithm>
#include <numeric>

#include "microemo/base/error.h"
#include "microemo/base/random.h"

namespace microemo::train {
namespace {

std::vector<int64_t> epoch_order(uint64_t seed, int64_t clip_count, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(clip_count));
  std::iota(order.begin(), order.end(), int64_t{0});
  Random(seed, "clip order", {static_cast<uint64_t>(epoch)}).shuffle(order);
  return order;
}

}  // namespace

std::vector<int64_t> clips_of_step(uint64_t seed, int64_t clip_count, int64_t batch, int64_t step) {
  MICROEMO_CHECK(clip_count > 0 && batch > 0 && step >= 0, "a plan needs clips, a batch size and a step");
  std::vector<int64_t> clips, order;
  for (int64_t place = step * batch; place < (step + 1) * batch; ++place) {
    if (order.empty() || place % clip_count == 0) order = epoch_order(seed, clip_count, place / clip_count);
    clips.push_back(order[static_cast<size_t>(place % clip_count)]);
  }
  return clips;
}

std::vector<int64_t> bucketed_clips_of_step(uint64_t seed, const std::vector<double>& lengths, int64_t batch, int64_t buckets,
                                            int64_t step) {
  MICROEMO_CHECK(buckets > 0, "clips are sorted into {} buckets", buckets);
  const int64_t group = step / buckets;
  std::vector<int64_t> clips = clips_of_step(seed, static_cast<int64_t>(lengths.size()), batch * buckets, group);
  if (buckets == 1) return clips;
  std::ranges::stable_sort(clips, {}, [&](int64_t clip) { return lengths[static_cast<size_t>(clip)]; });
  std::vector<int64_t> order(static_cast<size_t>(buckets));
  std::iota(order.begin(), order.end(), int64_t{0});
  Random(seed, "bucket order", {static_cast<uint64_t>(group)}).shuffle(order);
  const auto first = clips.begin() + order[static_cast<size_t>(step % buckets)] * batch;
  return {first, first + batch};
}

std::vector<int64_t> questions_of_step(uint64_t seed, int64_t step, int64_t clip, const std::vector<int64_t>& questions,
                                       int64_t cap) {
  if (cap == 0 || cap >= static_cast<int64_t>(questions.size())) return questions;
  std::vector<int64_t> drawn = questions;
  Random(seed, "questions", {static_cast<uint64_t>(step), static_cast<uint64_t>(clip)}).shuffle(drawn);
  drawn.resize(static_cast<size_t>(cap));
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

uint64_t augmentation_draw(uint64_t seed, int64_t step) {
  return Random(seed, "augmentation", {static_cast<uint64_t>(step)}).bits();
}

std::vector<int64_t> share_of(const std::vector<int64_t>& items, Share share) {
  const auto count = static_cast<int64_t>(items.size());
  const int64_t each = count / share.world, longer = count % share.world;
  const int64_t begin = share.rank * each + std::min(share.rank, longer);
  const int64_t size = each + (share.rank < longer ? 1 : 0);
  return {items.begin() + begin, items.begin() + begin + size};
}

std::vector<std::vector<int64_t>> cut(const std::vector<int64_t>& items, int64_t size) {
  if (items.empty()) return {};
  if (size == 0) return {items};
  std::vector<std::vector<int64_t>> pieces;
  for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(size)) {
    const size_t end = std::min(items.size(), begin + static_cast<size_t>(size));
    pieces.emplace_back(items.begin() + static_cast<std::ptrdiff_t>(begin), items.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return pieces;
}

}  // namespace microemo::train
