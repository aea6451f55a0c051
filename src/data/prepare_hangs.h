#pragma once
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

namespace microemo::data {

/// Counts, under its owner's lock, the workers of a preparation, and the clips whose decoders hang.
class HangCount {
 public:
  /// So many clips are handed out to so many threads.
  void expect(int64_t clips, int64_t workers) {
    left_ = clips;
    workers_ = std::min(workers, clips);
  }
  /// A worker takes a clip, and puts it down.
  void begins() {
    --left_;
    ++at_work_;
  }
  void ends(const std::string& id) {
    --at_work_;
    hanging_.erase(id);
  }
  /// The clip's worker hangs. False for a clip of which that is known.
  bool add(const std::string& id) {
    hanging_.insert(id);
    return known_.insert(id).second;
  }
  /// Whether its worker hung at some time: what becomes of the clip later does not count.
  bool has(const std::string& id) const { return known_.contains(id); }
  /// Clips that nobody has taken.
  int64_t left() const { return left_; }
  /// Whether workers hang, no other one is at work, and none will take a clip: none is left or `handed_out` says so, or there is
  /// no other worker.
  bool is_all(bool handed_out) const {
    const auto hanging = int64_t(hanging_.size());
    return hanging > 0 && hanging == at_work_ && (handed_out || left_ == 0 || hanging == workers_);
  }

 private:
  int64_t left_ = 0, workers_ = 0, at_work_ = 0;
  std::set<std::string> hanging_, known_;
};

}  // namespace microemo::data
