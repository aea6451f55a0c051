#include "microemo/train/cost.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include <ATen/SequenceNumber.h>
#include <ATen/record_function.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <fmt/format.h>

#include "microemo/base/device.h"
#include "microemo/nn/linear.h"

namespace microemo::train {
namespace {

constexpr double mb = 1e6;
constexpr const char* other = "other";

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// What was recorded while a part computed: its autograd nodes have these numbers.
struct Range {
  std::string part;
  uint64_t first = 0, end = 0;
};

/// Sees the ranges of one thread and of its backward passes, which for a GPU run in another one.
class Observer {
 public:
  /// What leads to it from there.
  struct Held : c10::DebugInfoBase {
    Observer* own;
    explicit Held(Observer* observer) : own(observer) {}
  };

  struct PartTime {
    double forward_s = 0, backward_s = 0, kept_mb = 0;
  };

  explicit Observer(const at::Device& device) : device_(device), held_(std::make_shared<Held>(this)), guard_(place, held_) {
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback(&begin, &end).scopes({at::RecordScope::USER_SCOPE, at::RecordScope::BACKWARD_FUNCTION}));
  }
  ~Observer() { at::removeCallback(handle_); }
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  void next_batch() { ranges_.clear(); }
  const std::map<std::string, PartTime>& parts() const { return parts_; }

 private:
  static constexpr auto place = c10::DebugInfoKind::TEST_INFO_2;
  static Observer* current() {
    auto* held = static_cast<Held*>(c10::ThreadLocalDebugInfo::get(place));
    return held ? held->own : nullptr;
  }

  /// A GPU is still at work when the program goes on.
  double settled_s() const {
    if (device_.is_cuda()) wait_for_cuda(device_.index());
    return now_s();
  }
  double allocated_mb() const {
    if (device_.is_cuda()) return static_cast<double>(cuda_memory(device_.index()).allocated) / mb;
    const struct mallinfo2 info = ::mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd) / mb;
  }

  struct Open : at::ObserverContext {
    double began_s = 0, allocated = 0;
    uint64_t sequence = 0;
    bool counted = false;
  };

  /// Backward of a recomputed block runs a backward of its own inside: the outer one counts.
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) {
    Observer* own = current();
    if (!own) return nullptr;
    auto open = std::make_unique<Open>();
    open->counted = own->depth_++ == 0;
    open->began_s = own->settled_s();
    open->allocated = own->allocated_mb();
    open->sequence = at::sequence_number::peek();
    return open;
  }
  static void end(const at::RecordFunction& function, at::ObserverContext* context) {
    const auto* open = static_cast<const Open*>(context);
    Observer* own = current();
    if (!open || !own) return;
    --own->depth_;
    if (!open->counted) return;
    const double seconds = own->settled_s() - open->began_s;
    if (function.scope() == at::RecordScope::USER_SCOPE)
      own->add_forward(function.name(), *open, seconds);
    else
      own->add_backward(static_cast<uint64_t>(function.seqNr()), seconds);
  }

  void add_forward(const std::string& part, const Open& open, double seconds) {
    ranges_.push_back({part, open.sequence, at::sequence_number::peek()});
    PartTime& time = parts_[part];
    time.forward_s += seconds;
    time.kept_mb = std::max(time.kept_mb, allocated_mb() - open.allocated);
  }
  void add_backward(uint64_t sequence, double seconds) {
    const auto inside = [sequence](const Range& range) { return range.first <= sequence && sequence < range.end; };
    const auto found = std::ranges::find_if(ranges_, inside);
    parts_[found == ranges_.end() ? other : found->part].backward_s += seconds;
  }

  at::Device device_;
  std::shared_ptr<Held> held_;
  c10::DebugInfoGuard guard_;
  at::CallbackHandle handle_ = 0;
  int depth_ = 0;
  std::vector<Range> ranges_;
  std::map<std::string, PartTime> parts_;
};

std::string part_of(const std::string& parameter) { return parameter.substr(0, parameter.find('.')); }

PartCost& row_of(std::vector<PartCost>& rows, const std::string& part) {
  const auto found = std::ranges::find(rows, part, &PartCost::part);
  return found == rows.end() ? rows.emplace_back(PartCost{.part = part}) : *found;
}

std::vector<PartCost> weights_of_parts(const Task& task) {
  const torch::nn::Module& module = *task.module;
  constexpr double states = 3;
  std::vector<PartCost> rows;
  for (const auto& item : module.named_parameters()) {
    PartCost& row = row_of(rows, part_of(item.key()));
    const at::Tensor& parameter = item.value();
    (parameter.requires_grad() ? row.trainable : row.frozen) += parameter.numel();
    row.weights_mb += static_cast<double>(parameter.nbytes()) / mb;
    if (parameter.requires_grad()) row.states_mb += states * static_cast<double>(parameter.nbytes()) / mb;
  }
  for (const auto& item : module.named_buffers())
    row_of(rows, part_of(item.key())).weights_mb += static_cast<double>(item.value().nbytes()) / mb;
  if (task.shards)
    row_of(rows, part_of(task.shards->names().front())).weights_mb +=
        static_cast<double>(task.shards->bytes_held() - task.shards->bytes_of_all()) / mb;
  return rows;
}

}  // namespace

std::vector<PartCost> cost_of_parts(const Task& task, const std::vector<model::ClipBatch>& batches) {
  std::vector<PartCost> rows = weights_of_parts(task);
  Observer observer(task.device);
  for (const model::ClipBatch& batch : batches) {
    observer.next_batch();
    forward_backward(task, {batch});
  }
  for (at::Tensor& parameter : task.module->parameters()) parameter.mutable_grad() = at::Tensor();
  for (const auto& [part, time] : observer.parts()) {
    if (part == other) continue;
    PartCost& row = row_of(rows, part);
    row.forward_s = time.forward_s, row.backward_s = time.backward_s, row.kept_mb = std::max(0.0, time.kept_mb);
  }
  PartCost rest{.part = other};
  if (const auto found = observer.parts().find(other); found != observer.parts().end())
    rest.backward_s = found->second.backward_s;
  rows.push_back(rest);
  return rows;
}

std::string cost_table(const std::vector<PartCost>& parts) {
  PartCost all{.part = "all"};
  for (const PartCost& part : parts) {
    all.trainable += part.trainable, all.frozen += part.frozen;
    all.weights_mb += part.weights_mb, all.states_mb += part.states_mb, all.kept_mb += part.kept_mb;
    all.forward_s += part.forward_s, all.backward_s += part.backward_s;
  }
  std::string text = fmt::format("{:<20}{:>14}{:>14}{:>12}{:>11}{:>11}{:>10}{:>11}", "part", "trainable", "frozen", "weights MB",
                                 "states MB", "kept MB", "forward s", "backward s");
  std::vector<PartCost> rows = parts;
  rows.push_back(all);
  for (const PartCost& row : rows)
    text += fmt::format("\n{:<20}{:>14}{:>14}{:>12.1f}{:>11.1f}{:>11.1f}{:>10.3f}{:>11.3f}", row.part, row.trainable, row.frozen,
                        row.weights_mb, row.states_mb, row.kept_mb, row.forward_s, row.backward_s);
  return text;
}

}  // namespace microemo::train
