#include "microemo/parallel/group.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <sstream>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <fmt/ranges.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "heartbeat.h"
#include "key_server.h"
#include "mail_box.h"
#include "microemo/base/device.h"
#include "microemo/base/error.h"
#include "network.h"
#include "side_link.h"
#include "store.h"

namespace microemo::parallel {

namespace {

std::chrono::milliseconds milliseconds(double seconds) { return std::chrono::milliseconds(static_cast<int64_t>(1000 * seconds)); }

/// Every rank says that it is here before anything waits for it, so that those that do not come can be named.
void meet(c10d::Store& store, const LaunchContext& context, double limit_s) {
  set_text(store, key_of("here", context.rank), "1");
  std::vector<std::string> all;
  for (int64_t rank = 0; rank < context.world; ++rank) all.push_back(key_of("here", rank));
  try {
    store.wait(all, milliseconds(limit_s));
  } catch (const std::exception& failure) {
    std::vector<int64_t> missing;
    for (int64_t rank = 0; rank < context.world; ++rank)
      if (!store.check({all[static_cast<size_t>(rank)]})) missing.push_back(rank);
    throw EnvironmentError("{} of {} ranks did not come within {:.0f} s: {}", missing.size(), context.world, limit_s,
                           missing.empty() ? first_line(failure) : fmt::format("rank {}", fmt::join(missing, ", ")))
        .at(fmt::format("{}:{}", context.address, context.port))
        .hint("look at the output of these ranks, or raise train.ranks.start_limit_s");
  }
}

c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store, const LaunchContext& context,
                                            const RankOptions& options) {
  auto gloo = c10d::ProcessGroupGloo::Options::create(milliseconds(options.timeout_s()));
  gloo->devices = {c10d::ProcessGroupGloo::createDeviceForHostname(own_address(context))};
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, static_cast<int>(context.rank), static_cast<int>(context.world),
                                                     gloo);
}

}  // namespace

struct Group::Impl {
  LaunchContext context;
  RankOptions options{};
  int64_t boxes = 0, links = 0;
  int gpu = -1;
  std::unique_ptr<KeyServer> server{};
  c10::intrusive_ptr<c10d::Store> store;
  std::unique_ptr<Heartbeat> heartbeat;
  c10::intrusive_ptr<c10d::Backend> gloo;
  c10::intrusive_ptr<c10d::Backend> nccl{};  ///< null where tensors of a device go over the CPU
  std::atomic<bool> lost{false};
  int exceptions = std::uncaught_exceptions();

  ~Impl() {
    const bool failed = std::uncaught_exceptions() > exceptions;
    end_nccl(nccl, failed || lost);
    if (!heartbeat) return;
    heartbeat->leave(lost ? farewell_lost : failed ? farewell_failed : farewell_ended);
  }

  c10::intrusive_ptr<c10d::Backend> make_nccl(const std::string& name) const {
    c10::intrusive_ptr<c10d::Store> meeting = c10::make_intrusive<c10d::PrefixStore>(name, store);
    c10::intrusive_ptr<c10d::Backend> made;
    make_nccl_group(&meeting, context.rank, context.world, gpu, options.timeout_s(), &made);
    return made;
  }
  bool goes_by_nccl(const at::Tensor& values) const { return nccl && values.is_cuda(); }
  c10d::Backend& backend_of(const at::Tensor& values) const { return goes_by_nccl(values) ? *nccl : *gloo; }

  /// Runs a part of the communication and says where it failed.
  template <class Work>
  auto talk(Work&& work) {
    heartbeat->wait_begins();
    try {
      if constexpr (std::is_void_v<decltype(work())>) {
        work();
        heartbeat->wait_ends();
      } else {
        auto result = work();
        heartbeat->wait_ends();
        return result;
      }
    } catch (const Error&) {
      throw;
    } catch (const std::exception& failure) {
      lost = true;
      throw EnvironmentError("rank {} lost the other ranks: {}", context.rank, first_line(failure))
          .at(fmt::format("step {}, phase {}", heartbeat->step(), phase_name(heartbeat->phase())))
          .hint("look for the rank that failed first; the last checkpoint is whole and can be resumed");
    }
  }
};

Group::Group() = default;
Group::~Group() = default;
Group::Group(Group&&) noexcept = default;
Group& Group::operator=(Group&&) noexcept = default;

Group::Group(const LaunchContext& context, const RankOptions& options, std::function<void(const std::string&)> on_verdict) {
  if (context.world == 1) return;
  impl_ = std::make_unique<Impl>();
  impl_->context = context;
  impl_->options = options;
  if (!context.hosted && context.rank == 0)
    impl_->server = std::make_unique<KeyServer>(context.port, leads_to_this_machine_alone(context.address));
  impl_->store = connect_store(context, options.start_limit_s);
  impl_->heartbeat = std::make_unique<Heartbeat>(context, options, std::move(on_verdict));
  impl_->talk([&] {
    meet(*impl_->store, context, options.start_limit_s);
    impl_->gloo = make_gloo(impl_->store, context, options);
  });
}

int64_t Group::rank() const { return impl_ ? impl_->context.rank : 0; }
int64_t Group::world() const { return impl_ ? impl_->context.world : 1; }
bool Group::lost() const { return impl_ && impl_->lost; }

