#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/parallel/launch_context.h"
#include "microemo/parallel/mail.h"
#include "microemo/parallel/options.h"

namespace microemo::parallel {

class SideLink;

/// The ranks of a job, seen from one of them. Every function but enter, publish and those that are const getters is called by all
/// ranks, in the same order. Tensors are contiguous, on the CPU or a device of the rank; those of a GPU go through NCCL (after
/// link_gpus), those of any other device over the CPU. One thread at a time.
///
/// While it lives, a thread gives a sign of life every beat_s. Where another rank fails, the call at hand throws
/// Error(environment), which cannot say which one it was: whoever watches can (see Watch), and lost() is true then.
class Group {
 public:
  /// One process: sums are what they are, nothing is started.
  Group();
  /// Meets the other ranks of the launch. `on_verdict` is called once, by the thread of the signs of life, when a watcher has
  /// found that a rank hangs or died: the process should end, the calling thread may never return from its wait. Throws
  /// Error(environment) when ranks do not come within start_limit_s (naming them), or the place of the meeting cannot be reached.
  Group(const LaunchContext& context, const RankOptions& options, std::function<void(const std::string&)> on_verdict = {});
  ~Group();
  Group(Group&&) noexcept;
  Group& operator=(Group&&) noexcept;

  int64_t rank() const;
  int64_t world() const;
  bool first() const { return rank() == 0; }
  bool alone() const { return world() == 1; }
  bool lost() const;

  /// What this rank does from now on; `step` counts from 1. For the signs of life.
  void enter(Phase phase, int64_t step);
  /// Tells the launcher, under a name: "run" is the run folder.
  void publish(const std::string& name, const std::string& text);

  /// Makes NCCL the way of tensors on this rank's GPU, as RankOptions::link wants. Throws Error(environment) where it cannot be
  /// had.
  void link_gpus(int gpu);

  /// Sum over the ranks, in place, the same bits on every rank. Any number type.
  void sum(const at::Tensor& values) const;
  std::vector<double> sums(std::vector<double> values) const;
  /// Begins it and returns the wait for it, which has to be called before `values` is used or freed.
  std::function<void()> sum_later(const at::Tensor& values) const;
  /// own [n] of every rank, one behind the other: all [world * n].
  void gather(const at::Tensor& all, const at::Tensor& own) const;
  /// True when it is on any rank.
  bool any(bool value) const;
  /// The text of every rank.
  std::vector<std::string> texts(const std::string& own) const;
  /// Those of all ranks, one rank after the other. No name may hold a line break.
  std::vector<std::string> names(const std::vector<std::string>& own) const;
  /// That of rank 0.
  std::string from_first(const std::string& text) const { return texts(text).front(); }
  /// Returns when all ranks have come here.
  void barrier() const;
  /// Runs a wait for what other ranks do, as the calls above have theirs: a rank that waits is not taken for one that hangs, and
  /// what goes wrong is the error of ranks that are lost.
  void waiting(const std::function<void()>& wait) const;
  /// Under which the other ranks reach this machine. Of several ranks.
  std::string address() const;
  /// How long the communication itself waits, above all limits of phases.
  double timeout_s() const;
  /// A box of mail that these ranks share and no other call of this gives; none for one process.
  std::shared_ptr<Mail> mail();
  /// A way of its own among these ranks, after link_gpus. Of several ranks.
  std::unique_ptr<SideLink> side_link();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace microemo::parallel