void Group::enter(Phase phase, int64_t step) {
  if (!impl_ || !impl_->heartbeat->enter(phase, step)) return;
  // Told at once, so that a death in a short phase is not taken for one in the phase before.
  impl_->talk([&] { set_text(*impl_->store, key_of("beat", rank()), beat_text(impl_->heartbeat->now())); });
}

void Group::publish(const std::string& name, const std::string& text) {
  if (impl_) impl_->talk([&] { set_text(*impl_->store, "told/" + name, text); });
}

void Group::sum(const at::Tensor& values) const { sum_later(values)(); }

std::vector<double> Group::sums(std::vector<double> values) const {
  if (alone() || values.empty()) return values;
  const at::Tensor all = at::zeros({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), all.mutable_data_ptr<double>());
  sum(all);
  const double* first = all.const_data_ptr<double>();
  return {first, first + values.size()};
}

void Group::link_gpus(int gpu) {
  if (!impl_ || impl_->options.link != DeviceLink::nccl) return;
  impl_->gpu = gpu;
  impl_->nccl = impl_->make_nccl("nccl");
}

std::function<void()> Group::sum_later(const at::Tensor& values) const {
  if (!impl_) return [] {};
  MICROEMO_CHECK(values.is_contiguous(), "ranks exchange contiguous tensors");
  const bool direct = values.is_cpu() || impl_->goes_by_nccl(values);
  const at::Tensor sent = direct ? values : values.cpu();
  std::vector<at::Tensor> tensors{sent};
  // Beginning does not wait, but fails where a connection is known to be broken.
  auto work = impl_->talk([&] { return impl_->backend_of(sent).allreduce(tensors); });
  return [this, work, values, sent] {
    impl_->talk([&] { work->wait(); });
    if (!sent.is_same(values)) values.copy_(sent);
  };
}

void Group::gather(const at::Tensor& all, const at::Tensor& own) const {
  if (!impl_) {
    all.copy_(own);
    return;
  }
  const bool direct = own.is_cpu() || impl_->goes_by_nccl(own);
  at::Tensor to = direct ? all : at::empty_like(all, at::kCPU), from = direct ? own : own.cpu();
  impl_->talk([&] { impl_->backend_of(from)._allgather_base(to, from)->wait(); });
  if (!direct) all.copy_(to);
}

bool Group::any(bool value) const {
  if (!impl_) return value;
  const at::Tensor votes = at::zeros({1}, at::kInt).fill_(value ? 1 : 0);
  sum(votes);
  return votes.item<int>() > 0;
}

std::vector<std::string> Group::texts(const std::string& own) const {
  if (!impl_) return {own};
  const at::Tensor lengths = at::zeros({world()}, at::kLong);
  lengths[rank()] = static_cast<int64_t>(own.size());
  sum(lengths);
  const at::Tensor bytes = at::zeros({world(), std::max<int64_t>(1, lengths.max().item<int64_t>())}, at::kByte);
  uint8_t* row = bytes.mutable_data_ptr<uint8_t>() + rank() * bytes.size(1);
  std::copy(own.begin(), own.end(), row);
  sum(bytes);
  std::vector<std::string> all;
  for (int64_t i = 0; i < world(); ++i) {
    const uint8_t* begin = bytes.const_data_ptr<uint8_t>() + i * bytes.size(1);
    all.emplace_back(begin, begin + lengths[i].item<int64_t>());
  }
  return all;
}

std::vector<std::string> Group::names(const std::vector<std::string>& own) const {
  if (alone()) return own;
  std::vector<std::string> all;
  for (const std::string& text : texts(fmt::format("{}", fmt::join(own, "\n")))) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) all.push_back(line);
  }
  return all;
}

void Group::barrier() const { any(false); }

void Group::waiting(const std::function<void()>& wait) const {
  if (impl_)
    impl_->talk(wait);
  else
    wait();
}

std::string Group::address() const {
  MICROEMO_CHECK(impl_, "one process has no address");
  return own_address(impl_->context);
}

double Group::timeout_s() const { return impl_ ? impl_->options.timeout_s() : 0; }

std::shared_ptr<Mail> Group::mail() {
  if (!impl_) return nullptr;
  const std::string prefix = fmt::format("box_{}", impl_->boxes++);
  const auto store = connect_store(impl_->context, impl_->options.start_limit_s);
  return std::make_shared<Mail>(
      std::unique_ptr<Mail::Impl>(new Mail::Impl{c10::make_intrusive<c10d::PrefixStore>(prefix, store)}));
}

std::unique_ptr<SideLink> Group::side_link() {
  MICROEMO_CHECK(impl_, "one process has nobody to speak to");
  const std::string name = fmt::format("link_{}", impl_->links++);
  c10::intrusive_ptr<c10d::Backend> gloo, nccl;
  waiting([&] {
    gloo = make_gloo(c10::make_intrusive<c10d::PrefixStore>(name, impl_->store), impl_->context, impl_->options);
    if (impl_->nccl) nccl = impl_->make_nccl(name + "_nccl");
  });
  return std::make_unique<SideLink>(*this, std::move(gloo), std::move(nccl));
}

}  // namespace microemo::parallel
